#!/usr/bin/env python3
"""tool_train.py PROGRAM [--backend NAME ...]: `upconv train` and `upconv upscale --filter`. What a run says is compared with
what is in the pictures that it wrote, filters with those of the CPU, and the first gradient with the CPU's reference solver
(--verify, within what rounding may do). Without --backend: all that have a device. What does not depend on a device is
tested with the cpu backend."""
import argparse
import json
import math
import os
import random
import signal
import struct
import subprocess
import tempfile
import time
import xml.etree.ElementTree

import pngfile as png
from tool_testing import Program, Tally, one_sentence

PICTURES = ("low", "bilinear", "bicubic", "trained", "truth", "sides")
# (name, scale, options): what there is to combine, in few runs
VARIANTS = (("kernel 4", 2, ("--kernel", 4)), ("default kernel", 2, ()),
            ("each, bias, charbonnier", 3, ("--channels", "each", "--bias", "--loss", "charbonnier")),
            ("mixed, bias", 2, ("--kernel", 4, "--channels", "mixed", "--bias")), ("scale 4", 4, ("--kernel", 8)),
            ("kernel = scale", 3, ("--kernel", 3)))


def write(path, data):
    with open(path, "wb") as out:
        out.write(data)


def read(path):
    with open(path, "rb") as file:
        return png.decode(file.read())


def npy(values, shape, kind="<f4", fortran=False, version=1, code="f"):
    head = repr({"descr": kind, "fortran_order": fortran, "shape": tuple(shape)}).encode()
    head += b" " * (-(len(head) + (11 if version == 1 else 13)) % 64) + b"\n"
    size = struct.pack("<H" if version == 1 else "<I", len(head))
    return b"\x93NUMPY" + bytes([version, 0]) + size + head + struct.pack(f"<{len(values)}{code}", *values)


def read_npy(path):
    """(shape, values) of what the program writes."""
    with open(path, "rb") as file:
        data = file.read()
    size = struct.unpack("<H", data[8:10])[0]
    if data[:8] != b"\x93NUMPY\x01\x00" or (10 + size) % 64:
        raise ValueError("no NPY file of version 1.0")
    head = eval(data[10:10 + size].decode(), {"__builtins__": {}})  # as numpy.load does, in principle
    if head["descr"] != "<f4" or head["fortran_order"]:
        raise ValueError(str(head))
    return head["shape"], struct.unpack(f"<{math.prod(head['shape'])}f", data[10 + size:])


def scene(width, height, seed, kind=png.RGB):
    """Something with edges, waves and flat areas."""
    dice = random.Random(seed)
    discs = [(dice.uniform(0, width), dice.uniform(0, height), dice.uniform(2, width / 4),
              [dice.randint(0, 255) for _ in range(3)]) for _ in range(60)]
    rows = []
    for y in range(height):
        row = []
        for x in range(width):
            colour = [120 + 60 * math.sin(x / 3 + y / 5)] * 3
            for u, v, r, c in discs:
                if (x - u) ** 2 + (y - v) ** 2 < r * r:
                    colour = c
            row.append(tuple(int(v) for v in colour[:png.CHANNELS[kind]]))
        rows.append(row)
    return png.encode(kind, 8, rows)


def psnr(a, b):
    squares = sum((p - q) ** 2 for left, right in zip(a.rows, b.rows) for u, v in zip(left, right) for p, q in zip(u, v))
    return 10 * math.log10(255 ** 2 * a.width * a.height * a.channels / squares)


class Bench:
    def __init__(self, run, tally, folder):
        self.run, self.tally, self.folder = run, tally, folder
        self.source = os.path.join(folder, "scene.png")
        self.filters = {}  # of the cpu backend, by variant

    def path(self, *names):
        return os.path.join(self.folder, *names)

    def train(self, name, *options, out="out", pictures=None, code=0):
        """(the first line, the reports, the last line), or None, with a failure counted."""
        got = self.run("train", *(pictures or [self.source]), "--out", self.path(out), "--json", *options)
        if not self.tally.check(f"{name}: runs", got.returncode == code, f"{got.returncode} {got.stderr}"):
            return None
        lines = [json.loads(line) for line in got.stdout.splitlines()]
        return lines[0], lines[1:-1], lines[-1]


def learns(bench, backend, name, scale, options):
    """The training part of the scene is one patch, and where one filter serves all channels the scene is grey, so that all
    batches have the same content but for turns."""
    tally, patch, coloured = bench.tally, 48 // scale, "--channels" in options
    write(bench.source, scene(48, 64 - 64 % scale, "learns", png.RGB if coloured else png.GREY))
    label, out = f"{backend} {name}", f"{backend} {name}"
    said = bench.train(label, "--backend", backend, "--scale", scale, "--patch", patch, "--batch", 8, "--steps", 32, "--every",
                       8, "--lr", 0.02, "--verify", *options, out=out)
    if not said:
        return
    head, reports, last = said
    losses = [r["loss"] for r in reports[1:]]
    steps = [r["step"] for r in reports]
    tally.check(f"{label}: reports", steps == [0, 8, 16, 24, 32] and last["stopped"] == "steps", str(reports))
    tally.check(f"{label}: the loss falls", all(a > b for a, b in zip(losses, losses[1:])), str(losses))
    tally.check(f"{label}: gradient", last["gradient_share"] <= 1, str(last))
    tally.check(f"{label}: best is the best", last["best_psnr"] == max(r["psnr"] for r in reports), str(last))
    kernel = head["kernel"]
    wide = kernel >= 2 * scale - scale % 2  # else not all of a bilinear filter has room
    begun = head["bilinear"] if wide else reports[0]["psnr"]
    # where kernel = scale, and no direction differs from another, nearest is the best there is
    better = last["best_psnr"] > begun + 0.05 if wide else last["best_psnr"] >= begun
    tally.check(f"{label}: better than where it began", better, f"{last['best_psnr']} {begun}")
    made = {p: read(bench.path(out, p + ".png")) for p in PICTURES}
    for picture, value in (("bilinear", head["bilinear"]), ("bicubic", head["bicubic"]), ("trained", last["best_psnr"])):
        far = abs(psnr(made[picture], made["truth"]) - value)
        tally.check(f"{label}: PSNR of {picture}.png", far < 1e-6, f"off by {far}")
    if wide:
        tally.check(f"{label}: it begins as bilinear", abs(reports[0]["psnr"] - head["bilinear"]) < 0.05, str(reports[0]))
    for picture in ("bilinear", "bicubic"):
        far = png.difference(made[picture], png.enlarge(made["low"], picture, scale))
        tally.check(f"{label}: {picture}.png by the definition", far <= 0.51, f"off by {far:.3f}")
    same_picture(bench, label, backend, scale, out, made)
    channels = 3 if coloured else 1
    shape, values = read_npy(bench.path(out, "filter.npy"))
    tally.check(f"{label}: shape", shape == (channels, 3 if "mixed" in options else 1, kernel, kernel), str(shape))
    compare_with_cpu(bench, label, backend, name, values, losses)


def same_picture(bench, label, backend, scale, out, made):
    """What upscale makes of the filter, with weights packed into its plan, is what the trainer made."""
    words = ["--filter", bench.path(out, "filter.npy")]
    if os.path.exists(bench.path(out, "bias.npy")):
        words += ["--bias", bench.path(out, "bias.npy")]
    got = bench.run("upscale", bench.path(out, "low.png"), bench.path("again.png"), "--backend", backend, "--scale", scale,
                    *words)
    if bench.tally.check(f"{label}: upscale --filter runs", got.returncode == 0, got.stderr):
        far = png.distance(read(bench.path("again.png")), made["trained"])
        bench.tally.check(f"{label}: upscale --filter makes the same", far <= (0 if backend == "cpu" else 1), f"off by {far}")


def compare_with_cpu(bench, label, backend, name, values, losses):
    if backend == "cpu":
        bench.filters[name] = values, losses
    if name in bench.filters:
        others, their_losses = bench.filters[name]
        far = max(abs(a - b) for a, b in zip(values, others))
        # Adam divides gradients by their own size: what rounding leaves of one that is nearly zero counts in full
        bench.tally.check(f"{label}: the CPU's filter", far < 2e-3, f"off by {far}")
        far = max(abs(a / b - 1) for a, b in zip(losses, their_losses))
        bench.tally.check(f"{label}: the CPU's losses", far < 1e-4, f"off by {far}")


def small_gradient(bench, backend):
    """Short sums leave rounding little room: the bound is 3e-5 of the sum of magnitudes."""
    write(bench.source, scene(48, 48, "small"))
    for words in (("--kernel", 4, "--channels", "each", "--bias"), ("--kernel", 8, "--channels", "mixed")):
        said = bench.train(f"{backend} {words}", "--backend", backend, "--batch", 1, "--patch", 8, "--steps", 1, "--verify",
                           *words)
        if said:
            bench.tally.check(f"{backend} {words}: gradient", said[2]["gradient_share"] <= 1, str(said[2]))


def seeds_and_decay(bench):
    write(bench.source, scene(96, 96, "seeds"))
    quick = ("--backend", "cpu", "--steps", 30, "--every", 10, "--patch", 16, "--batch", 2, "--kernel", 4, "--patience", 0)
    read_filter = lambda out: read_npy(bench.path(out, "filter.npy"))[1]
    os.mkdir(bench.path("a"))
    write(bench.path("a", "bias.npy"), b"of an earlier run")
    for out, seed in (("a", 5), ("b", 5), ("c", 6)):
        bench.train(f"seed {seed}", *quick, "--seed", seed, out=out)
    bench.tally.check("no bias of an earlier run is left", not os.path.exists(bench.path("a", "bias.npy")))
    bench.tally.check("the same seed gives the same filter", read_filter("a") == read_filter("b"))
    bench.tally.check("another seed gives another", read_filter("a") != read_filter("c"))
    start = (1 / 16, 3 / 16, 3 / 16, 1 / 16, 3 / 16, 9 / 16, 9 / 16, 3 / 16) * 2
    start = start[:8] + start[4:8] + start[:4]
    bench.train("strong decay", *quick, "--decay", 90, out="d")
    far = [max(abs(a - b) for a, b in zip(read_filter(out), start)) for out in "ad"]
    bench.tally.check("decay holds the filter at where it began", 2 * far[1] < far[0] > 0.01, str(far))
    got = [bench.train(f"decay to {to}", *quick, "--decay", 5, "--decay-to", to)[1][-1]["psnr"] for to in ("start", "zero")]
    bench.tally.check("decay to zero darkens", got[1] < got[0] - 1, str(got))
    said = bench.train("patience", *quick[:6], "--patch", 16, "--kernel", 4, "--lr", 1e-9, "--patience", 2)
    if said:
        fine = said[2]["stopped"] == "patience" and len(said[1]) == 3 and said[2]["best_step"] == 0
        bench.tally.check("patience", fine, str(said))


def plot_and_text(bench):
    got = bench.run("train", "--backend", "cpu", "--steps", 4, "--every", 2, "--batch", 2, "--out", bench.path("built-in"))
    fine = got.returncode == 0 and "4 pictures" in got.stdout and "--filter" in got.stdout
    bench.tally.check("without pictures", fine, got.stdout + got.stderr)
    tree = xml.etree.ElementTree.parse(bench.path("built-in", "plot.svg"))
    words = " ".join("".join(t.itertext()) for t in tree.getroot().iter("{http://www.w3.org/2000/svg}text"))
    fine = all(w in words for w in ("loss", "PSNR", "bilinear", "bicubic", "trained", "step"))
    bench.tally.check("the plot has its words", fine, words)
    left = [n for n in os.listdir(bench.path("built-in")) if n.endswith(".tmp")]
    bench.tally.check("no temporary files", not left, str(left))


def refused(bench, name, words, sentence):
    got = bench.run("train", *words, "--backend", "cpu", "--steps", 2)
    fine = got.returncode == 1 and one_sentence(got.stderr)
    bench.tally.check(f"{name}: exit code 1 and one sentence", fine, repr(got.stderr))
    bench.tally.check(f"{name}: says '{sentence}'", sentence in got.stderr, got.stderr)


def bad_pictures(bench):
    files = {"small": scene(20, 20, "x"), "grey": scene(96, 96, "x", png.GREY), "colour": scene(96, 96, "x"),
             "clear": png.encode(png.RGBA, 8, [[(1, 2, 3, 0)] * 96] * 96), "broken": b"nonsense",
             "opaque": png.encode(png.RGBA, 8, [[(y, 2 * y, 3, 255)] * 96 for y in range(96)])}
    for name, data in files.items():
        write(bench.path(name + ".png"), data)
    path = lambda name: bench.path(name + ".png")
    to = ("--out", bench.path("bad"))
    refused(bench, "a small picture", (path("small"), *to), "must have 64 x 64 at least")
    refused(bench, "a transparent picture", (path("clear"), *to), "must be opaque")
    refused(bench, "grey and colour", (path("grey"), path("colour"), *to), "all must be grey")
    refused(bench, "a broken file", (path("broken"), *to), "is not a PNG file")
    refused(bench, "a missing file", (path("missing"), *to), "No such file")
    refused(bench, "a folder that cannot be", (path("colour"), "--out", bench.path("no", "folder")), "cannot be made")
    refused(bench, "a file for a folder", (path("colour"), "--out", path("grey")), "Not a directory")
    got = bench.run("train", path("opaque"), path("colour"), "--backend", "cpu", "--steps", 2, *to)
    bench.tally.check("an opacity that is whole is none", got.returncode == 0, got.stderr)
    got = bench.run("train", path("grey"), "--backend", "cpu", "--steps", 2, "--channels", "mixed", *to)
    fine = got.returncode == 0 and read_npy(bench.path("bad", "filter.npy"))[0][:2] == (1, 1)
    bench.tally.check("a grey picture", fine, got.stderr)
    words = ("--out", bench.path("far"), path("colour"), "--lr", 100, "--decay", 1000, "--decay-to", "zero", "--backend", "cpu",
             "--every", 1000)
    got = bench.run("train", *words)
    bench.tally.check("a rate that is too high", got.returncode == 1 and "no longer finite" in got.stderr, got.stderr)
    bench.tally.check("what was best is there", all(map(math.isfinite, read_npy(bench.path("far", "filter.npy"))[1])))


def interrupted(bench):
    write(bench.source, scene(96, 96, "seeds"))
    words = [bench.run.path, "train", bench.source, "--out", bench.path("stopped"), "--backend", "cpu", "--steps", "1000000",
             "--every", "10", "--json", "--patience", "0"]
    with subprocess.Popen(words, env=bench.run.env, stdout=subprocess.PIPE, text=True) as process:
        for _ in range(4):
            process.stdout.readline()
        process.send_signal(signal.SIGINT)
        rest, end = process.stdout.read(), time.monotonic() + 60
        code = process.wait(max(end - time.monotonic(), 1))
    last = json.loads(rest.splitlines()[-1])
    bench.tally.check("Ctrl-C", code == 1 and last["stopped"] == "interrupted", f"{code} {last}")
    left = [n for n in os.listdir(bench.path("stopped")) if n.endswith(".tmp")]
    bench.tally.check("Ctrl-C leaves a filter and no temporary files",
                      len(read_npy(bench.path("stopped", "filter.npy"))[1]) == 64 and not left, str(left))


def filters(bench):
    """Files that upscale takes, and those that it does not."""
    flat = [1 / 4] * 16
    good = npy(flat, (1, 1, 4, 4))
    write(bench.source, scene(20, 16, "filters"))
    write(bench.path("grey.png"), scene(20, 16, "filters", png.GREY))
    write(bench.path("rgba.png"), png.encode(png.RGBA, 8, [[(9, 99, 199, 255)] * 8] * 8))
    path = bench.path("some.npy")

    def upscale(data, *options, source=bench.source):
        write(path, data)
        return bench.run("upscale", source, bench.path("up.png"), "--backend", "cpu", "--filter", path, *options)

    each, mixed = npy(flat * 3, (3, 1, 4, 4)), npy((flat + [0] * 48) * 2 + flat, (3, 3, 4, 4))
    for name, data, options in (("version 2", npy(flat, (1, 1, 4, 4), version=2), ()),
                                ("version 3", npy(flat, (1, 1, 4, 4), version=3), ()),
                                ("each", each, ()), ("mixed", mixed, ()), ("scale 4", good, ("--scale", 4))):
        got = upscale(data, *options)
        bench.tally.check(f"{name} is taken", got.returncode == 0, got.stderr)
    for source in ("grey.png", "rgba.png"):
        got = upscale(good, "--verify", source=bench.path(source))
        bench.tally.check(f"one filter suits {source}", got.returncode == 0, got.stderr)
    # the identity of channels, once as three filters and once as nine
    upscale(each)
    first = read(bench.path("up.png"))
    upscale(mixed)
    bench.tally.check("each and mixed agree", png.distance(first, read(bench.path("up.png"))) <= 1)
    bad = [("empty", b"", "no NPY file"), ("a text", b"hello, this is no filter at all", "no NPY file"),
           ("float64", npy(flat, (1, 1, 4, 4), "<f8", code="d"), "'<f8'"),
           ("big endian", npy(flat, (1, 1, 4, 4), ">f4"), "'>f4'"),
           ("Fortran order", npy(flat, (1, 1, 4, 4), fortran=True), "Fortran order"),
           ("rank 2", npy(flat, (4, 4)), "(in, out / groups"),
           ("five axes", npy(flat, (1, 1, 1, 4, 4)), "more than 4 axes"),
           ("version 9", good[:6] + b"\x09" + good[7:], "version 9.0"),
           ("a NaN", npy(flat[:15] + [math.nan], (1, 1, 4, 4)), "element 15 is NaN"),
           ("an infinity", npy([math.inf] + flat[1:], (1, 1, 4, 4)), "element 0 is infinite"),
           ("no square", npy(flat, (1, 1, 2, 8)), "must be square"), ("an odd kernel", npy(flat[:9], (1, 1, 3, 3)), "a side"),
           ("a kernel below the scale", npy(flat[:1], (1, 1, 1, 1)), "a side"),
           ("a wide kernel", npy([0] * 676, (1, 1, 26, 26)), "a side"),
           ("5 channels", npy(flat * 5, (5, 1, 4, 4)), "it is for 5 channels"),
           ("groups", npy(flat * 6, (3, 2, 4, 4)), "second extent"),
           ("extent 0", npy([], (1, 1, 0, 4)), "above 0"), ("huge", npy([], (1, 1, 99999, 99999)), "at most"),
           ("too few bytes", good[:-1], "asks for 64"), ("too many", good + b"\0", "asks for 64")]
    bad += [(f"truncated to {n} bytes", good[:n], "") for n in (5, 8, 9, 11, 40, 100, 128)]
    for name, data, sentence in bad:
        got = upscale(data)
        fine = got.returncode == 1 and one_sentence(got.stderr) and path in got.stderr and sentence in got.stderr
        bench.tally.check(f"{name} is refused", fine, repr(got.stderr))
    got = upscale(each, source=bench.path("grey.png"))
    bench.tally.check("three channels on a grey picture", got.returncode == 1 and "the picture has 1" in got.stderr, got.stderr)
    got = bench.run("upscale", bench.source, bench.path("up.png"), "--backend", "cpu", "--filter", bench.path("none.npy"))
    bench.tally.check("a missing filter", got.returncode == 1 and one_sentence(got.stderr), got.stderr)
    bias = bench.path("bias.npy")
    for name, data, fine in (("of 3", npy([0.5] * 3, (3,)), True), ("of 1", npy([0.5], (1,)), True),
                             ("of 2", npy([0] * 2, (2,)), False),
                             ("rank 2", npy([0] * 3, (3, 1)), False), ("NaN", npy([math.nan] * 3, (3,)), False)):
        write(bias, data)
        got = upscale(npy([0] * 16, (1, 1, 4, 4)), "--bias", bias)
        as_meant = got.returncode == (0 if fine else 1) and (fine or one_sentence(got.stderr))
        bench.tally.check(f"a bias {name}", as_meant, got.stderr)
        if fine:
            seen = {p for row in read(bench.path("up.png")).rows for p in row}
            bench.tally.check(f"a bias {name} is added, of a range from 0 to 1", seen == {(128, 128, 128)}, str(seen))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("program")
    parser.add_argument("--backend", action="append")
    arguments = parser.parse_args()
    run, tally = Program(arguments.program), Tally()
    there = run.backends()
    wanted = arguments.backend or ["cpu", "vulkan", "opencl"]
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(run, tally, folder)
        for backend in wanted:
            if backend not in there:
                tally.skip(backend, "no device")
                continue
            if backend != "cpu":  # to compare with
                for name, scale, options in VARIANTS[1:4]:
                    learns(bench, "cpu", name, scale, options)
            for name, scale, options in VARIANTS if backend == "cpu" else VARIANTS[1:4]:
                learns(bench, backend, name, scale, options)
            small_gradient(bench, backend)
        if "cpu" in wanted:
            for part in (seeds_and_decay, plot_and_text, bad_pictures, interrupted, filters):
                part(bench)
    tally.close()


if __name__ == "__main__":
    main()
