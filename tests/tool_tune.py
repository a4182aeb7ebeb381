#!/usr/bin/env python3
"""tool_tune.py PROGRAM [--backend NAME ...]: `upconv tune`: words, files, table, lines of JSON, report, dry run, replay, Ctrl-C. What
does not depend on a device is tested with the cpu backend."""
import argparse
import json
import math
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time

from tool_testing import Program, Tally, one_sentence

LAYER = "ic4oc3_ih5oh10kh4sh2ph1"
OTHER = "ic8oc6_iw40ow80kw4sw2pw1+relu"
KEYS = {"name", "backend", "device", "driver", "problem", "base", "best", "default_us", "tuned_us", "gain", "spread", "tried", "good",
        "wrong", "crashed", "hung", "discarded", "stop", "failures"}


def lines_of(path):
    with open(path, encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def tune(run, *words, **env):
    return run("tune", *words, **env)


def usage(run, tally):
    cases = [[], [LAYER, "--budget", "soon"], [LAYER, "--budget", "-3"], [LAYER, "--budget", "10 m"], [LAYER, "--most", "0"],
             [LAYER, "--dry-run", "--verify-only"], [LAYER, "--replay", "x", "--dry-run"], [LAYER, "--dry-run", "--report", "x"],
             [LAYER, "--verify-only", "--resume"], [LAYER, "--seed", "-1"], [LAYER, "--type", "f64"],
             [LAYER, "--records", "x", "--journal", "x"], [LAYER, "--replay", "x", "--journal", "x"]]
    for words in cases:
        got = tune(run, *words, "--backend", "cpu")
        tally.check(f"tune {words}: exit code 2", got.returncode == 2 and got.stderr and not got.stdout, got.stderr)


def failures(run, tally, folder):
    missing = os.path.join(folder, "no", "such", "records")
    broken = os.path.join(folder, "broken")
    with open(broken, "w", encoding="utf-8") as file:
        file.write("this is no record\n")
    empty = os.path.join(folder, "empty")
    with open(empty, "w", encoding="utf-8"):
        pass
    cases = [["nonsense", "--records", missing], [LAYER, "--records", missing], [LAYER, "--problems", missing],
             [LAYER, "--backend", "cpu", "--device", "nothing of this name", "--records", os.path.join(folder, "r")],
             [LAYER, "--records", broken], [LAYER, "--strategy", "nonsense", "--records", os.path.join(folder, "r")],
             [LAYER, "--space", "nonsense:x=1", "--records", os.path.join(folder, "r")], [LAYER, "--replay", missing],
             [LAYER, "--replay", empty]]
    for words in cases:
        got = tune(run, *words, *([] if "--backend" in words else ["--backend", "cpu"]))
        fine = got.returncode == 1 and got.stderr.startswith("upconv tune: ") and not got.stdout.count("default us")
        tally.check(f"tune {words[:2]}: a sentence", fine and (one_sentence(got.stderr) or words[0] == "nonsense"), got.stderr)


def results(run, tally, backend, folder, words):
    """A short run; its JSON, records and journal."""
    records = os.path.join(folder, f"records-{backend}.jsonl")
    got = tune(run, "--backend", backend, LAYER, OTHER, "--budget", "20s", "--records", records, "--json", *words)
    lines = [json.loads(line) for line in got.stdout.splitlines()]
    if not tally.check(f"tune on {backend}: lines", got.returncode == 0 and len(lines) == 3, got.stdout + got.stderr):
        return None
    for line in lines[:2]:
        tally.check(f"tune on {backend}: keys", KEYS <= set(line), str(sorted(line)))
        tally.check(f"tune on {backend}: a winner", line["best"] and line["tuned_us"] > 0 and line["gain"] >= 0.999 and
                    math.isclose(line["gain"], line["default_us"] / line["tuned_us"], rel_tol=1e-3), str(line))
        tally.check(f"tune on {backend}: counts", line["tried"] == sum(line[key] for key in (
            "good", "slow", "discarded", "wrong", "refused", "crashed", "hung")) and line["good"] >= 1, str(line))
        tally.check(f"tune on {backend}: nothing failed", not line["failures"] and line["stop"] != "failed", str(line["failures"]))
    mean = math.prod(line["gain"] for line in lines[:2]) ** 0.5
    tally.check(f"tune on {backend}: mean", math.isclose(lines[2]["summary"]["gain"], mean, rel_tol=1e-6) and
                lines[2]["summary"]["restarts"] == 0 and not lines[2]["summary"]["interrupted"], str(lines[2]))
    kept = lines_of(records)
    fine = all(record["format"] == 1 and record["verdict"] in ("ok", "wrong", "compile") for record in kept)
    tally.check(f"tune on {backend}: records", fine and {record["problem"] for record in kept} ==
                {line["problem"] for line in lines[:2]}, str(kept)[:300])
    explained = run("bench", LAYER, "--backend", backend, "--records", records, "--effort", "known", "--json", "--runs", 1,
                    "--seconds", 0)
    used = json.loads(explained.stdout) if explained.returncode == 0 else {"solver": explained.stderr, "config": ""}
    tally.check(f"tune on {backend}: bench uses the record", f"{used['solver']}:{used['config']}".rstrip(":") == lines[0]["best"], str(used))
    return records


def report(run, tally, backend, folder, records):
    """The report of a run that is over, made again from its journal: nothing is measured."""
    page = os.path.join(folder, "report.html")
    got = tune(run, "--backend", backend, LAYER, OTHER, "--budget", "20s", "--records", records, "--resume", "--report", page)
    if not tally.check("report: made", got.returncode == 0 and os.path.exists(page), got.stderr):
        return
    tally.check("resume: table", got.stdout.count("\n") >= 5 and "default us" in got.stdout and "geometric mean" in got.stdout,
                got.stdout)
    with open(page, encoding="utf-8") as file:
        text = file.read()
    data = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.S)
    page_data = json.loads(data.group(1)) if data else {"layers": []}
    tally.check("report: data", len(page_data["layers"]) == 2 and all(layer["points"] for layer in page_data["layers"]) and
                page_data["device"]["backend"] == backend, str(page_data)[:300])
    tally.check("report: known from the journal", all(point["known"] for layer in page_data["layers"] for point in layer["points"]))
    tally.check("report: nothing from elsewhere", set(re.findall(r"https?://[^\s\"']+", text)) == {"http://www.w3.org/2000/svg"} and
                " src=" not in text and "@import" not in text and "<link" not in text)
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if not browser:
        tally.skip("report in a browser", "no Chromium")
        return
    shown = subprocess.run([browser, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder}/browser",
                            "--virtual-time-budget=3000", "--dump-dom", page], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                           text=True, errors="replace", timeout=120, check=False).stdout
    timed = sum(point["ratio"] > 0 and point["time_us"] > 0 for layer in page_data["layers"] for point in layer["points"])
    tally.check("report in a browser: a mark a candidate", shown.count('fill-opacity=') == timed, f"{shown.count('fill-opacity=')} of {timed}")
    tally.check("report in a browser: all sections", shown.count("<svg") > 6 and "What failed" in shown and "Nothing: no result" in shown)


def dry_run(run, tally, backend):
    got = tune(run, "--backend", backend, LAYER, "--dry-run", "--json", "--space", "phase", "--most", 12)
    lines = [json.loads(line) for line in got.stdout.splitlines()]
    listed = [line for line in lines if "candidate" in line]
    fine = got.returncode == 0 and 1 < len(listed) <= 13 and len({line["candidate"] for line in listed}) == len(listed)
    tally.check(f"--dry-run on {backend}: lines", fine, got.stdout[:500] + got.stderr)
    tally.check(f"--dry-run on {backend}: candidates", all(line["candidate"].split(":")[0] in ("phase", listed[0]["candidate"].split(":")[0])
                and line["verdict"] in ("none", "discarded") for line in listed), str(listed[:2]))
    got = tune(run, "--backend", backend, LAYER, "--dry-run", "--space", "phase", "--most", 3)
    tally.check(f"--dry-run on {backend}: text", got.returncode == 0 and "phase:" in got.stdout and "listed" in got.stdout, got.stdout)


def verify_only(run, tally, backend):
    got = tune(run, "--backend", backend, LAYER, "--verify-only", "--json", "--most", 5)
    line = json.loads(got.stdout.splitlines()[0]) if got.returncode == 0 else {}
    tally.check(f"--verify-only on {backend}", line.get("good", 0) >= 1 and line["wrong"] == 0 and line["tuned_us"] == 0,
                got.stdout + got.stderr)


def torn(run, tally, folder):
    """Records of which the machine's end left the beginning of the first line, or that and no more after a resumption."""
    records = os.path.join(folder, "torn.jsonl")
    for text, words in ((b'{"format":1,"lib', []), (b'{"format":1,"lib\n', ["--resume"])):
        with open(records, "wb") as file:
            file.write(text)
        got = tune(run, "--backend", "cpu", LAYER, "--most", 3, "--records", records, *words)
        with open(records, "rb") as file:
            rest = file.read().split(b"\n")[1:-1]
        tally.check(f"torn records {words}: the run goes on", got.returncode == 0 and len(rest) >= 1 and
                    all(json.loads(line)["format"] == 1 for line in rest), got.stderr + str(rest))


def corrected(run, tally, folder):
    """A record of an earlier run that promises more than its configuration does here gives way to what won here."""
    records = os.path.join(folder, "lucky.jsonl")
    words = ["--backend", "cpu", LAYER, "--most", 6, "--records", records]
    tune(run, *words)
    line = lines_of(records)[0]
    best = line["solver"]
    line.update(solver="direct", config={"x": 8, "y": 2}, time_us=0.001)
    with open(records, "a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")
    words_of_bench = ["bench", LAYER, "--backend", "cpu", "--records", records, "--effort", "known", "--json", "--runs", 1, "--seconds", 0]
    before = json.loads(run(*words_of_bench).stdout)["solver"]
    got = tune(run, *words, "--json")
    layer = json.loads(got.stdout.splitlines()[0])
    after = json.loads(run(*words_of_bench).stdout)
    used = f"{after['solver']}:{after['config']}".rstrip(":")
    tally.check("a lucky record gives way", before == "direct" and best != "direct" and used == layer["best"],
                f"{before}, then {used}; {layer['best']} won")


def interrupt(run, tally, folder, number):
    """A signal ends with a table, and --resume goes on."""
    records = os.path.join(folder, f"stopped-{number}.jsonl")
    words = [run.path, "tune", "--backend", "cpu", LAYER, OTHER, "--budget", "exhaustive", "--strategy", "exhaustive",
             "--records", records]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=run.env,
                          preexec_fn=lambda: signal.signal(number, signal.SIG_DFL)) as child:
        start = time.monotonic()
        while time.monotonic() < start + 20 and not (os.path.exists(records) and os.path.getsize(records)):
            time.sleep(0.02)
        child.send_signal(number)
        asked = time.monotonic()
        out, err = child.communicate(timeout=60)
    tally.check(f"{number.name}: ends soon", time.monotonic() - asked < 15, f"{time.monotonic() - asked:.1f} s")
    tally.check(f"{number.name}: exit code 1 and a table", child.returncode == 1 and "default us" in out and "interrupted" in err,
                f"{child.returncode} {out} {err}")
    got = tune(run, "--backend", "cpu", LAYER, OTHER, "--budget", "exhaustive", "--strategy", "exhaustive", "--most", 10, "--records",
               records, "--resume", "--json")
    lines = [json.loads(line) for line in got.stdout.splitlines()]
    tally.check(f"{number.name}: --resume goes on", got.returncode == 0 and len(lines) == 3 and lines[0]["known"] >= 1,
                got.stdout + got.stderr)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("program")
    parser.add_argument("--backend", action="append")
    arguments = parser.parse_args()
    run, tally = Program(arguments.program), Tally()
    found = run.backends()
    with tempfile.TemporaryDirectory() as folder:
        for name in arguments.backend or ["vulkan", "opencl", "cpu"]:
            if name not in found:
                tally.skip(name, "no device")
                continue
            dry_run(run, tally, name)
            verify_only(run, tally, name)
            records = results(run, tally, name, folder, [] if name == "cpu" else ["--most", 6])
            if name == "cpu":
                usage(run, tally)
                failures(run, tally, folder)
                torn(run, tally, folder)
                corrected(run, tally, folder)
                if records:
                    report(run, tally, name, folder, records)
                interrupt(run, tally, folder, signal.SIGINT)
                interrupt(run, tally, folder, signal.SIGTERM)
    tally.close()


if __name__ == "__main__":
    main()
