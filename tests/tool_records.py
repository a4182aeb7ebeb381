"""upconv records, from outside: nothing is lost, nothing is half written, and what is wrong is named by file and line.
tool_records.py PROGRAM"""
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time

from tool_testing import Program, Tally, one_sentence

UP2X = "g1mb1ic64oc32_ih32oh64kh4sh2ph1dh0_iw32ow64kw4sw2pw1dw0"
NEXT = "g1mb1ic32oc16_ih32oh64kh4sh2ph1dh0_iw32ow64kw4sw2pw1dw0"


def line(tile=4, time_us=10.0, date="2026-11-20", driver="d 1", verdict="ok", problem=UP2X, **more):
    record = {"format": 1, "backend": "vulkan", "device": "Adreno (TM) 660", "vendor_id": 20803, "device_id": 1, "driver": driver,
              "problem": problem, "type": "f32", "solver": "phase", "solver_version": 1, "config": {"tile": tile},
              "time_us": time_us, "verdict": verdict, "date": date, **more}
    return json.dumps(record, separators=(",", ":"))


class Folder:
    def __init__(self, path):
        self.path = path

    def __call__(self, name, *lines, end="\n"):
        path = os.path.join(self.path, name)
        with open(path, "w", encoding="utf-8") as out:
            out.write("\n".join(lines) + (end if lines else ""))
        return path


def read(path):
    with open(path, encoding="utf-8") as text:
        return text.read()


def merge(run, tally, folder):
    odd = line(tile=1, note="kept é", big=12345678901234567890).replace('"format":1', '"format": 1')
    newer_format = '{"format":2,"anything":[{}],"driver":7}'
    one = folder("one.jsonl", line(), odd, newer_format)
    two = folder("two.jsonl", line(time_us=11, date="2026-11-21"), line(tile=8), line(driver="d 2"), "", newer_format)
    both = os.path.join(folder.path, "both.jsonl")
    got = run("records", "merge", one, two, "--output", both)
    wanted = sorted([odd, newer_format, line(time_us=11, date="2026-11-21"), line(tile=8), line(driver="d 2")],
                    key=lambda text: text.encode())
    tally.check("merge: all of both, the newer of the same, byte for byte", got.returncode == 0 and
                read(both) == "\n".join(wanted) + "\n", got.stderr + read(both))
    tally.check("merge: in the other order", run("records", "merge", two, one).stdout == read(both))
    tally.check("merge: of itself", run("records", "merge", both).stdout == read(both))
    before = read(both)
    got = run("records", "merge", both, one, "--output", both)
    tally.check("merge: into one of its files", got.returncode == 0 and read(both) == before, got.stderr)
    dates = [line(time_us=1), line(time_us=2)]
    tally.check("merge: of one date the later stays", run("records", "merge", folder("a", dates[0]), folder("b", dates[1])).stdout
                == dates[1] + "\n")
    with open(one, encoding="utf-8") as text:
        got = subprocess.run([run.path, "records", "merge", "-"], stdin=text, capture_output=True, text=True, check=False)
    tally.check("merge: from standard input", got.returncode == 0 and len(got.stdout.splitlines()) == 3, got.stderr)
    empty = folder("empty")
    got = run("records", "merge", empty)
    tally.check("merge: of nothing", got.returncode == 0 and got.stdout == "", got.stderr)


def bad_lines(run, tally, folder):
    bad = folder("bad.jsonl", line(), "{}", line(tile=2), "garbage", line(tile=3)[:-30], end="")
    out = folder("out.jsonl", line(tile=5))
    for action in ("merge", "prune"):
        got = run("records", action, bad, "--output", out)
        said = got.stderr.splitlines()
        tally.check(f"{action}: bad lines are named", got.returncode == 1 and len(said) == 4 and
                    [text.split(": ")[0] for text in said[:3]] == [f"{bad}:{n}" for n in (2, 4, 5)] and "cut short" in said[2],
                    got.stderr)
        tally.check(f"{action}: and nothing is written", read(out) == line(tile=5) + "\n")
    got = run("records", "merge", bad, "--skip-bad")
    tally.check("merge --skip-bad", got.returncode == 0 and got.stdout.splitlines() == [line(tile=2), line()], got.stdout)
    got = run("records", "check", bad)
    tally.check("check: exit code", got.returncode == 1 and "3 bad lines" in got.stdout, got.stdout)
    got = run("records", "check", folder("good", line(), line(), line(tile=7)))
    tally.check("check: a good file", got.returncode == 0 and got.stderr == "" and got.stdout.startswith("3 records") and
                "1 that newer" in got.stdout, got.stdout)
    missing = os.path.join(folder.path, "missing")
    for action in ("merge", "check", "stats", "prune"):
        got = run("records", action, missing)
        tally.check(f"{action}: a missing file", got.returncode == 1 and one_sentence(got.stderr) and missing in got.stderr,
                    got.stderr)
        tally.check(f"{action}: no file", run("records", action).returncode == 2)
    for output in ("/dev/full", os.path.join(folder.path, "no", "such", "folder")):
        got = run("records", "merge", out, "--output", output)
        tally.check(f"merge to {output}", got.returncode == 1 and one_sentence(got.stderr), got.stderr)


def prune(run, tally, folder):
    lines = [line(tile=4, time_us=10), line(tile=5, time_us=9), line(tile=6, time_us=11), line(tile=7, verdict="wrong"),
             line(tile=8, verdict="slow"), line(driver="d 2", tile=6, date="2026-12-01"), line(problem=NEXT, date="2020-01-01")]
    path = folder("many.jsonl", *lines)

    def kept(*options):
        return {lines.index(text) for text in run("records", "prune", path, *options).stdout.splitlines()}

    tally.check("prune: winners and warnings", kept() == {1, 3, 5, 6}, str(kept()))
    tally.check("prune --keep 2", kept("--keep", "2") == {0, 1, 3, 5, 6})
    tally.check("prune --no-failures", kept("--no-failures") == {1, 5, 6})
    tally.check("prune --before", kept("--before", "2026-01-01") == {1, 3, 5})
    tally.check("prune --newest-driver", kept("--newest-driver") == {5})
    got = run("records", "prune", path)
    tally.check("prune: says what it left out", "2 slower, 1 failures" in got.stderr, got.stderr)
    tally.check("prune --usable", kept("--usable") == set(), "a configuration of one knob is of no solver")


def reports(run, tally, folder):
    a = folder("before", line(time_us=10, reference_us=20), line(problem=NEXT), line(driver="d 2", verdict="crash"))
    b = folder("after", line(time_us=12), line(tile=5, time_us=8, driver="d 9"))
    got = run("records", "stats", "--json", a)
    told = [json.loads(text) for text in got.stdout.splitlines()]
    tally.check("stats --json", got.returncode == 0 and [(d["driver"], d["problems"], d["known"]) for d in told] ==
                [("d 1", 2, 2), ("d 2", 1, 0)] and abs(told[0]["gain"] - 2) < 1e-9 and told[1]["verdicts"] == {"crash": 1},
                got.stdout)
    got = run("records", "stats", a, b)
    tally.check("stats", got.returncode == 0 and "Adreno (TM) 660, d 9" in got.stdout and "times as fast" not in got.stderr,
                got.stdout)
    got = run("records", "diff", "--json", a, b)
    told = sorted((d["change"], d["problem"]) for d in map(json.loads, got.stdout.splitlines()))
    tally.check("diff --json", got.returncode == 0 and told == [("faster", UP2X), ("gone", NEXT)], got.stdout + got.stderr)
    got = run("records", "diff", a, a)
    tally.check("diff: the same", got.returncode == 0 and got.stdout == "2 problems the same, 0 not\n", got.stdout)
    tally.check("diff --noise", "other winner" in run("records", "diff", a, b, "--noise", "30").stdout)
    tally.check("diff: one file", run("records", "diff", a).returncode == 2)
    tally.check("records: no action", run("records").returncode == 2 and run("records", "--help").returncode == 0)
    got = run("records", "burn", a)
    tally.check("records: an unknown action", got.returncode == 2 and "burn" in got.stderr)


def killed(run, tally, folder):
    """Whenever it dies, the target is what it was, or all of it."""
    source = folder("large", *(line(tile=n, problem=NEXT) for n in range(6000)))
    target = folder("target", line())
    whole = run("records", "merge", target, source).stdout
    start = time.monotonic()
    run("records", "merge", target, source, "--output", os.path.join(folder.path, "other"))
    takes = time.monotonic() - start
    dice = random.Random(1)
    fine, done = True, 0
    for _ in range(25):
        folder("target", line())
        with subprocess.Popen([run.path, "records", "merge", target, source, "--output", target],
                              stderr=subprocess.DEVNULL) as process:
            time.sleep(takes * dice.uniform(0, 2.5))
            process.send_signal(signal.SIGKILL)
        done += read(target) == whole
        fine = fine and read(target) in (line() + "\n", whole)
    tally.check("merge: killed at any moment", fine)
    print(f"killed 25 times, {done} times after the end")


def main():
    run, tally = Program(sys.argv[1]), Tally()
    for part in (merge, bad_lines, prune, reports, killed):
        with tempfile.TemporaryDirectory() as folder:
            part(run, tally, Folder(folder))
    tally.close()


if __name__ == "__main__":
    main()
