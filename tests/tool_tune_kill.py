#!/usr/bin/env python3
"""tool_tune_kill.py PROGRAM [--kills N] [--seed N]: `upconv tune` killed (SIGKILL) at random moments, the supervisor or its worker, until N
kills have hit. Over a recorded space, so every run that comes to its end must say exactly what one that nobody killed says, and
leave the same records; after each kill every line that stood in the records still does."""
import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time

from tool_testing import Program, Tally

LAYERS = ["ic4oc3_ih5oh10kh4sh2ph1", "ic8oc6_iw40ow80kw4sw2pw1+relu", "g2ic4oc6_iw9ow20kw4sw2pw1"]
SPACE = "phase:x=8,y=2,spec=0,stage=0,texel=0,unroll=1;direct:y=2;reference"
TIMES = ("spent_ns", "known") # differ between a run in one go and one in pieces


def record(run, path):
    """The space: every candidate, measured once."""
    return run("tune", "--backend", "cpu", *LAYERS, "--space", SPACE, "--strategy", "exhaustive", "--budget", "exhaustive",
               "--journal", path, "--records", path + ".records")


def words_of(run, space, records, seed):
    return [run.path, "tune", "--backend", "cpu", *LAYERS, "--space", SPACE, "--replay", space, "--budget", "exhaustive", "--seed", str(seed),
            "--records", records, "--resume", "--json"]


def outcome(text):
    """What a run came to, without how long it took."""
    layers = [json.loads(line) for line in text.splitlines()]
    return [{key: value for key, value in layer.items() if key not in TIMES} for layer in layers if "summary" not in layer]


def records_of(path):
    """The whole lines of a file of records."""
    if not os.path.exists(path):
        return []
    with open(path, encoding="utf-8") as file:
        return [line for line in file.read().split("\n")[:-1] if line]


def worker_of(pid):
    try:
        with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
            return [int(word) for word in file.read().split()]
    except OSError:
        return []


def alive(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
            return file.read().rsplit(")", 1)[1].split()[0] not in "ZX"
    except OSError:
        return False


def kill_one(child, whom, draw):
    """Kills, and says whether there was anybody to be killed."""
    workers = worker_of(child.pid)
    if whom == "worker":
        if not workers:
            return False
        target = draw.choice(workers)
    else:
        target = child.pid
    if child.poll() is not None:
        return False
    try:
        os.kill(target, signal.SIGKILL)
    except ProcessLookupError:
        return False
    if whom == "worker":
        return True
    child.wait()
    end = time.monotonic() + 5
    while any(map(alive, workers)) and time.monotonic() < end:
        time.sleep(0.002)
    return not any(map(alive, workers))


def one_run(run, tally, space, records, seed, duration, draw, left):
    """A run until it ends, killed now and then. Returns its output, or None, and the number of kills."""
    kills, longest = 0, time.monotonic() + 120
    while time.monotonic() < longest:
        with subprocess.Popen(words_of(run, space, records, seed), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                              env=run.env) as child:
            while kills < left and child.poll() is None:
                time.sleep(draw.uniform(0, duration))
                before = records_of(records)
                whom = draw.choice(["supervisor", "worker"])
                kills += kill_one(child, whom, draw)
                after = records_of(records)
                tally.check(f"kill {kills}: no record lost", after[:len(before)] == before, f"{len(before)} lines, then {len(after)}")
                if whom == "supervisor":
                    break
            out, err = child.communicate(timeout=120)
        if child.returncode == 0:
            return out, kills
        if child.returncode > 0:
            tally.check("a killed run", False, f"exit code {child.returncode}: {err}")
            return None, kills
    return None, kills


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("program")
    parser.add_argument("--kills", type=int, default=15)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    arguments = parser.parse_args()
    run, tally, draw = Program(arguments.program), Tally(), random.Random(arguments.seed)
    # A sanitizer looks for leaks in a child process of its own, and waits for ever when that is the one that is killed.
    run.env["ASAN_OPTIONS"] = run.env.get("ASAN_OPTIONS", "") + ":detect_leaks=0"
    print(f"seed {arguments.seed}")
    with tempfile.TemporaryDirectory() as folder:
        space = os.path.join(folder, "space")
        got = record(run, space)
        if not tally.check("a space is recorded", got.returncode == 0, got.stderr):
            tally.close()
        kills = runs = 0
        while kills < arguments.kills and runs < 4 * arguments.kills:
            runs += 1
            seed = 1 + runs % 3
            calm = os.path.join(folder, f"calm-{runs}")
            start = time.monotonic()
            expected = subprocess.run(words_of(run, space, calm, seed), capture_output=True, text=True, env=run.env, check=False)
            duration = time.monotonic() - start
            if not tally.check("a calm run", expected.returncode == 0, expected.stderr):
                break
            wild = os.path.join(folder, f"wild-{runs}")
            out, hits = one_run(run, tally, space, wild, seed, duration, draw, min(6, arguments.kills - kills))
            kills += hits
            if out is None:
                tally.check("a killed run ends", False)
                break
            tally.check(f"run {runs}: the same in the end", outcome(out) == outcome(expected.stdout),
                        f"{outcome(out)} instead of {outcome(expected.stdout)}")
            tally.check(f"run {runs}: the same records", sorted(set(records_of(wild))) == sorted(set(records_of(calm))),
                        f"{len(records_of(wild))} and {len(records_of(calm))} lines")
        tally.check("enough kills", kills >= arguments.kills, f"{kills} of {arguments.kills}")
        print(f"{kills} kills in {runs} runs")
    tally.close()


if __name__ == "__main__":
    sys.exit(main())
