#!/usr/bin/env python3
"""Kernels on the compiler of one mobile GPU: everything compiles, and what the solvers guess from its facts does not spill.
Plans under the name `any` have a configuration that nobody guessed: they must compile but may spill.

mobile.py --run RUN --gpu NAME --program mobile_check [--problems FILE] [--large | --part N | --control] [--verbose]

--control: shows that a spill is seen, on a kernel that keeps more values than any of these GPUs has registers for.
--part: of the file's problems every fourth, from the one of number N modulo 4 on; N also chooses which problems have
configurations that nobody guessed. RUN starts a program with that GPU's driver. One plan (problem, solver, weights frozen or given) is one test.
"""
import argparse
import os
import re
import subprocess
import sys
import tempfile

# Private memory as the drivers name it: ir3 by its instructions, v3d by its scratch and the traffic to it.
SPILLS = re.compile(r"STP Count|LDP Count|Spill Size|TMU Spills|TMU Fills|[Ss]pill|[Ff]ill")
THREADS = re.compile(r"Thread Count")


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", required=True)
    parser.add_argument("--gpu", required=True)
    parser.add_argument("--program", required=True)
    parser.add_argument("--problems", help="a file of lines NAME PROBLEM; # begins a comment")
    parser.add_argument("--large", action="store_true", help="also configurations that take minutes to compile")
    parser.add_argument("--part", type=int)
    parser.add_argument("--control", action="store_true")
    parser.add_argument("--verbose", action="store_true", help="print every statistic")
    return parser.parse_args()


def read_problems(path):
    problems = []
    with open(path, encoding="utf-8") as file:
        for line in file:
            words = line.split("#")[0].split()
            if len(words) >= 2:
                problems.append(f"{words[0]}={words[1]}")
    return problems


def judge_statistics(lines):
    """{(name, solver:config): [complaints]}, and the fewest threads that any kernel runs with."""
    complaints, threads = {}, None
    for line in lines:
        match = re.match(r"stat (\S+) (\S+) step (\d+): (.+) = (\S+)$", line)
        if not match:
            continue
        name, config, step, statistic, value = match.groups()
        found = complaints.setdefault((name, config), [])
        if SPILLS.search(statistic) and float(value) > 0:
            found.append(f"step {step}: {statistic} {value}")
        if THREADS.search(statistic):
            threads = float(value) if threads is None else min(threads, float(value))
    return complaints, threads


def judge_shader_db(lines):
    """Mali's driver prints one line per shader, after our line that names the plan."""
    complaints, threads, current, shaders = {}, None, None, 0
    for line in lines:
        plan = re.match(r"plan (\S+) (\S+) (\S+)$", line)
        found = re.search(r"SHADER-DB:.* (\d+) threads,.* (\d+):(\d+) spills:fills", line)
        if plan:
            current = plan.groups()
        elif found:
            shaders += 1
            few, spills, fills = map(int, found.groups())
            threads = few if threads is None else min(threads, few)
            if current and (spills or fills):
                complaints.setdefault(current, []).append(f"{spills} spills, {fills} fills")
    return complaints, threads, shaders


def run_check(options, words, shaders=None):
    # Mesa's layer that chooses among devices is built for another C library than the one these drivers run on
    env = {**os.environ, "NODEVICE_SELECT": "1", **({"UPCONV_SHADERS": shaders} if shaders else {})}
    return subprocess.run([options.run, options.gpu, options.program, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          check=False, universal_newlines=True, errors="replace", env=env)


def control(options):
    """The pooling kernel with many values that are all read, then needed once more, the last ones first."""
    values = range(600 if options.gpu.startswith("adreno") else 100) # the others' compilers take their time to spill
    lines = [f"    const real many_{k} = OF_0(TAKE(GLOBAL_ID(0) * 2400 + {4 * k}));" for k in values]
    lines += ["    real sum = 1.0f;"] + [f"    sum = sum * sum + many_{k};" for k in values]
    lines += [f"    sum = sum * sum + many_{k};" for k in reversed(values)] + ["    if (sum > 7.0f)", "        return;"]
    with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "shaders", "pool.kernel"), encoding="utf-8") as file:
        head, body = file.read().split("\nKERNEL(", 1)
    signature, rest = body.split("\n{\n", 1)
    with tempfile.TemporaryDirectory() as folder:
        with open(os.path.join(folder, "pool.kernel"), "w", encoding="utf-8") as file:
            file.write(head + "\nKERNEL(" + signature + "\n{\n" + "\n".join(lines) + "\n" + rest)
        done = run_check(options, ["--only", "planted=pool:ic64_ih64kh2sh2=pool"], folder)
    by_statistics, _ = judge_statistics(done.stdout.splitlines())
    by_driver, _, _ = judge_shader_db(done.stderr.splitlines())
    found = [why for complaints in (*by_statistics.values(), *by_driver.values()) for why in complaints]
    print("\n".join(found) if found else f"FAILED the planted spill is not seen\n{done.stdout}\n{done.stderr}")
    print(f"{len(found) > 0:d} passed, {len(found) == 0:d} failed, 0 skipped")
    return 0 if found else 1


def main():
    options = arguments()
    if options.control:
        return control(options)
    problems = read_problems(options.problems) if options.problems else []
    large = ["--large"] if options.large else []
    if options.part is not None:
        large, problems = ["--part", str(options.part)], problems[options.part % 4::4]
    done = run_check(options, [*large, *problems])
    out, err = done.stdout.splitlines(), done.stderr.splitlines()
    if options.verbose:
        print(done.stdout, done.stderr, sep="\n")
    spilled, fewest = judge_statistics(out)
    mali_spilled, mali_fewest, shaders = judge_shader_db(err)
    plans = [match for match in (re.match(r"plan (\S+) ((\S+?):\S*) (\S+): .* (\d+) statistics", line) for line in out)
             if match]
    passed = failed = 0
    for line in out:
        if line.startswith("device "):
            print(line)
        if line.startswith("FAILED"):
            print(line)
            failed += 1
    for match in plans:
        name, config, solver, weights, statistics = match.groups()
        why = spilled.get((name, config), []) + mali_spilled.get((name, solver, weights), []) if name != "any" else []
        if int(statistics) == 0 and not shaders:
            why.append("the driver gave no statistics")
        if why:
            print(f"FAILED {name} {config} {weights}: {'; '.join(dict.fromkeys(why))}")
            failed += 1
        else:
            passed += 1
    if done.returncode not in (0, 1) or not plans:
        print(f"FAILED the program ended with {done.returncode} after {len(plans)} plans")
        print("\n".join(err[-10:]))
        failed += 1
    spilling = sum(1 for found in (spilled, mali_spilled) for key, why in found.items() if key[0] == "any" and why)
    print(f"{spilling} of the other configurations spill")
    threads = min((t for t in (fewest, mali_fewest) if t is not None), default=None)
    if threads is not None:
        print(f"fewest threads of a kernel: {threads:g}")
    print(f"{passed} passed, {failed} failed, 0 skipped")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
