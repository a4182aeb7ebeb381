#!/usr/bin/env python3
"""tool_cli.py PROGRAM [--backend NAME ...]: help texts, exit codes and the output forms of the program `upconv`. What does
not depend on a device is tested with the cpu backend."""
import argparse
import json
import os
import tempfile

from tool_testing import Program, Tally, one_sentence

LAYER = "ic4oc3_ih5oh10kh4sh2ph1"
BENCH_KEYS = ["name", "problem", "backend", "device", "solver", "config", "median_us", "best_us", "gflops",
              "workspace_bytes", "plan_ms"]
QUICK = ("--runs", 2, "--seconds", 0)
COMMANDS = ("info", "explain", "bench", "tune", "train", "upscale")


def help_texts(run, tally):
    for words in (["--help"], ["-h"], ["help"]):
        got = run(*words)
        tally.check(f"{words}: text", got.returncode == 0 and all(c in got.stdout for c in COMMANDS) and not got.stderr)
    got = run("--version")
    tally.check("--version", got.returncode == 0 and got.stdout.startswith("upconv 0."), got.stdout)
    for name in COMMANDS:
        for words in ([name, "--help"], [name, "-h"], ["help", name], [name, "--nonsense", "--help"]):
            got = run(*words)
            fine = got.returncode == 0 and got.stdout.startswith(f"upconv {name} ") and "--help" in got.stdout
            tally.check(f"{words}: text", fine and not got.stderr, got.stderr)
        longest = max(map(len, run(name, "--help").stdout.splitlines()))
        tally.check(f"{name} --help: width", longest <= 100, f"{longest} columns")


def usage(run, tally):
    cases = [[], ["nonsense"], ["help", "nonsense"], ["info", "extra"], ["info", "--json", "--list"], ["explain"],
             ["explain", LAYER, LAYER], ["bench"], ["upscale"], ["upscale", "one.png"], ["upscale", "a", "b", "c"],
             ["upscale", "a", "b", "--scale", "5"], ["upscale", "a", "b", "--scale", "1"],
             ["upscale", "a", "b", "--scale", "2.5"], ["upscale", "a", "b", "--scale", "two"],
             ["upscale", "a", "b", "--filter", "f", "--kernel", "bicubic"], ["upscale", "a", "b", "--bias", "f"],
             ["train", "--kernel", "5"], ["train", "--scale", "3", "--kernel", "4"], ["train", "--kernel", "1"],
             ["train", "--steps", "0"], ["train", "--lr", "0"], ["train", "--lr", "nan"], ["train", "--beta1", "1"],
             ["train", "--channels", "two"], ["train", "--loss", "l2"], ["train", "--decay", "-1"], ["train", "--patch", "3"],
             ["upscale", "a", "b", "--scale"], ["upscale", "a", "b", "--scale="], ["upscale", "a", "b", "--kernel", "box"],
             ["bench", LAYER, "--runs", "0"], ["bench", LAYER, "--seconds", "nan"], ["bench", LAYER, "--effort", "much"],
             ["bench", LAYER, "--json=yes"], ["bench", LAYER, "--backend", "metal"], ["info", "--nonsense"], ["info", "-x"]]
    for words in cases:
        got = run(*words)
        tally.check(f"{words}: exit code 2", got.returncode == 2, f"{got.returncode}")
        tally.check(f"{words}: says why on standard error", bool(got.stderr) and not got.stdout, got.stdout)
    got = run("info", "--list", "--")
    tally.check("-- ends the options", got.returncode == 0, got.stderr)


def info(run, tally):
    got = run("info", "--json")
    report = json.loads(got.stdout)
    tally.check("info --json: keys", set(report) == {"version", "system", "backends", "devices"}, str(set(report)))
    for backend in report["backends"]:
        tally.check(f"info --json: backend {backend['name']}",
                    set(backend) == {"name", "built", "loaded", "devices", "detail"} and backend["detail"] != "", str(backend))
    tally.check("info --json: counts agree", sum(b["devices"] for b in report["backends"]) == len(report["devices"]))
    text = run("info").stdout
    for device in report["devices"]:
        tally.check(f"info: names {device['name']}", device["name"] in text and device["driver"] in text)
        tally.check(f"info --json: {device['name']}: facts", {"limits", "group_size"} & set(device) and
                    device["backend"] in ("vulkan", "opencl", "cpu"), str(sorted(device)))
    listed = run("info", "--list").stdout.splitlines()
    tally.check("info --list", [line.split("\t")[0] for line in listed] == [d["backend"] for d in report["devices"]])
    # Nothing to be found: no Vulkan driver, no OpenCL platform. The report stays useful.
    bare = run("info", VK_DRIVER_FILES="/nonexistent", VK_ICD_FILENAMES="/nonexistent", OCL_ICD_VENDORS="/nonexistent")
    tally.check("info without drivers", bare.returncode == 0 and "backend vulkan" in bare.stdout and
                "backend cpu" in bare.stdout, bare.stdout + bare.stderr)
    if os.path.exists("/dev/full"):
        got = run("explain", LAYER, "--backend", "cpu", to="/dev/full")
        tally.check("to a full disk: exit code 1", got.returncode == 1 and "written" in got.stderr, got.stderr)


def explain(run, tally, backends):
    for backend in backends:
        got = run("explain", LAYER, "--backend", backend)
        tally.check(f"explain on {backend}: every solver", got.returncode == 0 and
                    all(name in got.stdout for name in ("phase", "direct", "reference")), got.stdout + got.stderr)
    got = run("explain", "ic4oc4_ih8oh16kh3sh2ph1kw4sw2pw1", "--backend", "cpu")
    tally.check("explain: overlap", got.returncode == 0 and
                "h: kernel 3 over stride 2: UNEVEN, taps by phase 1 2; kernel 2 or 4" in got.stdout and
                "w: kernel 4 over stride 2: even, taps by phase 2 2\n" in got.stdout, got.stdout + got.stderr)

    with tempfile.TemporaryDirectory() as folder:
        records = os.path.join(folder, "records.jsonl")
        got = run("bench", LAYER, "--backend", "cpu", "--effort", "measure", "--records", records, "--seconds", "0.01")
        tally.check("bench writes records", got.returncode == 0 and os.path.exists(records), got.stdout + got.stderr)
        told = run("explain", LAYER, "--backend", "cpu", "--records", records).stdout
        tally.check("explain --records", "tuning record (exact)" in told, told)
        told = run("explain", LAYER, "--backend", "cpu").stdout
        tally.check("explain without them", "tuning record (exact)" not in told, told)


def bad_problems(run, tally):
    for bad, column in (("ic4oc3_ih5kq4", 10), ("", 0), ("ic4oc3_ih5kh4sh2ph1+rely", 20), ("ic4oc3_ih5xh10", 10)):
        got = run("explain", bad, "--backend", "cpu")
        lines = got.stderr.split("\n")
        tally.check(f"explain '{bad}': exit code 1", got.returncode == 1 and not got.stdout, got.stderr)
        at = next((line.index("^") - 2 for line in lines if line.strip() == "^"), None)
        tally.check(f"explain '{bad}': points at the character", at is not None and abs(at - column) <= 1, got.stderr)
    got = run("explain", LAYER, "--backend", "cpu", "--records", "/nonexistent.jsonl")
    tally.check("explain with records that are not there: exit code 1", got.returncode == 1 and "/nonexistent.jsonl" in got.stderr, got.stderr)
    with tempfile.TemporaryDirectory() as folder:
        torn = os.path.join(folder, "torn.jsonl")
        for text, good in (('{"format":1,"lib', True), ('{"format":1,"lib\n', False)):
            with open(torn, "w", encoding="utf-8") as out:
                out.write(text)
            got = run("explain", LAYER, "--backend", "cpu", "--records", torn)
            tally.check(f"explain: records {text!r}", (got.returncode == 0) == good, got.stderr)
    got = run("explain", LAYER, "--backend", "cpu", "--device", "7")
    tally.check("explain on a missing device: exit code 1", got.returncode == 1 and one_sentence(got.stderr), got.stderr)


def bench(run, tally, backends, folder):
    problems = os.path.join(folder, "problems.txt")
    with open(problems, "w", encoding="utf-8") as out:
        out.write(f"# a remark\n\nfirst   {LAYER}   # another\n  {LAYER}+relu\nprelu\t{LAYER}+prelu\r\n")
    for backend in backends:
        got = run("bench", "--backend", backend, "--problems", problems, "--json", "--check", *QUICK)
        lines = [json.loads(line) for line in got.stdout.splitlines()]
        tally.check(f"bench --json on {backend}: a line a problem", got.returncode == 0 and len(lines) == 3, got.stderr)
        for line in lines:
            tally.check(f"bench --json on {backend}: keys", list(line) == BENCH_KEYS, str(list(line)))
            tally.check(f"bench --json on {backend}: numbers", line["backend"] == backend and line["gflops"] > 0 and
                        0 < line["best_us"] <= line["median_us"] and line["plan_ms"] >= 0, str(line))
        tally.check(f"bench --json on {backend}: names", [line["name"] for line in lines] == ["first", "", "prelu"])
        got = run("bench", "--backend", backend, LAYER, *QUICK)
        tally.check(f"bench on {backend}: a header and a line", got.returncode == 0 and len(got.stdout.splitlines()) == 3
                    and "GFLOPS" in got.stdout and LAYER in got.stdout, got.stdout + got.stderr)
        told = run("explain", LAYER, "--backend", backend).stdout
        solvers = [name for name in ("phase", "direct", "reference") if f"{name}: yes" in told]
        tally.check(f"bench on {backend}: there is a solver", bool(solvers), told)
        for solver in solvers:
            got = run("bench", "--backend", backend, LAYER, "--solver", solver, "--json", "--check", *QUICK)
            tally.check(f"bench --solver {solver} on {backend}", got.returncode == 0 and
                        json.loads(got.stdout)["solver"] == solver, got.stdout + got.stderr)
        records(run, tally, backend, os.path.join(folder, f"records-{backend}.jsonl"))


def records(run, tally, backend, path):
    got = run("bench", LAYER, "--backend", backend, "--effort", "known", "--records", path, *QUICK)
    tally.check(f"bench --effort known on {backend}: nothing known", got.returncode == 1, got.stdout)
    got = run("bench", LAYER, "--backend", backend, "--effort", "measure", "--records", path, *QUICK)
    tally.check(f"bench --effort measure on {backend}", got.returncode == 0 and os.path.exists(path), got.stderr)
    if not os.path.exists(path):
        return
    with open(path, encoding="utf-8") as lines:
        tally.check(f"bench --records on {backend}: JSON lines", all(isinstance(json.loads(line), dict) for line in lines))
    got = run("bench", LAYER, "--backend", backend, "--effort", "known", "--records", path, *QUICK)
    tally.check(f"bench --effort known on {backend}: known now", got.returncode == 0, got.stderr)


def bench_failures(run, tally, folder):
    got = run("bench", LAYER, "ic4oc3_ih5kq4", LAYER + "+relu", "--backend", "cpu", "--json", *QUICK)
    tally.check("bench: a bad problem does not stop the others", got.returncode == 1 and len(got.stdout.splitlines()) == 2 and
                "^" in got.stderr, got.stderr)
    got = run("bench", "ic3oc4g2_ih5kh4", "--backend", "cpu", *QUICK)
    tally.check("bench: a contradictory problem", got.returncode == 1 and bool(got.stderr), got.stderr)
    got = run("bench", LAYER, "--solver", "nonsense", "--backend", "cpu", *QUICK)
    tally.check("bench: an unknown solver", got.returncode == 1 and "nonsense" in got.stderr, got.stderr)
    missing = os.path.join(folder, "missing.txt")
    got = run("bench", "--problems", missing)
    tally.check("bench: a missing file", got.returncode == 1 and one_sentence(got.stderr) and missing in got.stderr, got.stderr)
    empty = os.path.join(folder, "empty.txt")
    with open(empty, "w", encoding="utf-8") as out:
        out.write("# nothing\n")
    got = run("bench", "--problems", empty)
    tally.check("bench: an empty file", got.returncode == 1 and one_sentence(got.stderr), got.stderr)
    with open(empty, "w", encoding="utf-8") as out:
        out.write(f"one two {LAYER}\n")
    got = run("bench", "--problems", empty)
    tally.check("bench: a line of three words", got.returncode == 1 and ":1:" in got.stderr, got.stderr)
    with open(empty, "w", encoding="utf-8") as out:
        out.write("this is no record\n")
    before = open(empty, encoding="utf-8").read()
    got = run("bench", LAYER, "--backend", "cpu", "--records", empty, *QUICK)
    tally.check("bench: a file without records", got.returncode == 1 and one_sentence(got.stderr), got.stderr)
    tally.check("bench: and it stays", open(empty, encoding="utf-8").read() == before)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("program")
    parser.add_argument("--backend", action="append")
    arguments = parser.parse_args()
    run, tally = Program(arguments.program), Tally()
    there = run.backends()
    wanted = arguments.backend or ["vulkan", "opencl", "cpu"]
    backends = [name for name in wanted if name in there]
    for name in wanted:
        if name not in there:
            tally.skip(name, "no device")
    with tempfile.TemporaryDirectory() as folder:
        if "cpu" in backends:
            for part in (help_texts, usage, info, bad_problems):
                part(run, tally)
            bench_failures(run, tally, folder)
        explain(run, tally, backends)
        bench(run, tally, backends, folder)
    tally.close()


if __name__ == "__main__":
    main()
