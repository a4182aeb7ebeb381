#!/usr/bin/env python3
"""tool_upscale.py PROGRAM [--backend NAME ...]: `upconv upscale` against the filters' definitions, computed here, against
ImageMagick, between backends, and with files that are broken. Without --backend: all that have a device. What does not
depend on a device is tested with the cpu backend."""
import argparse
import itertools
import os
import random
import shutil
import signal
import struct
import subprocess
import tempfile
import time
import zlib

import pngfile as png
from tool_testing import Program, Tally, one_sentence

KERNELS = ("bilinear", "bicubic", "lanczos")
SCALES = (2, 3, 4)
KINDS = ("grey8", "grey16", "rgb8", "rgb16", "ga8", "ga16", "rgba8", "rgba16")
FORMS = {"grey": png.GREY, "rgb": png.RGB, "ga": png.GREY_ALPHA, "rgba": png.RGBA}
ROUNDING = 0.51  # of an exact result to the nearest step, and a little for f32


def write(path, data):
    with open(path, "wb") as out:
        out.write(data)


def read(path):
    with open(path, "rb") as file:
        return png.decode(file.read())


def noise(kind, width, height, seed, low=0.0, high=1.0):
    """A picture of noise in [low, high]; over the whole range, where there is alpha, with edges wholly clear or opaque."""
    name, depth = kind.rstrip("0123456789"), int(kind.lstrip("abgrey"))
    form, most, dice = FORMS[name], (1 << depth) - 1, random.Random(seed)
    rows = []
    for y in range(height):
        row = []
        for x in range(width):
            pixel = [dice.randint(round(low * most), round(high * most)) for _ in range(png.CHANNELS[form])]
            if form in (png.GREY_ALPHA, png.RGBA) and low == 0 and (x * 3 < width or y * 3 < height):
                pixel[-1] = 0 if x * 3 < width else most
            row.append(tuple(pixel))
        rows.append(row)
    return png.Picture(form, depth, rows)


class Bench:
    """A folder, the program, the tally."""

    def __init__(self, run, tally, folder):
        self.run, self.tally, self.folder = run, tally, folder
        self.source, self.target = os.path.join(folder, "in.png"), os.path.join(folder, "out.png")

    def upscale(self, name, data, *options, target=None):
        """The enlarged picture, or None, with a failure counted."""
        target = target or self.target
        if os.path.exists(target):
            os.remove(target)
        write(self.source, data)
        got = self.run("upscale", self.source, target, *options)
        if not self.tally.check(f"{name}: runs", got.returncode == 0 and os.path.exists(target), got.stderr):
            return None
        return read(target)

    def compare(self, name, picture, data, backend, kernel, scale, bound=ROUNDING):
        got = self.upscale(name, data, "--backend", backend, "--kernel", kernel, "--scale", scale)
        if got is None:
            return None
        form = (got.kind, got.depth, got.width, got.height)
        want = (picture.kind, picture.depth, picture.width * scale, picture.height * scale)
        if self.tally.check(f"{name}: form", form == want, f"{form}, not {want}"):
            far = png.difference(got, png.enlarge(picture, kernel, scale))
            self.tally.check(f"{name}: by the definition", far <= bound, f"off by {far:.3f} steps")
        return got


def by_definition(bench, backends):
    """Every kind, scale and kernel on the CPU; on the others every kernel and scale with kinds and sizes taking turns."""
    sizes = itertools.cycle(((9, 7), (1, 1), (5, 12), (1, 6), (8, 8), (17, 3), (6, 1)))
    for kind, scale, kernel in itertools.product(KINDS if "cpu" in backends else (), SCALES, KERNELS):
        size = next(sizes)
        picture = noise(kind, *size, seed=f"{kind}{size}")
        # 16 bits of a nearly transparent pixel hang on the last bits of f32 sums
        bound = 1 if kind in ("ga16", "rgba16") else ROUNDING
        data = png.encode(picture.kind, picture.depth, picture.rows)
        bench.compare(f"cpu {kind} {size[0]}x{size[1]} {kernel} x{scale}", picture, data, "cpu", kernel, scale, bound)
    for backend in backends:
        kinds = itertools.cycle(KINDS)
        for scale, kernel in itertools.product(SCALES, KERNELS):
            if backend == "cpu":
                continue
            kind, size = next(kinds), next(sizes)
            picture = noise(kind, *size, seed=f"{backend}{size}")
            data = png.encode(picture.kind, picture.depth, picture.rows)
            name = f"{backend} {kind} {size[0]}x{size[1]} {kernel} x{scale}"
            got = bench.compare(name, picture, data, backend, kernel, scale, 1)
            cpu = bench.upscale(name, data, "--backend", "cpu", "--kernel", kernel, "--scale", scale)
            if got and cpu:
                far = png.distance(got, cpu)
                bench.tally.check(f"{name}: agrees with the CPU", far <= 1, f"off by {far:.3f} steps")


def file_forms(bench):
    """Palettes, few bits, transparent colours, interlacing, colour information."""
    dice = random.Random(5)
    for depth in (1, 2, 4, 8):
        most = (1 << depth) - 1
        for interlaced in (False, True):
            name = f"grey {depth} bits{', interlaced' if interlaced else ''}"
            stored = [[(dice.randint(0, most),) for _ in range(11)] for _ in range(10)]
            meant = png.Picture(png.GREY, 8, [[(v * 255 // most,) for (v,) in row] for row in stored])
            bench.compare(name, meant, png.encode(png.GREY, depth, stored, interlaced), "cpu", "bilinear", 2)
            palette = [tuple(dice.randint(0, 255) for _ in range(3)) for _ in range(most + 1)]
            plte = png.chunk(b"PLTE", bytes(v for colour in palette for v in colour))
            meant = png.Picture(png.RGB, 8, [[palette[v] for (v,) in row] for row in stored])
            name = name.replace("grey", "palette")
            bench.compare(name, meant, png.encode(png.PALETTE, depth, stored, interlaced, plte), "cpu", "bicubic", 3)
            opacity = [dice.randint(0, 255) for _ in palette]
            meant = png.Picture(png.RGBA, 8, [[palette[v] + (opacity[v],) for (v,) in row] for row in stored])
            data = png.encode(png.PALETTE, depth, stored, interlaced, plte + png.chunk(b"tRNS", bytes(opacity)))
            bench.compare(name + ", tRNS", meant, data, "cpu", "bilinear", 2)
    for kind in KINDS:
        picture = noise(kind, 13, 9, seed=kind)
        data = png.encode(picture.kind, picture.depth, picture.rows, interlaced=True)
        bench.compare(f"{kind}, interlaced", picture, data, "cpu", "bilinear", 2, 1)
    for depth in (8, 16):
        rows = [[(dice.choice((7, 200)),) for _ in range(8)] for _ in range(8)]
        meant = png.Picture(png.GREY_ALPHA, depth, [[(v, 0 if v == 7 else (1 << depth) - 1) for (v,) in row] for row in rows])
        data = png.encode(png.GREY, depth, rows, extra=png.chunk(b"tRNS", struct.pack(">H", 7)))
        bench.compare(f"grey {depth} bits, tRNS", meant, data, "cpu", "bilinear", 2)
        rows = [[dice.choice(((7, 8, 9), (200, 8, 9))) for _ in range(8)] for _ in range(8)]
        meant = png.Picture(png.RGBA, depth, [[c + (0 if c[0] == 7 else (1 << depth) - 1,) for c in row] for row in rows])
        data = png.encode(png.RGB, depth, rows, extra=png.chunk(b"tRNS", struct.pack(">HHH", 7, 8, 9)))
        bench.compare(f"RGB {depth} bits, tRNS", meant, data, "cpu", "bilinear", 2)
    picture = noise("rgb8", 6, 6, seed="gamma")
    gamma = png.chunk(b"gAMA", struct.pack(">I", 100000))
    data = png.encode(picture.kind, 8, picture.rows, extra=gamma)
    bench.compare("gAMA is not applied", picture, data, "cpu", "bilinear", 2)
    with open(bench.target, "rb") as out:
        bench.tally.check("gAMA is kept", (b"gAMA", struct.pack(">I", 100000)) in list(png.chunks(out.read())))


def flat_and_clear(bench, backends):
    """A flat picture stays flat; what is invisible does not bleed."""
    for backend, kernel, scale in itertools.product(backends, KERNELS, SCALES):
        if backend != "cpu" and (scale, kernel) not in ((2, "bilinear"), (3, "lanczos"), (4, "lanczos")):
            continue
        pixel = (65535, 40001, 1)
        name = f"{backend} {kernel} x{scale}"
        got = bench.upscale(f"{name}: flat", png.encode(png.RGB, 16, [[pixel] * 7] * 6), "--backend", backend, "--kernel",
                            kernel, "--scale", scale)
        if got:
            bench.tally.check(f"{name}: flat", all(p == pixel for row in got.rows for p in row))
        rows = [[(0, 255, 0, 0) if x < 5 else (200, 10, 60, 255) for x in range(10)] for _ in range(6)]
        got = bench.upscale(f"{name}: clear", png.encode(png.RGBA, 8, rows), "--backend", backend, "--kernel", kernel,
                            "--scale", scale)
        if got:
            seen = {p[:3] for row in got.rows for p in row if p[3] > 0}
            bench.tally.check(f"{name}: no bleeding", seen == {(200, 10, 60)}, str(sorted(seen)[:5]))


def tiles(bench, backends):
    """Cutting a picture into tiles changes nothing."""
    for backend, (width, height, kind) in itertools.product(backends, ((181, 97, "rgba8"), (7, 5003, "grey16"),
                                                                       (5003, 7, "rgb8"), (20011, 1, "rgba16"))):
        if backend != "cpu" and width == 20011:
            continue
        picture = noise(kind, width, height, seed="tiles")
        data = png.encode(picture.kind, picture.depth, picture.rows)
        for kernel, scale in (("bilinear", 2), ("lanczos", 3)):
            name = f"{backend} {width}x{height} {kernel} x{scale} in tiles"
            options = ("--backend", backend, "--kernel", kernel, "--scale", scale)
            whole = bench.upscale(name, data, *options, "--megabytes", 1000, target=os.path.join(bench.folder, "whole.png"))
            cut = bench.upscale(name, data, *options, "--megabytes", 1)
            if whole and cut:
                far = png.distance(whole, cut)
                bench.tally.check(name, far <= (0 if kernel == "bilinear" and not whole.alpha else 1), f"off by {far:.3f} steps")


def imagemagick(bench, backends):
    """An oracle from outside. Its edges differ for the wider filters: it leaves out what lies beyond them."""
    convert = shutil.which("magick") or shutil.which("convert")
    if not convert:
        bench.tally.skip("ImageMagick", "it is not installed")
        return
    other = os.path.join(bench.folder, "magick.png")
    formats = {"grey8": ("PNG", 0), "rgb8": ("PNG", 2), "rgba8": ("PNG", 6), "rgb16": ("PNG", 2)}
    for kind, scale, (kernel, theirs, radius) in itertools.product(
            formats, SCALES, (("bilinear", "Triangle", 0), ("bicubic", "Catrom", 2), ("lanczos", "Lanczos", 3))):
        if kind == "rgb16" and kernel != "bilinear":
            continue  # it rounds to 16 bits between its two passes
        # away from black and white: it also clamps between its passes
        picture = noise(kind, 21, 16, seed=kind, low=0.4, high=0.6)
        name = f"ImageMagick {kind} {kernel} x{scale}"
        backend = backends[SCALES.index(scale) % len(backends)]
        got = bench.upscale(name, png.encode(picture.kind, picture.depth, picture.rows), "--backend", backend, "--kernel",
                            kernel, "--scale", scale)
        done = subprocess.run([convert, bench.source, "-filter", theirs, "-resize", f"{scale * 100}%", "-depth",
                               str(picture.depth), "-define", f"png:color-type={formats[kind][1]}", "-define",
                               f"png:bit-depth={picture.depth}", other], capture_output=True, text=True, timeout=60, check=False)
        if bench.tally.check(f"{name}: it runs", done.returncode == 0, done.stderr) and got:
            far = png.distance(got, read(other), margin=radius * scale)
            bench.tally.check(name, far <= (2 if picture.depth == 16 else 1), f"off by {far:.3f} steps")


def refused(bench, name, data, *options, source=None, within=20):
    """Exit code 1, one sentence, the old target as it was, and nothing left lying about."""
    write(bench.target, b"what was there before")
    if data is not None:
        write(bench.source, data)
    before = sorted(os.listdir(bench.folder))
    got = bench.run("upscale", source or bench.source, bench.target, "--backend", "cpu", *options, timeout=within)
    with open(bench.target, "rb") as out:
        kept = out.read() == b"what was there before"
    bench.tally.check(f"{name}: exit code 1", got.returncode == 1, f"{got.returncode} {got.stdout}")
    bench.tally.check(f"{name}: one sentence", one_sentence(got.stderr), repr(got.stderr))
    bench.tally.check(f"{name}: the target stays", kept and sorted(os.listdir(bench.folder)) == before)
    os.remove(bench.target)
    got = bench.run("upscale", source or bench.source, bench.target, "--backend", "cpu", *options, timeout=within)
    bench.tally.check(f"{name}: no target appears", got.returncode == 1 and not os.path.exists(bench.target))


def head(width, height, depth=8, kind=2, interlaced=0):
    return png.SIGNATURE + png.chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, interlaced))


def broken_files(bench):
    picture = noise("rgb8", 30, 20, seed="broken")
    whole = png.encode(picture.kind, 8, picture.rows)
    for length in (0, 1, 7, 8, 20, 33, 40, 100, len(whole) // 2, len(whole) - 13, len(whole) - 12, len(whole) - 1):
        refused(bench, f"truncated to {length} bytes", whole[:length])
    for at in (0, 10, 17, 22, 24, 30, 60, len(whole) // 2):
        refused(bench, f"byte {at} changed", whole[:at] + bytes([whole[at] ^ 0x55]) + whole[at + 1:])
    end = png.chunk(b"IEND", b"")
    some = png.chunk(b"IDAT", zlib.compress(bytes(1000)))
    refused(bench, "no pixels at all", head(30, 20) + end)
    refused(bench, "too few pixels", head(300, 200) + some + end)
    refused(bench, "a million by a million pixels", head(1000000, 1000000) + some + end)
    refused(bench, "a hundred thousand by a hundred thousand, interlaced", head(100000, 100000, 16, 6, 1) + some + end)
    refused(bench, "60000 by 20000 pixels that are not there", head(60000, 20000) + some + end)
    refused(bench, "sizes beyond a signed int", head(0xffffffff, 0xffffffff) + some + end)
    refused(bench, "width 0", head(0, 5) + some + end)
    refused(bench, "height 0", head(5, 0) + some + end)
    refused(bench, "depth 3", head(5, 5, 3) + some + end)
    refused(bench, "colour type 5", head(5, 5, 8, 5) + some + end)
    refused(bench, "a palette picture without a palette", head(5, 5, 8, 3) + some + end)
    refused(bench, "no zlib stream", head(5, 5) + png.chunk(b"IDAT", b"nonsense that is no stream") + end)
    refused(bench, "a JPEG", b"\xff\xd8\xff\xe0" + bytes(100))
    refused(bench, "a text", b"this is not a picture at all, but a text")
    refused(bench, "a missing file", None, source=os.path.join(bench.folder, "missing.png"))
    refused(bench, "a folder", None, source=bench.folder)
    refused(bench, "an unknown solver", whole, "--solver", "nonsense")
    refused(bench, "a missing device", whole, "--device", "99")


def targets(bench):
    """Where the result goes."""
    tally, picture = bench.tally, noise("rgb8", 5, 4, seed="targets")
    data = png.encode(picture.kind, 8, picture.rows)
    nowhere = os.path.join(bench.folder, "nowhere", "out.png")
    write(bench.source, data)
    for name, target in (("a missing folder", nowhere), ("a folder", bench.folder), ("a full disk", "/dev/full")):
        if target.startswith("/dev") and not os.path.exists(target):
            continue
        got = bench.run("upscale", bench.source, target, "--backend", "cpu")
        tally.check(f"into {name}: exit code 1 and a sentence", got.returncode == 1 and one_sentence(got.stderr), got.stderr)
    got = bench.run("upscale", bench.source, bench.source, "--backend", "cpu")
    tally.check("onto itself", got.returncode == 0 and read(bench.source).width == 10, got.stderr)
    link, real = os.path.join(bench.folder, "link.png"), os.path.join(bench.folder, "real.png")
    write(real, b"old")
    os.chmod(real, 0o640)
    os.symlink("real.png", link)
    write(bench.source, data)
    got = bench.run("upscale", bench.source, link, "--backend", "cpu")
    tally.check("through a symbolic link", got.returncode == 0 and os.path.islink(link) and read(real).width == 10, got.stderr)
    tally.check("access rights stay", os.stat(real).st_mode & 0o777 == 0o640)
    left = [name for name in os.listdir(bench.folder) if name.endswith(".tmp")]
    tally.check("no temporary file is left", not left, str(left))


def interrupted(bench):
    """A program that is told to stop leaves the old target, and nothing beside it."""
    picture = noise("rgba8", 700, 700, seed="interrupted")
    write(bench.source, png.encode(picture.kind, 8, picture.rows))
    for number in (signal.SIGINT, signal.SIGTERM):
        write(bench.target, b"what was there before")
        words = [bench.run.path, "upscale", bench.source, bench.target, "--backend", "cpu", "--scale", "4", "--kernel",
                 "lanczos", "--megabytes", "1"]
        with subprocess.Popen(words, env=bench.run.env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            while process.poll() is None and not any(name.endswith(".tmp") for name in os.listdir(bench.folder)):
                time.sleep(0.002)
            process.send_signal(number)
            code = process.wait(60)
        left = [name for name in os.listdir(bench.folder) if name.endswith(".tmp")]
        with open(bench.target, "rb") as out:
            kept = out.read() == b"what was there before"
        bench.tally.check(f"stopped by {number.name}", code == -number and kept and not left, f"code {code}, left {left}")


def reports(bench, backends):
    picture = noise("rgba8", 24, 18, seed="report")
    data = png.encode(picture.kind, 8, picture.rows)
    write(bench.source, data)
    devices = bench.run.backends()
    for backend in backends:
        got = bench.run("upscale", bench.source, bench.target, "--backend", backend, "--verify")
        fine = got.returncode == 0 and devices[backend] in got.stdout and "solver" in got.stdout and " ms " in got.stdout
        bench.tally.check(f"{backend}: says device, solver and times", fine, got.stdout + got.stderr)
        bench.tally.check(f"{backend}: --verify says the difference", "difference to the CPU" in got.stdout, got.stdout)
    got = bench.run("upscale", bench.source, bench.target)
    bench.tally.check("without --backend", got.returncode == 0 and any(name in got.stdout for name in devices.values()),
                      got.stdout + got.stderr)


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
        bench = Bench(run, tally, folder)
        for part in (by_definition, flat_and_clear, tiles, imagemagick, reports):
            if backends:
                part(bench, backends)
        for part in (file_forms, broken_files, targets, interrupted):
            if "cpu" in backends:
                part(bench)
    tally.close()


if __name__ == "__main__":
    main()
