"""An app that embeds tuning records gets the tuned plan: at once, with nothing measured, offline.

embedded.py BACKEND MAKER COMPILER... -- LINK... compiles tests/embedded_app.c, with a record that MAKER writes made into a C
table by tools/records/embed.py, and links it with the static library. The table takes the place of the library's own. What is
asserted are counts; times are said.
"""
import json
import os
import subprocess
import sys
import tempfile

from tool_testing import Tally

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(HERE)
PROBLEM = "ic32oc16_ih16kh4sh2ph1+relu"


def run(*words):
    env = {k: v for k, v in os.environ.items() if not k.startswith("UPCONV_")}
    if words[-1] != "cpu":
        env["ASAN_OPTIONS"] = env.get("ASAN_OPTIONS", "") + ":detect_leaks=0" # drivers'
    return subprocess.run(words, capture_output=True, text=True, check=False, env=env)


def must(got):
    if got.returncode:
        sys.exit(f"{got.args[0]}: exit code {got.returncode}\n{got.stdout}{got.stderr}\n0 passed, 1 failed, 0 skipped")
    return got.stdout


def main():
    backend, maker = sys.argv[1:3]
    middle = sys.argv.index("--")
    compiler, link = sys.argv[3:middle], sys.argv[middle + 1:]
    tally = Tally()
    line = must(run(maker, backend, PROBLEM))
    if line.startswith("SKIPPED"):
        tally.skip(backend, line[8:].strip())
        tally.close()
    record = json.loads(line)
    wanted = record["solver"] + ":" + ",".join(f"{knob}={value}" for knob, value in record["config"].items())
    with tempfile.TemporaryDirectory() as folder:
        records, table, app = (os.path.join(folder, name) for name in ("records.jsonl", "table.c", "app"))
        with open(records, "w", encoding="utf-8") as out:
            out.write(line)
        must(run(sys.executable, os.path.join(ROOT, "tools", "records", "embed.py"), table, records))
        source = os.path.join(HERE, "embedded_app.c")
        must(run(*compiler, "-I" + os.path.join(ROOT, "api"), source, table, "-o", app, *link))
        os.remove(records)
        os.remove(table)
        lines = must(run(app, backend, PROBLEM, wanted.rstrip(":"))).splitlines()
        plans = {told["plan"]: told for told in map(json.loads, lines)}
    for told in plans.values():
        print(f"{told['plan']:8} {told['tier']:7} {told['choice']}: {told['ms']:.2f} ms, of which "
              f"{told['besides_compiling_ms']:.2f} not in compilers; {told['compiles']} compiled, {told['runs']} run")
    model, named, shipped = plans["model"], plans["named"], plans["shipped"]
    tally.check("without records it is the cost model's plan", model["tier"] == "model" and not model["shipped"] and
                model["choice"] != wanted, str(model))
    tally.check("with them it is the tuned one", shipped["tier"] == "exact" and shipped["shipped"] == 1 and
                shipped["choice"] == wanted and shipped["records"] == 1, str(shipped))
    tally.check("nothing runs on the device", shipped["runs"] == 0 and model["runs"] == 0, str(shipped))
    tally.check("nothing is compiled but that plan's kernels", shipped["compiles"] == named["compiles"], f"{shipped} {named}")
    tally.close()


if __name__ == "__main__":
    main()
