#!/usr/bin/env python3
"""What default plans make of published layers on the compiler of one mobile GPU: no spill, two threads on V3D, compiled in a second,
and what a step of the hot loop costs, from the difference of two unroll factors; never worse than docs/performance.md says.

mobile_goals.py --run RUN --gpu NAME --program mobile_check --problems FILE [--docs performance.md] [--verbose]

Without --docs the table's row is only printed. A layer in one type and layout is one test; layers of one group, 32 or more
channels in and out and more than 16 output positions have their loop measured.
"""
import argparse
import math
import os
import re
import subprocess
import sys

TYPES = {"f32": "", "f16": "+f16"}
LAYOUTS = {"NCHW": "", "NC4HW4": "+nc4hw4"}
UNROLLS = (2, 4)
COMPILE_MS = 2000 # a second, with slack for machines that do other things too
NCHW_FACTOR = 1.501
WORSE = 1.03 # than the table
ADRENO = re.compile(r"adreno-(660|730|740|750)$")


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("run", "gpu", "program", "problems"):
        parser.add_argument("--" + name, required=True)
    parser.add_argument("--docs")
    parser.add_argument("--verbose", action="store_true")
    return parser.parse_args()


def read_layers(path):
    with open(path, encoding="utf-8") as file:
        lines = [line.split("#")[0].split() for line in file]
    return [(words[0], words[1]) for words in lines if len(words) >= 2]


class Layer:
    """The numbers of a problem's notation."""

    def __init__(self, text):
        fields = {name: int(value) for name, value in re.findall(r"(mb|g|ic|oc|[iokspd][dhw])(\d+)", text)}
        self.groups, self.batch = fields.get("g", 1), fields.get("mb", 1)
        self.inputs, self.outputs = fields["ic"], fields["oc"]
        axes = [axis for axis in "dhw" if "i" + axis in fields or (axis == "w" and "ih" in fields)]

        def of(letter, axis):
            return fields.get(letter + axis, fields.get(letter + "h", 1))

        self.input = [of("i", axis) for axis in axes]
        self.kernel = [of("k", axis) for axis in axes]
        self.positions = math.prod(of("o", axis) for axis in axes)
        self.macs = self.batch * self.inputs * self.outputs // self.groups * math.prod(self.input) * math.prod(self.kernel)
        # items of the pass that copies: four channels of a position each, with as many zeros around as there can be
        around = math.prod(i + 2 * (k - 1) for i, k in zip(self.input, self.kernel))
        self.copies = self.batch * ((self.inputs + 3) // 4) * around
        self.measured = self.groups == 1 and min(self.inputs, self.outputs) >= 32 and self.positions > 16


class Plan:
    """What mobile_check said of one plan: its configuration, and the statistics of each kernel."""

    def __init__(self):
        self.config, self.ms, self.kernels, self.failed = None, 0.0, [], None

    def knob(self, name):
        found = re.search(rf"\b{name}=(\d+)", self.config)
        return int(found[1]) if found else 0


def run_plans(options, plans):
    """plans: [(problem, solver:config or '')]; one Plan each, in order."""
    words = [f"p{i}={problem}={solver}" for i, (problem, solver) in enumerate(plans)]
    done = subprocess.run([options.run, options.gpu, options.program, "--only", *words], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, check=False, universal_newlines=True, errors="replace",
                          env={**os.environ, "NODEVICE_SELECT": "1"})
    made = [Plan() for _ in plans]
    for line in done.stdout.splitlines():
        figure = re.match(r"stat p(\d+) \S+ step (\d+): (.+) = (\S+)$", line)
        plan = re.match(r"plan p(\d+) (\S+) \S+: .* ([\d.]+) ms in the compiler", line)
        failed = re.match(r"FAILED p(\d+) (.*)", line)
        if figure:
            kernels = made[int(figure[1])].kernels
            while len(kernels) <= int(figure[2]):
                kernels.append({})
            kernels[int(figure[2])][figure[3]] = float(figure[4])
        elif plan:
            made[int(plan[1])].config, made[int(plan[1])].ms = plan[2], float(plan[3])
        elif failed:
            made[int(failed[1])].failed = failed[2]
    current = None
    for line in done.stderr.splitlines() if options.gpu.startswith("mali") else []:
        plan = re.match(r"plan p(\d+) ", line)
        if plan:
            current = made[int(plan[1])]
            current.kernels = []
        elif "SHADER-DB:" in line and current:
            current.kernels.append(shader_db(line))
    for plan in made:
        if plan.config is None and plan.failed is None:
            plan.failed = f"the program ended with {done.returncode}: {done.stderr[-200:]}"
    return made


def shader_db(line):
    figures = {name: float(value) for value, name in re.findall(r"([\d.]+) (fma|arith|t|texture|ls|ldst|threads)\b", line)}
    spills = re.search(r"(\d+):(\d+) spills:fills", line)
    figures.update({"ls": figures.get("ls", figures.get("ldst")), "t": figures.get("t", figures.get("texture")),
                    "spills": float(spills[1]) + float(spills[2])})
    return figures


def spilled(kernel):
    return sum(kernel.get(name, 0) for name in ("spills", "STP Count", "LDP Count", "Spill Size", "TMU Spills", "TMU Fills"))


def judge(plan):
    if plan.failed:
        return [plan.failed]
    why = [f"{plan.config} spills" for kernel in plan.kernels if spilled(kernel)]
    why += ["one thread" for kernel in plan.kernels if kernel.get("Thread Count", 2) < 2]
    if plan.ms > COMPILE_MS:
        why.append(f"{plan.ms:.0f} ms in the compiler")
    return why


class Loop:
    """Cost of a multiply-add: of the loop, and with what the copying of the input adds to it."""

    def __init__(self, gpu, layer, fours, few, many, copy):
        adds = few.knob("tile") * few.knob("oc") * (4 if fours else 1) * (UNROLLS[1] - UNROLLS[0])
        more = {name: (many.kernels[-1][name] - few.kernels[-1][name]) / adds for name in few.kernels[-1]}
        mali = gpu.startswith("mali")
        self.loads, self.texels = (more["ls"], more["t"]) if mali else (0, 0)
        self.share = 0 if mali else 1 / more["Instruction Count"]
        self.cost = self.loads + self.texels if mali else more["Instruction Count"]
        if few.knob("stage") and copy:
            self.cost += (copy["ls"] if mali else copy["Instruction Count"]) * layer.copies / layer.macs

    def complaints(self, gpu, half):
        why = []
        if ADRENO.match(gpu) and self.share < (0.60 if half else 0.75):
            why.append(f"multiply-adds are {self.share * 100:.1f} % of the loop")
        if gpu == "mali-g610" and self.loads > (0.07 if half else 0.09):
            why.append(f"{self.loads:.3f} load/store cycles a multiply-add")
        return why


def copying(plans):
    """The pass that copies, where it stands before another kernel; on Mali it is told of once only, for it is shared."""
    return next((plan.kernels[0] for plan in plans if not plan.failed and plan.knob("stage") and len(plan.kernels) > 1), None)


def measure_loops(options, layers, kind, layout, plans):
    """{name: Loop or None}"""
    chosen = [i for i, (_, layer, _) in enumerate(layers) if layer.measured and not plans[i].failed]
    asked = []
    for i in chosen:
        for unroll in UNROLLS:
            config = re.sub(r"unroll=\d+", f"unroll={unroll}", plans[i].config)
            asked.append((layers[i][2] + TYPES[kind] + LAYOUTS[layout], config))
    made, loops, copy = run_plans(options, asked), {}, copying(plans)
    for at, i in enumerate(chosen):
        few, many = made[2 * at], made[2 * at + 1]
        fours = plans[i].knob("stage") == 4 or layout == "NC4HW4" and layers[i][1].inputs % 4 == 0
        usable = "unroll" in plans[i].config and not few.failed and not many.failed and few.kernels and many.kernels
        loops[layers[i][0]] = Loop(options.gpu, layers[i][1], fours, few, many, copy) if usable else None
    return loops


class Table:
    """A GPU's row: the worst and the middle layer of each type, and NCHW's cost over that of channel-packed tensors."""

    def __init__(self, gpu):
        self.gpu, self.better_up = gpu, gpu.startswith("adreno")
        self.cells = {}

    def add(self, kind, loops, factors):
        figures = sorted((loop.share if self.better_up else loop.loads) for loop in loops if loop)
        if not figures:
            self.cells[kind] = ["-", "-", "-"]
            return
        if not self.better_up:
            figures.reverse()
        form = "{:.1f} %" if self.better_up else "{:.3f}"
        scale = 100 if self.better_up else 1
        self.cells[kind] = [form.format(figures[0] * scale), form.format(figures[len(figures) // 2] * scale),
                            f"{max(factors):.2f}" if factors else "-"]

    def row(self):
        return f"| {self.gpu} | " + " | ".join(cell for kind in TYPES for cell in self.cells[kind]) + " |"

    def worse_than(self, line):
        why = []
        theirs = [cell.strip() for cell in line.strip().strip("|").split("|")][1:]
        mine = [cell for kind in TYPES for cell in self.cells[kind]]
        for i, (now, then) in enumerate(zip(mine, theirs)):
            if now == "-" or then == "-":
                continue
            a, b = float(now.split()[0]), float(then.split()[0])
            up = self.better_up and i % 3 < 2
            if (a * WORSE < b) if up else (a > b * WORSE + 0.001):
                why.append(f"column {i + 2} of its row in the table is {now}, no longer {then}")
        return why


def main():
    options = arguments()
    layers = [(name, Layer(text), text) for name, text in read_layers(options.problems)]
    table, passed, failed = Table(options.gpu), 0, []
    loops_wanted = not options.gpu.startswith("v3d") # where a loop that is written out would spill
    for kind, suffix in TYPES.items():
        loops = {}
        for layout, more in LAYOUTS.items():
            plans = run_plans(options, [(text + suffix + more, "") for _, _, text in layers])
            loops[layout] = measure_loops(options, layers, kind, layout, plans) if loops_wanted else {}
            for (name, _, _), plan in zip(layers, plans):
                why, loop = judge(plan), loops[layout].get(name)
                if layout == "NC4HW4" and name in loops[layout]:
                    why += loop.complaints(options.gpu, kind == "f16") if loop else [f"{plan.config} has no loop to measure"]
                if options.verbose:
                    print(name, kind, layout, plan.config, f"{plan.ms:.0f} ms",
                          f"share {loop.share:.3f} loads {loop.loads:.3f} texels {loop.texels:.3f} cost {loop.cost:.3f}" if loop else "")
                failed += [f"{name} {kind} {layout}: {'; '.join(why)}"] if why else []
                passed += not why
        both = [(name, loops["NCHW"][name].cost / loop.cost) for name, loop in loops["NC4HW4"].items()
                if loop and loops["NCHW"].get(name)]
        failed += [f"{name} {kind}: NCHW costs {factor:.2f} times what channel-packed tensors do"
                   for name, factor in both if factor > NCHW_FACTOR]
        table.add(kind, loops["NC4HW4"].values(), [factor for _, factor in both])
    print(table.row())
    if options.docs:
        with open(options.docs, encoding="utf-8") as file:
            rows = [line for line in file if line.startswith(f"| {options.gpu} |")]
        failed += table.worse_than(rows[0]) if rows else [f"{options.docs} has no row for {options.gpu}"]
    for line in failed:
        print(f"FAILED {line}")
    print(f"{passed} passed, {len(failed)} failed, 0 skipped")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
