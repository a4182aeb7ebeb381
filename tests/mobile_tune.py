#!/usr/bin/env python3
"""`upconv tune --dry-run` on the compiler of one mobile GPU: it lists candidates, discards those that spill, and nothing else; each
verdict is compared with the statistics of a compilation of its own. A few candidates that differ in how much they keep in registers; with
--full as many as are drawn from the whole space in a minute.

mobile_tune.py --run RUN --gpu NAME --tool upconv --program mobile_check [--full]
"""
import argparse
import json
import os
import re
import subprocess
import sys

from mobile import judge_shader_db, judge_statistics
from tool_testing import Tally

LAYERS = ["ic64oc32_ih32oh64kh4sh2ph1", "ic24oc20_ih30oh60kh3sh2ph1+f16+nc4hw4"]


def under(options, *words, timeout=600):
    # Mesa's layer that chooses among devices is built for another C library than the one these drivers run on
    return subprocess.run([options.run, options.gpu, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          errors="replace", env={**os.environ, "NODEVICE_SELECT": "1"}, timeout=timeout, check=False)


def compiled(options, problem, candidates):
    """{candidate: complaints} by a compilation of their own; those that could not be compiled are left out."""
    words = [f"n{at}={problem}={candidate}" for at, candidate in enumerate(candidates)]
    done = under(options, options.program, "--only", *words)
    lines = done.stdout.splitlines()
    by_statistics, _ = judge_statistics(lines)
    by_driver, _, _ = judge_shader_db(done.stderr.splitlines())
    found = {}
    for line in lines:
        match = re.match(r"plan n(\d+) (\S+) (\S+): ", line)
        if match:
            at, config, weights = match.groups()
            name = f"n{at}"
            found[candidates[int(at)]] = (by_statistics.get((name, config), []) +
                                          by_driver.get((name, candidates[int(at)], weights), []))
    return found


# By registers: of one tile up to far more than any of these GPUs has.
FEW = "phase:tile=1|4|7,oc=4|16,x=8,y=8,spec=%d,stage=0,texel=0,unroll=%d"


def one_layer(options, tally, layer, most):
    few = FEW % ((0, 4) if options.gpu.startswith("adreno") else (1, 1)) # which has many registers, and a compiler that is quick
    how = ["--strategy", "random", "--budget", "60s"] if options.full else ["--space", few, "--budget", "exhaustive"]
    got = under(options, options.tool, "tune", "--backend", "vulkan", layer, "--dry-run", *how, "--compile-timeout", "20", "--json")
    lines = [json.loads(line) for line in got.stdout.splitlines()]
    listed = {line["candidate"]: line for line in lines if "candidate" in line}
    if not tally.check(f"{layer}: listed", got.returncode == 0 and len(listed) >= 2, got.stdout[-300:] + got.stderr[-300:]):
        return 0
    # the default too: one that spills is discarded like any other, and another takes its place
    tally.check(f"{layer}: the default is among them", lines[-2]["base"] in listed, lines[-2]["base"])
    tally.check(f"{layer}: counts", lines[-2]["discarded"] == sum(line["verdict"] == "discarded" for line in listed.values()),
                str(lines[-2]["discarded"]))
    kept = [name for name, line in listed.items() if line["verdict"] == "none"]
    gone = [name for name, line in listed.items() if line["verdict"] == "discarded" and "spill" in line["reason"]]
    others = {line["verdict"] for line in listed.values()} - {"none", "discarded", "hang"}
    tally.check(f"{layer}: verdicts", not others, str(others))
    print(f"{layer}: {len(listed)} listed, {len(gone)} spill, {sum(line['verdict'] == 'hang' for line in listed.values())} do not "
          "compile in time")
    problem = lines[-2]["problem"] if "problem" in lines[-2] else layer
    for name, complaints in compiled(options, problem, kept[:most]).items():
        tally.check(f"{layer}: {name} was kept", not complaints, "; ".join(complaints))
    for name, complaints in compiled(options, problem, gone[:most]).items():
        tally.check(f"{layer}: {name} was discarded", bool(complaints), listed[name]["reason"])
    return len(gone)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("run", "gpu", "tool", "program"):
        parser.add_argument("--" + name, required=True)
    parser.add_argument("--full", action="store_true")
    options, tally = parser.parse_args(), Tally()
    gone = 0
    for layer in LAYERS if options.full else LAYERS[:1]:
        gone += one_layer(options, tally, layer, 1000 if options.full else 16)
    tally.check("some were discarded", gone > 0)
    tally.close()


if __name__ == "__main__":
    sys.exit(main())
