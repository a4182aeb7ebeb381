#!/usr/bin/env python3
"""tool_tune_faults.py PROGRAM --backend opencl|vulkan --shaders FOLDER [--unkillable MODULE] [--full]: `upconv tune` over candidates that crash the process,
hang, and compute wrong: planted into a copy of the kernels (UPCONV_SHADERS). All are survived, named, and recorded, and the next run
does not try those again that crash or hang."""
import argparse
import json
import os
import shutil
import sys
import tempfile
import time

from tool_testing import Program, Tally

LAYER = "ic4oc4_ih24oh48kh4sh2ph1"

# What a fault is, by language, in a kernel's first lines. llvmpipe ends an item's loops after 65,535 rounds, so a hang there is many
# loops, and it has no addresses that crash: there glslang is made to run out of stack, by a sum of very many terms.
SLOW = "".join(f"    for (int i{n} = 0; i{n} < 60000; i{n}++) spin = (spin * 16807 + i{n}) & 0x7fffffff;\n" for n in range(600))
HANG = {"opencl": "    volatile int stay = 1;\n    while (stay)\n        ;\n",
        "vulkan": "    int spin = GLOBAL_ID(0) + 1;\n" + SLOW + "    if (spin == 0)\n        return;\n"}
CRASH = {"opencl": "    *(__global volatile int *)16 = 1;\n",
         "vulkan": "    if (" + "+".join(["GLOBAL_ID(0)"] * 100000) + " < 0)\n        return;\n"}
# Macros that expand to nothing, 2^60 times: a compiler that does not end and needs no memory.
ENDLESS = "#define E0\n" + "".join(f"#define E{n} E{n - 1} E{n - 1}\n" for n in range(1, 61)) + "E60\n"
WRONG = "    if (GLOBAL_ID(1) % 3 == 2)\n        return;\n" # rows that are not written


def plant(shaders, folder, faults):
    """faults: {condition of the preprocessor: text of OpenCL C or GLSL}."""
    with open(os.path.join(shaders, "phase.kernel"), encoding="utf-8") as file:
        text = file.read()
    head, rest = text.split("\nKERNEL(", 1)
    entry, body = rest.split("\n{\n", 1)
    planted = "".join(f"#if {when}\n{what}#endif\n" for when, what in faults.items())
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, "phase.kernel"), "w", encoding="utf-8") as file:
        file.write(f"{head}\nKERNEL({entry}\n{{\n{planted}{body}")


def held_space(run, backend):
    """The space of `phase` with all knobs but the tile held at the values of its default, and that tile."""
    got = run("bench", LAYER, "--backend", backend, "--solver", "phase", "--json", "--runs", 1, "--seconds", 0)
    config = json.loads(got.stdout)["config"]
    tile = int(config.split(",")[0].split("=")[1])
    return "phase:" + ",".join(config.split(",")[1:]), tile


def tile_of(candidate):
    return int(candidate.split("tile=")[1].split(",")[0])


def all_at_once(run, tally, backend, shaders, folder):
    space, default = held_space(run, backend)
    wrong, crash, hang = [tile for tile in (2, 3, 4, 5, 6) if tile != default][:3]
    plant(shaders, os.path.join(folder, "shaders"), {f"TILE == {wrong}": WRONG, f"TILE == {crash}": CRASH[backend],
                                                     f"TILE == {hang}": HANG[backend]})
    records = os.path.join(folder, f"records-{backend}.jsonl")
    words = ["tune", "--backend", backend, LAYER, "--space", space, "--strategy", "exhaustive", "--budget", "exhaustive",
             "--records", records, "--run-timeout", 1.5, "--json"]
    got = run(*words, UPCONV_SHADERS=os.path.join(folder, "shaders"))
    lines = [json.loads(line) for line in got.stdout.splitlines()]
    if not tally.check(f"faults on {backend}: survived", got.returncode == 0 and len(lines) == 2, got.stdout + got.stderr):
        return
    layer, summary = lines[0], lines[1]["summary"]
    seen = {tile_of(failure["candidate"]): failure["verdict"] for failure in layer["failures"]}
    tally.check(f"faults on {backend}: all found, and nothing else", seen == {wrong: "wrong", crash: "crash", hang: "hang"}, str(seen))
    tally.check(f"faults on {backend}: counts", (layer["wrong"], layer["crashed"], layer["hung"]) == (1, 1, 1), str(layer))
    tally.check(f"faults on {backend}: the winner is sound", layer["best"] != "" and
                layer["best"] not in [failure["candidate"] for failure in layer["failures"]] and
                layer["good"] >= 1 and layer["good"] + layer["slow"] >= 2, str(layer))
    tally.check(f"faults on {backend}: workers", summary["restarts"] == 2, str(summary))
    tally.check(f"faults on {backend}: named at once", all(f"tile={tile}," in got.stderr and f": {verdict}: " in got.stderr
                                                           for tile, verdict in seen.items()), got.stderr)
    with open(records, encoding="utf-8") as file:
        kept = {(record["config"]["tile"], record["verdict"]) for record in map(json.loads, file) if record["solver"] == "phase"
                and record["verdict"] != "ok"}
    tally.check(f"faults on {backend}: recorded", kept == set(seen.items()), str(kept))
    with open(records, encoding="utf-8") as file:
        tally.check(f"faults on {backend}: with the driver", all(json.loads(line)["driver"] for line in file))
    again = run(*words, UPCONV_SHADERS=os.path.join(folder, "shaders"))
    summary = json.loads(again.stdout.splitlines()[-1])["summary"] if again.returncode == 0 else {"restarts": again.stderr}
    tally.check(f"faults on {backend}: not tried again", summary["restarts"] == 0, str(summary))


def endless_compiler(run, tally, backend, shaders, folder):
    """The supervisor ends a worker whose compiler does not come back."""
    space, default = held_space(run, backend)
    tile = 3 if default != 3 else 4
    plant(shaders, os.path.join(folder, "endless"), {f"TILE == {tile}": ENDLESS})
    got = run("tune", "--backend", backend, LAYER, "--space", space, "--strategy", "exhaustive", "--budget", "exhaustive",
              "--records", os.path.join(folder, "endless.jsonl"), "--compile-timeout", 1, "--json",
              UPCONV_SHADERS=os.path.join(folder, "endless"))
    lines = [json.loads(line) for line in got.stdout.splitlines()]
    if tally.check(f"a compiler that hangs on {backend}: survived", got.returncode == 0 and len(lines) == 2, got.stdout + got.stderr):
        failures = [(tile_of(failure["candidate"]), failure["verdict"]) for failure in lines[0]["failures"]]
        tally.check(f"a compiler that hangs on {backend}: named", failures == [(tile, "hang")] and
                    lines[1]["summary"]["restarts"] == 1 and "did not end within 3 s" in got.stderr, str(failures) + got.stderr)


def unkillable(run, tally, backend, shaders, folder, module):
    """A worker that the kernel does not let go: the run gives up in time, with the verdict on record, and the next one goes on behind it."""
    space, default = held_space(run, backend)
    tile = 3 if default != 3 else 4
    plant(shaders, os.path.join(folder, "stuck"), {f"TILE == {tile}": ENDLESS})
    records = os.path.join(folder, "stuck.jsonl")
    words = ["tune", "--backend", backend, LAYER, "--space", space, "--strategy", "exhaustive", "--budget", "exhaustive",
             "--records", records, "--compile-timeout", 1, "--json"]
    planted = {"UPCONV_SHADERS": os.path.join(folder, "stuck")}
    begun = time.monotonic()
    got = run(*words, **planted, LD_PRELOAD=module)
    name = f"a worker that cannot be ended on {backend}"
    tally.check(f"{name}: the run ends", got.returncode == 1 and "cannot be ended" in got.stderr and len(got.stdout.splitlines()) == 2 and
                time.monotonic() - begun < 120, f"{got.returncode} {got.stdout} {got.stderr}")
    with open(records + ".journal", encoding="utf-8") as file:
        hung = [tile_of(line["candidate"]) for line in map(json.loads, file) if line.get("done") == "hang"]
    tally.check(f"{name}: recorded", hung == [tile], str(hung))
    again = run(*words, "--resume", **planted)
    lines = [json.loads(line) for line in again.stdout.splitlines()]
    tally.check(f"{name}: the next run goes on", again.returncode == 0 and len(lines) == 2 and lines[0]["hung"] == 1 and
                lines[1]["summary"]["restarts"] == 0, again.stdout + again.stderr)


def default_crashes(run, tally, backend, shaders, folder):
    """Even the default may crash: the run goes on and finds something."""
    plant(shaders, os.path.join(folder, "default"), {"1": CRASH[backend]})
    got = run("tune", "--backend", backend, LAYER, "--budget", "20s", "--most", 30, "--records",
              os.path.join(folder, "default.jsonl"), "--json", UPCONV_SHADERS=os.path.join(folder, "default"))
    line = json.loads(got.stdout.splitlines()[0]) if got.stdout else {"best": ""}
    tally.check(f"phase always crashes on {backend}: another solver wins", got.returncode == 0 and line["best"] and
                not line["best"].startswith("phase:") and line["crashed"] >= 1, got.stdout + got.stderr[-600:])


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("program")
    parser.add_argument("--backend", action="append")
    parser.add_argument("--shaders", required=True)
    parser.add_argument("--unkillable", metavar="MODULE", help="to be preloaded: nothing can be killed")
    parser.add_argument("--full", action="store_true")
    arguments = parser.parse_args()
    run, tally = Program(arguments.program), Tally()
    found = run.backends()
    for name in arguments.backend or ["vulkan", "opencl"]:
        if name not in found:
            tally.skip(name, "no device")
            continue
        folder = tempfile.mkdtemp()
        try:
            all_at_once(run, tally, name, arguments.shaders, folder)
            if name == "vulkan":
                endless_compiler(run, tally, name, arguments.shaders, folder)
            if name == "vulkan" and arguments.unkillable:
                unkillable(run, tally, name, arguments.shaders, folder, os.path.abspath(arguments.unkillable))
            if arguments.full:
                default_crashes(run, tally, name, arguments.shaders, folder)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    tally.close()


if __name__ == "__main__":
    sys.exit(main())
