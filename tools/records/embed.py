"""Writes tuning records as the C table of api/shipped.h: embed.py OUT FILE...

Lines are grouped by device and driver, whose part of the text is stored once, and each gets the two numbers by which a
look-up knows, without reading the text, whether the record could matter. tests/unit_shipped.c holds them against the library's.
"""
import json
import re
import sys

HEAD = ["format", "backend", "device", "vendor_id", "device_id", "driver"]
TAIL = ["problem", "type", "solver", "solver_version", "config", "time_us", "verdict", "date"]
CANONICAL = re.compile(r"g\d+mb\d+ic\d+oc\d+(_i([dhw])\d+o\2\d+k\2\d+s\2\d+p\2-?\d+d\2\d+)+(\+.*)?")
MASK = (1 << 64) - 1


def text_hash(text, seed=0):
    """upc_hash of the text with its final 0."""
    value = 0xcbf29ce484222325 ^ (seed * 0x9e3779b97f4a7c15 & MASK)
    for byte in text.encode() + b"\0":
        value = (value ^ byte) * 0x100000001b3 & MASK
    value ^= value >> 32
    value = value * 0xd6e8feb86659fd93 & MASK
    return value ^ value >> 29


def number_hash(number, seed):
    value = 0xcbf29ce484222325 ^ (seed * 0x9e3779b97f4a7c15 & MASK)
    for byte in number.to_bytes(8, "little"):
        value = (value ^ byte) * 0x100000001b3 & MASK
    value ^= value >> 32
    value = value * 0xd6e8feb86659fd93 & MASK
    return value ^ value >> 29


def problem_key(record):
    """upc_record_problem, given the canonical notation, which is what upconv writes."""
    return number_hash(["f32", "f16"].index(record["type"]), text_hash(record["problem"]))


def class_key(record):
    """upc_record_class, likewise."""
    notation = record["problem"]
    if not CANONICAL.fullmatch(notation):
        raise ValueError(f"the problem {notation} is not as upconv writes it")
    fields = dict(re.findall(r"([a-z]+)(-?\d+)", notation.split("+")[0]))
    suffixes = notation.split("+")[1:]
    layouts = ["nchw", "nhwc", "nc4hw4"]
    sides = []
    for side in ("in", "out"):
        named = [word for word in suffixes if word in layouts] + [word.split(":")[1] for word in suffixes
                                                                  if word.startswith(side + ":")]
        sides.append(layouts.index(named[0]) if named else 0)
    groups = int(fields["g"])
    kind = 0 if groups == 1 else 1 if int(fields["ic"]) == groups else 2
    axes = [axis for axis in "dhw" if "k" + axis in fields]
    form = [0, len(axes), int("f16" in suffixes), int("sum16" in suffixes), *sides, kind]
    for axis in axes:
        form += [fields["k" + axis], fields["s" + axis], int(fields["d" + axis]) + 1]
    return text_hash(" ".join(map(str, form)))


def c_string(text):
    out = []
    for byte in text.encode():
        char = chr(byte)
        out.append("\\" + char if char in '"\\' else char if 32 <= byte < 127 else f"\\{byte:03o}")
    return '"' + "".join(out).replace("??", '?""?') + '"'


def read(paths):
    """{(backend, device, vendor_id, device_id, driver): [(problem key, class key, tail)]}"""
    makers = {}
    for path in paths:
        with open(path, encoding="utf-8") as lines:
            for number, line in enumerate(lines, 1):
                if not line.strip():
                    continue
                try:
                    record = json.loads(line)
                    maker = tuple(record[key] for key in HEAD[1:])
                    tail = json.dumps({key: record[key] for key in TAIL if key in record}, separators=(",", ":"),
                                      ensure_ascii=False)[1:]
                    makers.setdefault(maker, []).append((problem_key(record), class_key(record), tail))
                except (ValueError, KeyError, TypeError) as problem:
                    sys.exit(f"{path}:{number}: no tuning record: {problem!r}")
    return makers


def main():
    makers = read(sys.argv[2:])
    with open(sys.argv[1], "w", encoding="ascii") as out:
        out.write('#include "shipped.h"\n\n')
        rows, first = [], 0
        out.write("static const upc_shipped_record records[] = {\n")
        for maker in sorted(makers):
            backend, device, vendor, number, driver = maker
            head = json.dumps({"format": 1, **dict(zip(HEAD[1:], maker))}, separators=(",", ":"), ensure_ascii=False)
            rows.append(f"    {{{c_string(backend)}, {c_string(device)}, {c_string(driver)}, {vendor}u, {number}u, "
                        f"{c_string(head[:-1] + ',')}, {first}, {len(makers[maker])}}},\n")
            for key, kind, tail in makers[maker]:
                out.write(f"    {{{key}u, {kind}u, {c_string(tail)}}},\n")
            first += len(makers[maker])
        out.write("    {0, 0, 0}};\n\nstatic const upc_shipped_maker makers[] = {\n" + "".join(rows) +
                  "    {0, 0, 0, 0, 0, 0, 0, 0}};\n\n")
        out.write(f"const upc_shipped upc_shipped_records = {{makers, {len(makers)}, records, {first}}};\n")


main()
