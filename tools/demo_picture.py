#!/usr/bin/env python3
"""demo_picture.py OUT.png [WIDTH HEIGHT]: a picture that shows what an interpolation does: a zone plate (aliasing and
overshoot), bars and letters (edges), a colour wheel (colours), and a disc with a soft hole (alpha)."""
import colorsys
import math
import struct
import sys
import zlib

LETTERS = {  # five by seven, a row a number
    "u": (0, 0, 17, 17, 17, 19, 13), "p": (0, 0, 30, 17, 30, 16, 16), "c": (0, 0, 14, 16, 16, 17, 14),
    "o": (0, 0, 14, 17, 17, 17, 14), "n": (0, 0, 22, 25, 17, 17, 17), "v": (0, 0, 17, 17, 17, 10, 4),
}


def zone_plate(x, y):
    """Frequencies grow from the centre to half the sampling rate at the edge."""
    value = round(127.5 + 127.5 * math.cos(math.pi / 2 * (x * x + y * y)))
    return value, value, value, 255


def edges(x, y, px, py):
    column, row = px // 12, py // 18
    word = "upconv"
    bits = LETTERS[word[column % 6]]
    lx, ly = px % 12 // 2, py % 18 // 2
    if 0 <= ly < 7 and lx < 5 and bits[ly] >> (4 - lx) & 1:
        return 20, 30, 40 + 200 * (row % 2), 255
    bar = (px // (1 + py // 40)) % 2 if py % 60 > 48 else 0
    return (60, 60, 60, 255) if bar else (245, 240, 225, 255)


def wheel(x, y):
    angle, radius = math.atan2(y, x) / (2 * math.pi) % 1, math.hypot(x, y)
    if radius > 0.97:
        return 0, 0, 0, 255
    r, g, b = colorsys.hsv_to_rgb(angle, min(radius, 1), 1 - 0.5 * (math.floor(angle * 24) % 2))
    return round(255 * r), round(255 * g), round(255 * b), 255


def disc(x, y):
    radius = math.hypot(x, y)
    soft = min(max((radius - 0.25) / 0.4, 0), 1) if radius < 0.95 else 0
    # What is transparent has a loud colour, so that bleeding would show.
    return (230, 60, 50, round(255 * soft)) if soft else (0, 255, 0, 0)


def pixel(px, py, width, height):
    half_w, half_h = max(width // 2, 1), max(height // 2, 1)
    qx, qy = px % half_w, py % half_h
    x, y = (qx + 0.5) / half_w * 2 - 1, (qy + 0.5) / half_h * 2 - 1
    if py < half_h:
        return zone_plate(x * 8 * half_w / 128, y * 8 * half_h / 128) if px < half_w else edges(x, y, qx, qy)
    return wheel(x, y) if px < half_w else disc(x, y)


def chunk(kind, data):
    body = kind + data
    return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))


def main():
    if len(sys.argv) not in (2, 4):
        sys.exit(__doc__)
    width, height = (int(n) for n in sys.argv[2:4]) if len(sys.argv) == 4 else (255, 253)
    rows = b"".join(b"\0" + bytes(v for x in range(width) for v in pixel(x, y, width, height)) for y in range(height))
    with open(sys.argv[1], "wb") as out:
        out.write(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0)) +
                  chunk(b"IDAT", zlib.compress(rows, 9)) + chunk(b"IEND", b""))


if __name__ == "__main__":
    main()
