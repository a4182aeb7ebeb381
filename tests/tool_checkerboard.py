"""The picture of docs/checkerboard.md: what the program makes now is what is in the docs, and shows what they say."""
import os
import subprocess
import sys
import tempfile

import pngfile
import tool_testing

GAP, SIDE, ZOOM = 6, 144, 3


def panel(picture, row, column):
    """One value an output pixel."""
    y0, x0 = (GAP + at * (SIDE + GAP) for at in (row, column))
    return [[picture.rows[y0 + y][x0 + x][0] for x in range(0, SIDE, ZOOM)] for y in range(0, SIDE, ZOOM)]


def phase_spread(values):
    """How far the means of the four phases of stride 2 are apart, as a part of the whole's."""
    means = []
    for phase in range(4):
        part = [v for row in values[phase // 2::2] for v in row[phase % 2::2]]
        means.append(sum(part) / len(part))
    return (max(means) - min(means)) / (sum(means) / 4)


def main():
    program, committed = sys.argv[1:3]
    tally = tool_testing.Tally()
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "made.png")
        got = subprocess.run([program, path], capture_output=True, text=True, timeout=100, check=False)
        if not tally.check("it runs", got.returncode == 0, got.stderr):
            tally.close()
        with open(path, "rb") as made, open(committed, "rb") as kept:
            made, kept = pngfile.decode(made.read()), pngfile.decode(kept.read())
        got = subprocess.run([program, os.path.join(folder, "no", "such.png")], capture_output=True, text=True, check=False)
        tally.check("no such folder", got.returncode == 1 and got.stderr.startswith("checkerboard: "), got.stderr)
    tally.check("size", (made.width, made.height) == (kept.width, kept.height))
    apart = max(abs(a[0] - b[0]) for left, right in zip(made.rows, kept.rows) for a, b in zip(left, right))
    tally.check("the committed picture is what is made", apart <= 1, f"{apart} steps apart")
    for row in range(2):
        spreads = [phase_spread(panel(made, row, column)) for column in range(3)]
        tally.check(f"row {row}: kernels 3 and 5 are uneven, 4 is not",
                    spreads[0] > .25 and spreads[2] > .1 and spreads[1] < .1, str(spreads))
    tally.close()


main()
