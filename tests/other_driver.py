"""A record of another driver whose configuration does not work under this one: it is tried once, remembered, and not used.

other_driver.py PROGRAM MAKER --backend NAME: MAKER writes a record of a solver that the cost model would not take; its kernel is then
spoiled, in a copy of the kernels that UPCONV_SHADERS names.
"""
import json
import os
import shutil
import subprocess
import sys
import tempfile

from tool_testing import Program, Tally

SHADERS = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "shaders")
PROBLEM = "ic32oc16_ih16kh4sh2ph1"
QUICK = ("--runs", "1", "--seconds", "0")


def main():
    run, tally = Program(sys.argv[1]), Tally()
    maker, backend = sys.argv[2], sys.argv[4]
    made = subprocess.run([maker, backend, PROBLEM], capture_output=True, text=True, check=False).stdout
    if made.startswith("SKIPPED"):
        tally.skip(backend, made[8:].strip())
        tally.close()
    record = json.loads(made)
    kernel = record["solver"] + ".kernel"
    record["driver"] = "an older " + record["driver"]
    with tempfile.TemporaryDirectory() as folder:
        records, shaders = os.path.join(folder, "records.jsonl"), os.path.join(folder, "shaders")
        with open(records, "w", encoding="utf-8") as out:
            out.write(json.dumps(record) + "\n")
        shutil.copytree(SHADERS, shaders)
        where = ("bench", PROBLEM, "--backend", backend, "--records", records, *QUICK)
        got = run(*where, "--effort", "known", "--json", "--check")
        tally.check("it is used where it works", got.returncode == 0 and json.loads(got.stdout)["solver"] == record["solver"],
                    got.stdout + got.stderr)
        with open(os.path.join(shaders, kernel), "w", encoding="ascii") as out:
            out.write("this is no kernel\n")
        got = run(*where, "--effort", "known", UPCONV_SHADERS=shaders)
        tally.check("it is not used where it does not", got.returncode == 1 and "no tuning record fits" in got.stderr, got.stderr)
        got = run(*where, "--json", "--check", UPCONV_SHADERS=shaders)
        tally.check("and the cost model takes over", got.returncode == 0 and json.loads(got.stdout)["solver"] != record["solver"],
                    got.stdout + got.stderr)
    tally.close()


if __name__ == "__main__":
    main()
