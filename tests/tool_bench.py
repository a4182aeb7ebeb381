#!/usr/bin/env python3
"""tool_bench.py PROGRAM [--backend NAME ...]: what `upconv bench` measures beside times: peaks, compile statistics, other
libraries in the same run. No time is judged."""
import argparse
import ctypes
import json
import math
import os
import sys
import tempfile

from tool_testing import Program, Tally, one_sentence

LAYER = "ic4oc3_ih5oh10kh4sh2ph1"
OTHERS = ["g2ic4oc6_iw9ow20kw4sw2pw1", "ic3oc2_id3od5kd3sd1pd1dd1_ih4oh9kh2sh2ph0_iw5ow11kw3sw2pw0dw0"]
QUICK = ("--runs", 2, "--seconds", 0.01)
LIBRARIES = {"onednn": ["libdnnl.so.3", "libdnnl.so.2"], "openblas": ["libopenblas.so.0"]}

# Speaks in place of Python and its scripts: in the way that the environment says.
FAKE = f"""#!{sys.executable}
import json, os, sys, time
way = os.environ["FAKE"]
for line in sys.stdin:
    request = json.loads(line)
    if "device" in request:
        answer = {{"hello": "a fake on " + request["device"]["backend"]}}
    elif "problem" in request:
        p = request["problem"]
        fine = len(p["in"]) == len(p["out"]) == p["dims"] and p["groups"] >= 1 and min(p["stride"] + p["dilation"]) >= 1
        answer = {{"ready": "as is"}} if fine and (way != "picky" or p["dims"] == 2) else {{"refused": "not this \\u00e4 one"}}
    else:
        answer = {{"us": [float(os.environ["FAKE_US"])] * 3}}
        if way == "dies":
            sys.exit(3)
        if way == "mumbles":
            answer = {{"us": "soon"}}
        if way == "silent":
            answer = {{}}
    print("{{not json" if way == "noise" else json.dumps(answer), flush=True)
"""


def peaks(run, tally, backend):
    got = run("bench", "--backend", backend, "--peaks", "--json", LAYER, *QUICK)
    lines = [json.loads(line) for line in got.stdout.splitlines()]
    if not tally.check(f"--peaks on {backend}: two lines", got.returncode == 0 and len(lines) == 2, got.stderr):
        return
    most, line = lines
    tally.check(f"--peaks on {backend}: numbers", set(most) == {"backend", "device", "peak_f32_gflops",
                "peak_f16_gflops", "peak_copy_gbytes"} and
                most["peak_f32_gflops"] > 0.1 and most["peak_copy_gbytes"] > 0.01, str(most))
    share = line["gflops"] / most["peak_f32_gflops"]
    tally.check(f"--peaks on {backend}: shares", math.isclose(line["fma_share"], share, rel_tol=1e-6) and
                line["copy_share"] > 0 and line["bound"] == ("fma" if share >= line["copy_share"] else "copy"), str(line))
    got = run("bench", "--backend", backend, "--peaks")
    tally.check(f"--peaks on {backend}: alone", got.returncode == 0 and "GFLOPS" in got.stdout and
                len(got.stdout.splitlines()) == 2, got.stdout + got.stderr)


def statistics(run, tally, backend):
    got = run("bench", "--backend", backend, "--stats", "--json", LAYER, LAYER + "+relu")
    lines = [json.loads(line) for line in got.stdout.splitlines()]
    tally.check(f"--stats on {backend}: a line a problem", got.returncode == 0 and len(lines) == 2, got.stderr)
    for line in lines:
        steps = line["steps"]
        fine = all(step["step"] >= 0 and all(isinstance(v, (int, float)) for v in step["statistics"].values()) for step in steps)
        tally.check(f"--stats on {backend}: steps", fine and bool(steps) == (backend != "cpu"), str(line))
        tally.check(f"--stats on {backend}: nothing timed", "median_us" not in line and line["compile_ms"] >= 0, str(line))
        if backend == "opencl":
            tally.check("--stats on opencl: figures", bool(steps[0]["statistics"]), str(steps))
    got = run("bench", "--backend", backend, "--stats", LAYER)
    tally.check(f"--stats on {backend}: text", got.returncode == 0 and LAYER in got.stdout and
                ("step 0: " in got.stdout) == (backend != "cpu"), got.stdout + got.stderr)


def usage(run, tally):
    for words in (["--peaks"], ["--compare", "onednn"], ["--check"], ["--effort", "measure"]):
        got = run("bench", LAYER, "--backend", "cpu", "--stats", *words)
        tally.check(f"--stats {words}: exit code 2", got.returncode == 2 and not got.stdout, got.stderr)
    for words in (["--compare", "nonsense"], ["--compare", ""], ["--compare", "onednn,,openblas"],
                  ["--compare", "ncnn", "--python", "/nonexistent/python"], ["--compare", "torch,torch,torch,torch,torch"]):
        got = run("bench", LAYER, "--backend", "cpu", *words)
        tally.check(f"{words}: one sentence", got.returncode == 1 and one_sentence(got.stderr) and not got.stdout, got.stderr)


def types_and_layouts(run, tally, backend):
    for kind in ("f32", "f16"):
        for layout in ("nchw", "nhwc", "nc4hw4"):
            got = run("bench", "--backend", backend, "--type", kind, "--layout", layout, "--check", "--json", LAYER,
                      LAYER + "+residual+relu", *QUICK)
            lines = [json.loads(line) for line in got.stdout.splitlines()]
            tally.check(f"--type {kind} --layout {layout} on {backend}", got.returncode == 0 and len(lines) == 2 and
                        all((f"+{layout}" in line["problem"]) == (layout != "nchw") and
                            ("+f16" in line["problem"]) == (kind == "f16") for line in lines), got.stdout + got.stderr)


def quantised(run, tally, backend):
    problems = [LAYER + "+i8+nhwc+zero:3:0:-4", LAYER + "+u8+real+zero:3:128:4", LAYER + "+i16+reduced"]
    got = run("bench", "--backend", backend, "--check", "--json", *problems, *QUICK)
    lines = [json.loads(line) for line in got.stdout.splitlines()]
    tally.check(f"quantised on {backend}: right and timed", got.returncode == 0 and len(lines) == 3 and
                all(line["gflops"] > 0 and line["solver"].endswith("_q") for line in lines), got.stderr)
    got = run("bench", "--backend", backend, "--effort", "measure", problems[0], *QUICK)
    tally.check(f"quantised on {backend}: measured", got.returncode == 0 and "_q" in got.stdout, got.stdout + got.stderr)
    got = run("explain", "--backend", backend, problems[0])
    tally.check(f"quantised on {backend}: explained", got.returncode == 0 and "_q: yes" in got.stdout, got.stdout + got.stderr)


def pooling(run, tally, backend):
    problems = ["pool:ic8_ih12kh2sh2", "pool:ic5_ih12kh3sh2ph1+nhwc+f16+index:image", "unpool:ic8_ih6kh2sh2",
                "unpool:ic5_ih6kh3sh2ph1+index:tensor", "unpool:ic4_ih6oh13kh2sh2+nc4hw4+index:window", "unpool:ic3_ih6oh13kh2sh2+space:12:12"]
    got = run("bench", "--backend", backend, "--check", "--json", *problems, *QUICK)
    lines = [json.loads(line) for line in got.stdout.splitlines()]
    tally.check(f"pooling and unpooling on {backend}", got.returncode == 0 and len(lines) == len(problems) and
                all(line["problem"].split(":")[0] in ("pool", "unpool") for line in lines), got.stdout + got.stderr)


def there(names):
    for name in names:
        try:
            ctypes.CDLL(name)
            return True
        except OSError:
            pass
    return False


def libraries(run, tally, backend):
    for name, files in LIBRARIES.items():
        got = run("bench", "--backend", backend, "--compare", name, "--json", LAYER, *OTHERS, *QUICK)
        if not there(files):
            tally.check(f"--compare {name} without it", got.returncode == 1 and one_sentence(got.stderr), got.stderr)
            continue
        lines = [json.loads(line) for line in got.stdout.splitlines()]
        if not tally.check(f"--compare {name} on {backend}: lines", got.returncode == 0 and len(lines) == 4, got.stderr):
            continue
        for line in lines[:3]:
            theirs = line["rivals"][name]
            tally.check(f"--compare {name} on {backend}: numbers", 0 < theirs["best_us"] <= theirs["median_us"] and
                        math.isclose(theirs["ratio"], line["gflops"] / theirs["gflops"], rel_tol=1e-6), str(theirs))
            if name == "onednn":
                flops = line["gflops"] * line["median_us"]
                tally.check("--compare onednn: the same count", math.isclose(flops, theirs["gflops"] * theirs["median_us"],
                                                                            rel_tol=1e-6), str(line))
        summary = lines[3]["summary"][name]
        tally.check(f"--compare {name}: summary", summary["about"] != "" and summary["refused"] == [] and
                    summary["count"] == (3 if name == "onednn" else 0), str(summary))
    if there(LIBRARIES["openblas"]):
        got = run("bench", "--backend", "cpu", "--compare", "openblas", "--json", LAYER, *QUICK, OPENBLAS_CORETYPE="Haswell")
        about = json.loads(got.stdout.splitlines()[-1])["summary"]["openblas"]["about"]
        tally.check("--compare openblas: core type by the environment", "forced" in about, about)


def fakes(run, tally, folder):
    path = os.path.join(folder, "python")
    with open(path, "w", encoding="utf-8") as file:
        file.write(FAKE)
    os.chmod(path, 0o755)

    def bench(way, *words, us=10):
        return run("bench", "--backend", "cpu", "--python", path, *words, *QUICK, FAKE=way, FAKE_US=str(us))

    got = bench("fine", "--compare", "ncnn,torch", "--json", LAYER, *OTHERS)
    lines = [json.loads(line) for line in got.stdout.splitlines()]
    tally.check("two rivals: lines", got.returncode == 0 and len(lines) == 4, got.stderr)
    for line in lines[:3]:
        ratio = 10 / line["median_us"]
        tally.check("two rivals: ratio", all(math.isclose(line["rivals"][name]["ratio"], ratio, rel_tol=1e-5) and
                                             line["rivals"][name]["how"] == "as is" for name in ("ncnn", "torch")), str(line))
    means = lines[3]["summary"]["torch"]
    ratios = [line["rivals"]["torch"]["ratio"] for line in lines[:3]]
    tally.check("two rivals: geometric mean", means["about"] == "a fake on cpu" and means["count"] == 3 and
                math.isclose(means["ratio"], math.prod(ratios) ** (1 / 3), rel_tol=1e-6), str(means))
    got = bench("fine", "--compare", "ncnn", LAYER, us=0.001)
    tally.check("far behind: named", got.returncode == 0 and f"below half of it: {LAYER}" in got.stdout, got.stdout)
    got = bench("fine", "--compare", "ncnn", "--by", "best", "--json", LAYER)
    line = json.loads(got.stdout.splitlines()[0])
    tally.check("--by best", math.isclose(line["rivals"]["ncnn"]["ratio"], 10 / line["best_us"], rel_tol=1e-5), str(line))
    got = bench("fine", "--compare", "ncnn", LAYER, us=1e9)
    tally.check("far ahead: none named", "below half of it: none" in got.stdout, got.stdout)
    got = bench("picky", "--compare", "ncnn", LAYER, *OTHERS)
    tally.check("a refusal is told", got.returncode == 0 and got.stdout.count("not this") == 2 and
                f"not run by ncnn: {OTHERS[0]} {OTHERS[1]}" in got.stdout, got.stdout)
    got = bench("noise", "--compare", "ncnn", LAYER)
    tally.check("a rival that makes no sense", got.returncode == 1 and one_sentence(got.stderr), got.stderr)
    for way in ("dies", "mumbles", "silent"):
        got = bench(way, "--compare", "ncnn", "--json", LAYER, LAYER)
        lines = [json.loads(line) for line in got.stdout.splitlines()]
        tally.check(f"a rival that {way}: ours goes on", got.returncode == 0 and len(lines) == 3 and lines[1]["gflops"] > 0 and
                    all("refused" in line["rivals"]["ncnn"] for line in lines[:2]), got.stdout + got.stderr)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("program")
    parser.add_argument("--backend", action="append")
    arguments = parser.parse_args()
    run, tally = Program(arguments.program), Tally()
    found = run.backends()
    wanted = arguments.backend or ["vulkan", "opencl", "cpu"]
    for name in wanted:
        if name not in found:
            tally.skip(name, "no device")
            continue
        peaks(run, tally, name)
        statistics(run, tally, name)
        libraries(run, tally, name)
        types_and_layouts(run, tally, name)
        quantised(run, tally, name)
        pooling(run, tally, name)
    if "cpu" in wanted:
        usage(run, tally)
        with tempfile.TemporaryDirectory() as folder:
            fakes(run, tally, folder)
    tally.close()


if __name__ == "__main__":
    main()
