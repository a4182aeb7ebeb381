"""PNG files of every kind in and out, and enlarging by the book: what the tests of `upconv upscale` compare with. Python's
standard library only, written from the PNG specification and from the filters' definitions."""
import math
import struct
import zlib

GREY, RGB, PALETTE, GREY_ALPHA, RGBA = 0, 2, 3, 4, 6
CHANNELS = {GREY: 1, RGB: 3, PALETTE: 1, GREY_ALPHA: 2, RGBA: 4}
SIGNATURE = b"\x89PNG\r\n\x1a\n"
ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))


class Picture:
    """Samples as rows[y][x] = tuple of channels; kind is a colour type (never PALETTE after reading)."""

    def __init__(self, kind, depth, rows):
        self.kind, self.depth, self.rows = kind, depth, rows
        self.height, self.width = len(rows), len(rows[0])

    @property
    def channels(self):
        return CHANNELS[self.kind]

    @property
    def alpha(self):
        return self.kind in (GREY_ALPHA, RGBA)


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def pack_row(pixels, depth):
    samples = [sample for pixel in pixels for sample in pixel]
    if depth == 16:
        return struct.pack(f">{len(samples)}H", *samples)
    if depth == 8:
        return bytes(samples)
    per_byte, out = 8 // depth, bytearray()
    for at in range(0, len(samples), per_byte):
        value = 0
        for i in range(per_byte):
            value = value << depth | (samples[at + i] if at + i < len(samples) else 0)
        out.append(value)
    return bytes(out)


def encode(kind, depth, rows, interlaced=False, extra=b""):
    """rows[y][x] = tuple of samples as stored; extra: chunks between IHDR and IDAT."""
    height, width = len(rows), len(rows[0])
    if interlaced:
        passes = [[[row[x] for x in range(x0, width, dx)] for row in rows[y0::dy]] for x0, y0, dx, dy in ADAM7]
        lines = [row for part in passes for row in part if row]
    else:
        lines = rows
    body = b"".join(b"\0" + pack_row(row, depth) for row in lines)
    head = struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, int(interlaced))
    return SIGNATURE + chunk(b"IHDR", head) + extra + chunk(b"IDAT", zlib.compress(body)) + chunk(b"IEND", b"")


def chunks(data):
    if data[:8] != SIGNATURE:
        raise ValueError("no PNG file")
    at = 8
    while at < len(data):
        size, kind = struct.unpack(">I4s", data[at:at + 8])
        body = data[at + 8:at + 8 + size]
        if struct.unpack(">I", data[at + 8 + size:at + 12 + size])[0] != zlib.crc32(kind + body):
            raise ValueError(f"damaged chunk {kind}")
        yield kind, body
        at += 12 + size


def unfilter(kind, line, above, step):
    line = bytearray(line)
    for i in range(len(line)):
        left = line[i - step] if i >= step else 0
        up, corner = above[i], above[i - step] if i >= step else 0
        if kind == 1:
            guess = left
        elif kind == 2:
            guess = up
        elif kind == 3:
            guess = (left + up) // 2
        elif kind == 4:
            p = left + up - corner
            a, b, c = abs(p - left), abs(p - up), abs(p - corner)
            guess = left if a <= b and a <= c else up if b <= c else corner
        else:
            guess = 0
        line[i] = (line[i] + guess) & 255
    return line


def decode(data):
    """Only what upconv and ImageMagick are asked to write: not interlaced, 8 or 16 bits, no palette."""
    parts = list(chunks(data))
    width, height, depth, kind, _, _, interlaced = struct.unpack(">IIBBBBB", dict(parts)[b"IHDR"])
    if interlaced or depth < 8 or kind == PALETTE or parts[-1][0] != b"IEND":
        raise ValueError(f"unexpected form: depth {depth}, type {kind}, interlaced {interlaced}")
    body = zlib.decompress(b"".join(part for name, part in parts if name == b"IDAT"))
    step = CHANNELS[kind] * depth // 8
    stride, rows, above = width * step, [], bytes(width * step)
    for y in range(height):
        start = y * (stride + 1)
        above = unfilter(body[start], body[start + 1:start + 1 + stride], above, step)
        samples = above if depth == 8 else struct.unpack(f">{stride // 2}H", bytes(above))
        rows.append(list(zip(*[iter(samples)] * CHANNELS[kind])))
    return Picture(kind, depth, rows)


# ------------------------------------------------------------------------------------------------------- enlarging

def triangle(x):
    return max(1 - abs(x), 0)


def cubic(x, a=-0.5):
    x = abs(x)
    if x < 1:
        return (a + 2) * x ** 3 - (a + 3) * x ** 2 + 1
    return a * (x ** 3 - 5 * x ** 2 + 8 * x - 4) if x < 2 else 0


def lanczos(x):
    if x == 0:
        return 1
    return 3 * math.sin(math.pi * x) * math.sin(math.pi * x / 3) / (math.pi * x) ** 2 if abs(x) < 3 else 0


FILTERS = {"bilinear": (triangle, 1), "bicubic": (cubic, 2), "lanczos": (lanczos, 3)}


def weights(filter_name, scale, size):
    """For each output: [(source index, weight)], border repeated, weights adding up to one."""
    function, radius = FILTERS[filter_name]
    out = []
    for o in range(size * scale):
        centre = (o + 0.5) / scale - 0.5
        first = math.floor(centre) - radius
        taps = [(i, function(centre - i)) for i in range(first, first + 2 * radius + 2)]
        total = sum(weight for _, weight in taps)
        out.append([(min(max(i, 0), size - 1), weight / total) for i, weight in taps if weight])
    return out


def enlarge(picture, filter_name, scale):
    """Rows of pixels of floats, opacity multiplied into the colours, neither rounded nor clamped."""
    most = (1 << picture.depth) - 1
    rows = [[tuple(c * p[-1] / most for c in p[:-1]) + p[-1:] for p in row] if picture.alpha else row
            for row in picture.rows]
    across = weights(filter_name, scale, picture.width)
    down = weights(filter_name, scale, picture.height)
    channels = range(picture.channels)
    wide = [[tuple(sum(row[i][c] * w for i, w in taps) for c in channels) for taps in across] for row in rows]
    return [[tuple(sum(wide[i][x][c] * w for i, w in taps) for c in channels) for x in range(len(across))]
            for taps in down]


def difference(picture, expected, margin=0):
    """The largest distance, in steps, of a picture from rows of `enlarge`; colours multiplied by opacity."""
    most, largest = (1 << picture.depth) - 1, 0.0
    for y in range(margin, picture.height - margin):
        for x in range(margin, picture.width - margin):
            got, want = picture.rows[y][x], expected[y][x]
            if picture.alpha:
                alpha = min(max(want[-1], 0), most)
                largest = max(largest, abs(got[-1] - alpha))
                for g, w in zip(got[:-1], want[:-1]):
                    # the colour that belongs to w, in range, at the picture's own opacity
                    colour = min(max(w / want[-1] * most, 0), most) if want[-1] >= 0.5 else 0
                    largest = max(largest, abs(g - colour) * alpha / most)
            else:
                for g, w in zip(got, want):
                    largest = max(largest, abs(g - min(max(w, 0), most)))
    return largest


def distance(a, b, margin=0):
    """The same between two pictures of one kind and size."""
    most, largest = (1 << a.depth) - 1, 0.0
    assert (a.kind, a.depth, a.width, a.height) == (b.kind, b.depth, b.width, b.height), "pictures of different forms"
    for y in range(margin, a.height - margin):
        for x in range(margin, a.width - margin):
            p, q = a.rows[y][x], b.rows[y][x]
            opacity = max(p[-1], q[-1]) / most if a.alpha else 1
            for c, (v, w) in enumerate(zip(p, q)):
                own = a.alpha and c == a.channels - 1
                largest = max(largest, abs(v - w) * (1 if own else opacity))
    return largest
