#!/usr/bin/env python3
"""conformance_check.py PROGRAM: tries the conformance program on a corpus of its own making, on the CPU backend.

Cases in every dialect, with attributes in all the forms that they come in, must pass; damaged and contradictory cases
must fail, each with its reason; unknown operations and types must be skipped by name.
"""
import itertools
import json
import pathlib
import random
import struct
import subprocess
import sys
import tempfile

RANDOM = random.Random(1)
CASES, EXPECTED = [], {}


class Array:
    """Small integers in C order, by index tuple."""

    def __init__(self, layout, shape, values=None, dtype="float32"):
        self.layout, self.shape, self.dtype = layout, list(shape), dtype
        indices = itertools.product(*(range(n) for n in shape))
        self.at = {i: RANDOM.randint(-4, 4) for i in indices} if values is None else values

    def size(self, letter):
        return self.shape[self.layout.index(letter)] if letter in self.layout else 1

    def get(self, **index):
        return self.at[tuple(index[letter] for letter in self.layout)]

    def npy(self):
        code = {"float32": ("<f4", "<f"), "int64": ("<i8", "<q"), "int32": ("<i4", "<i"), "int16": ("<i2", "<h"),
                "int8": ("|i1", "<b"), "uint8": ("|u1", "<B")}[self.dtype]
        shape = "(" + "".join(f"{n}, " for n in self.shape) + ")"
        text = f"{{'descr': '{code[0]}', 'fortran_order': False, 'shape': {shape}, }}"
        text += " " * (-(len(text) + 11) % 64) + "\n"
        values = [self.at[i] for i in itertools.product(*(range(n) for n in self.shape))]
        return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode() + b"".join(
            struct.pack(code[1], v) for v in values)


def expected(x, w, bias, layout, out, pad, stride, dilation, groups, act):
    """By definition: every input times every tap goes to i * stride + k * dilation - pad."""
    axes = [a for a in "DHW" if a in layout]
    out_channels, per_group = w.size("O") * groups, w.size("I") // groups
    sizes = {"N": x.size("N"), "C": out_channels, **dict(zip(axes, out))}
    sums = {i: 0 for i in itertools.product(*(range(sizes[letter]) for letter in layout))}
    for n, ci, o in itertools.product(range(x.size("N")), range(w.size("I")), range(w.size("O"))):
        co = ci // per_group * w.size("O") + o
        for i in itertools.product(*(range(x.size(a)) for a in axes)):
            for k in itertools.product(*(range(w.size(a)) for a in axes)):
                position = [i[a] * stride[a] + k[a] * dilation[a] - pad[a] for a in range(len(axes))]
                index = tuple({"N": n, "C": co, **dict(zip(axes, position))}[letter] for letter in layout)
                if index in sums:
                    sums[index] += x.get(N=n, C=ci, **dict(zip(axes, i))) * w.get(I=ci, O=o, **dict(zip(axes, k)))
    for index in sums:
        sums[index] = act(sums[index] + (bias.at[(index[layout.index("C")],)] if bias else 0))
    return Array(layout, [sizes[letter] for letter in layout], sums)


def write(case, dialect, op, attributes, inputs, output, swap=False, change=None):
    folder = ROOT / case
    folder.mkdir(parents=True)
    lists = {"inputs": [], "outputs": []}
    for kind, name, array in [("inputs", *i) for i in inputs] + [("outputs", "output", output)]:
        if array is None:
            continue
        layout = array.layout.translate(str.maketrans("IO", "OI")) if swap else array.layout
        entry = {"name": name, "file": f"{name}.npy", "dtype": array.dtype, "shape": array.shape}
        if layout != "X":
            entry["layout"] = layout
        lists[kind].append(entry)
        (folder / f"{name}.npy").write_bytes(array.npy())
    document = {"schema": 1, "id": case, "op": op, "dialect": dialect, "attributes": attributes, **lists,
                "tolerance": {"rtol": 1e-6, "atol": 1e-5}}
    if change:
        change(folder, document)
    (folder / "case.json").write_text(json.dumps(document))
    CASES.append({"id": case, "path": case, "op": op, "dialect": dialect, "feature": "-"})


def case(name, dialect, op, attributes, x, w, out, pad, stride=None, dilation=None, groups=1, bias=True,
         act=lambda v: v, out_layout=None, names=("input", "weights", "bias"), extra=(), want="pass", **more):
    dims = len(out)
    bias = Array("X", [w.size("O") * groups]) if bias else None
    y = expected(x, w, bias, out_layout or x.layout, out, pad, stride or [1] * dims, dilation or [1] * dims, groups, act)
    write(name, dialect, op, attributes, [(names[0], x), (names[1], w), (names[2], bias), *extra], y, **more)
    EXPECTED[name] = want


def good_cases():
    for dims, axes, op in [(1, "W", "conv_transpose1d"), (2, "HW", "conv_transpose2d"), (3, "DHW", "conv_transpose3d")]:
        x, w = Array("NC" + axes, [2, 4] + [3] * dims), Array("IO" + axes, [4, 3] + [2] * dims)
        case(f"torch{dims}", "pytorch", op, {}, x, w, [4] * dims, [0] * dims)
        case(f"torch{dims}_all", "pytorch", op, {"stride": 3, "padding": [1] * dims, "output_padding": 1,
                                                 "dilation": [2], "groups": 2}, x, w, [8] * dims, [1] * dims,
             [3] * dims, [2] * dims, 2)
        case(f"torch{dims}_size", "pytorch", op, {"stride": 2, "output_size": [7] * dims}, x, w, [7] * dims, [0] * dims,
             [2] * dims, bias=False)
        single = Array("C" + axes, [4] + [3] * dims)
        case(f"torch{dims}_single", "pytorch", op, {}, single, w, [4] * dims, [0] * dims)
        case(f"onnx{dims}", "onnx", "ConvTranspose", {}, x, w, [4] * dims, [0] * dims, names=("X", "W", "B"))
        case(f"onnx{dims}_upper", "onnx", "ConvTranspose", {"auto_pad": "SAME_UPPER", "dilations": [2] * dims,
                                                            "group": 2}, x, w, [3] * dims, [1] * dims, None,
             [2] * dims, 2, names=("X", "W", "B"))
        case(f"onnx{dims}_shape", "onnx", "ConvTranspose", {"strides": [2] * dims, "pads": [1] * 2 * dims,
                                                            "output_shape": [3] * dims}, x, w, [3] * dims, [2] * dims,
             [2] * dims, names=("X", "W", "B"))
        case(f"onnx{dims}_all_axes", "onnx", "ConvTranspose", {"output_shape": [2, 3] + [9] * dims}, x, w, [9] * dims,
             [0] * dims, names=("X", "W", "B"))
        last, koi = Array("N" + axes + "C", [2] + [3] * dims + [4]), Array(axes + "OI", [3] * dims + [5, 4])
        case(f"keras{dims}", "keras", f"Conv{dims}DTranspose", {"output_padding": None}, last, koi, [5] * dims,
             [0] * dims, names=("inputs", "kernel", "bias"))
        case(f"keras{dims}_act", "keras", f"Conv{dims}DTranspose",
             {"filters": 5, "kernel_size": 3, "strides": 2, "padding": "same", "output_padding": 0,
              "activation": "relu6", "use_bias": True}, last, koi, [5] * dims, [1] * dims, [2] * dims,
             act=lambda v: min(max(v, 0), 6), names=("inputs", "kernel", "bias"))
        first = Array("NC" + axes, [2, 4] + [3] * dims)
        case(f"keras{dims}_first", "keras", f"Conv{dims}DTranspose",
             {"data_format": "channels_first", "dilation_rate": 2, "padding": "same"}, first, koi, [3] * dims,
             [2] * dims, None, [2] * dims, bias=False, names=("inputs", "kernel", "bias"))
        names = ("input", "filters", "bias")
        case(f"tf{dims}", "tensorflow", f"conv{dims}d_transpose", {"strides": 2, "output_shape": [2] + [5] * dims + [5]},
             last, koi, [5] * dims, [1] * dims, [2] * dims, bias=False, names=names)
        case(f"tf{dims}_derived", "tensorflow", f"conv{dims}d_transpose", {"strides": [4], "padding": "VALID"}, last,
             koi, [12] * dims, [0] * dims, [4] * dims, bias=False, names=names)
        pads = [[0, 0]] + [[1, 0]] * dims + [[0, 0]]
        case(f"tf{dims}_explicit", "tensorflow", f"conv{dims}d_transpose",
             {"strides": [1] + [2] * dims + [1], "padding": pads, "output_shape": [6] * dims}, last, koi, [6] * dims,
             [1] * dims, [2] * dims, bias=False, names=names)
        case(f"tf{dims}_grouped", "tensorflow", f"conv{dims}d_transpose",
             {"strides": [1], "padding": "EXPLICIT", "explicit_paddings": [0] * 4 + [1, 1] * dims,
              "data_format": "NC" + axes, "output_shape": [2, 10] + [3] * dims}, first, koi, [3] * dims, [1] * dims,
             groups=2, bias=False, names=names)
    x = Array("NHWC", [1, 3, 2, 4])
    case("tf_backward", "tensorflow", "conv2d_backprop_input",
         {"input_sizes": [1, 6, 4, 5], "strides": [1, 2, 2, 1], "padding": "SAME", "dilations": [1, 1, 1, 1]}, x,
         Array("HWOI", [3, 3, 5, 4]), [6, 4], [0, 0], [2, 2], bias=False, swap=True,
         names=("out_backprop", "filter", "bias"))
    w = Array("OHWI", [3, 3, 2, 4])
    shape = Array("X", [4], {(0,): 1, (1,): 6, (2,): 2, (3,): 3}, "int32")
    case("lite", "tflite", "TRANSPOSE_CONV", {"padding": "SAME", "stride_h": 2, "stride_w": 1,
                                              "fused_activation_function": "RELU_N1_TO_1"}, x, w, [6, 2], [0, 0],
         [2, 1], act=lambda v: min(max(v, -1), 1), extra=[("output_shape", shape)])
    shape = Array("X", [4], {(0,): 1, (1,): 2, (2,): 9, (3,): 3}, "int32")
    case("lite_any_size", "tflite", "TRANSPOSE_CONV", {"padding": "SAME"}, x, w, [2, 9], [1, 0], bias=False,
         extra=[("output_shape", shape)])
    case("lite_gpu", "tflite", "CONVOLUTION_TRANSPOSED",
         {"stride": [2, 3], "padding_prepended": [1, 0], "padding_appended": [0, 1], "adjacent": [1, 4]}, x, w,
         [7, 8], [1, 0], [2, 3])
    case("cmsis", "cmsis-nn", "arm_transpose_conv",
         {"stride": [2, 2], "dilation": [1, 1], "padding": [1, 1], "output_size": [6, 5]}, x, w, [6, 5], [1, 1], [2, 2])


def bad_cases():
    def bad(name, want, attributes=None, **more):
        x, w = Array("NCW", [1, 2, 3]), Array("IOW", [2, 2, 3])
        case(name, "pytorch", "conv_transpose1d", attributes or {}, x, w, more.pop("out", [5]), [0], want=want, **more)

    def tensor(i, **fields):
        return lambda folder, document: document["inputs"][i].update(fields)

    bad("unknown_attribute", "unknown attribute frobnicate", {"frobnicate": 1})
    bad("wrong_attribute", "attribute stride is no list", {"stride": "two"})
    bad("wrong_length", "attribute stride", {"stride": [2, 2]})
    bad("refused", "output_padding[0] is 1", {"output_padding": [1]})
    bad("other_shape", "expects another shape", out=[6])
    bad("unknown_input", "unknown input mask", extra=[("mask", Array("X", [2]))])
    bad("shape_differs", "another shape than case.json", change=tensor(0, shape=[1, 2, 4]))
    bad("type_differs", "case.json says", change=lambda f, d: (f / "input.npy").write_bytes(
        Array("X", [3], dtype="int8").npy()))
    bad("truncated", "bytes of data", change=lambda f, d: (f / "input.npy").write_bytes(
        (f / "input.npy").read_bytes()[:-1]))
    bad("garbage", "no NPY file", change=lambda f, d: (f / "weights.npy").write_bytes(b"garbage"))
    bad("gone", "cannot be read", change=lambda f, d: (f / "output.npy").unlink())
    bad("bad_layout", "layout of input", change=tensor(0, layout="NXW"))
    bad("wrong_value", "elements are wrong", change=lambda f, d: (f / "bias.npy").write_bytes(
        Array("X", [2], {(0,): 50, (1,): 50}).npy()))
    bad("wrong_bias", "the bias is not", change=tensor(2, shape=[3]))
    bad("wrong_schema", "another schema", change=lambda f, d: d.update(schema=2))
    bad("no_inputs", "no inputs", change=lambda f, d: d.update(inputs=[]))
    bad("int8", "skip", change=tensor(1, dtype="int8"))
    write("norm", "onnx", "LRN", {"size": 3}, [("X", Array("X", [1]))], Array("X", [1]))
    EXPECTED["norm"] = "skip"


def sampled(x, out, at):
    """Each output the input at at(axis, position) of its own channel."""
    axes = [a for a in "DHW" if a in x.layout]
    shape = [dict(zip(axes, out)).get(letter, x.size(letter)) for letter in x.layout]
    return Array(x.layout, shape, {i: x.at[tuple(at(x, letter, p) if letter in axes else p
                                                 for letter, p in zip(x.layout, i))]
                                   for i in itertools.product(*(range(n) for n in shape))})


def sampling_cases():
    """Resizing and shuffles: that attributes and inputs are read, and that what nobody reads is an error."""
    for dims, axes in [(1, "W"), (2, "HW"), (3, "DHW")]:
        x = Array("NC" + axes, [2, 3] + [3, 4, 2][:dims])
        thrice = [3 * n for n in x.shape[2:]]
        by_three = sampled(x, thrice, lambda x, letter, p: p // 3)
        write(f"torch_nearest{dims}", "pytorch", "interpolate", {"mode": "nearest", "scale_factor": 3}, [("input", x)], by_three)
        write(f"torch_exact{dims}", "pytorch", "interpolate", {"mode": "nearest-exact", "size": thrice}, [("input", x)], by_three)
        write(f"onnx_upsample{dims}", "onnx", "Upsample", {}, [("X", x), ("scales", Array("X", [dims + 2], {
            (i,): 3 if i > 1 else 1 for i in range(dims + 2)}))], by_three)
        write(f"onnx_axes{dims}", "onnx", "Resize", {"axes": [-1], "nearest_mode": "floor",
                                                     "coordinate_transformation_mode": "asymmetric"},
              [("X", x), ("sizes", Array("X", [1], {(0,): 3 * x.shape[-1]}, "int32"))],
              sampled(x, x.shape[2:-1] + thrice[-1:], lambda x, letter, p: p // 3 if letter == "W" else p))
        names = [f"torch_nearest{dims}", f"torch_exact{dims}", f"onnx_upsample{dims}", f"onnx_axes{dims}"]
        EXPECTED.update(dict.fromkeys(names, "pass"))
    x = Array("NHWC", [1, 2, 3, 2])
    twice = sampled(x, [4, 6], lambda x, letter, p: p // 2)
    size = ("size", Array("X", [2], {(0,): 4, (1,): 6}, "int32"))
    for name, attributes, change, want in [
            ("tflite_nearest", {"half_pixel_centers": False}, None, "pass"),
            ("tflite_half", {"half_pixel_centers": True}, None, "pass"),
            ("tflite_unknown", {"antialias": True}, None, "antialias"),
            ("tflite_both", {"align_corners": True, "half_pixel_centers": True}, None, "refused"),
            ("tflite_layout", {}, lambda f, d: d["inputs"][0].update(layout="NCHW"), "layout")]:
        write(name, "tflite", "RESIZE_NEAREST_NEIGHBOR", attributes, [("input", x), size], twice, change=change)
        EXPECTED[name] = want
    write("tflite_wrong", "tflite", "RESIZE_NEAREST_NEIGHBOR", {}, [("input", x), size],
          Array("NHWC", twice.shape, {i: v + (i == (0, 3, 5, 1)) for i, v in twice.at.items()}))
    EXPECTED["tflite_wrong"] = "1 of 48 elements are wrong"
    write("torch_antialias", "pytorch", "interpolate", {"mode": "nearest", "scale_factor": 1, "antialias": True}, [("input", x)], x)
    EXPECTED["torch_antialias"] = "antialias is not there"
    for dtype in ("int8", "uint8", "int16", "int32", "int64"): # results are rounded: 3 + 4 * 2 / 3 is 5.67
        pair, wide = {(0, 0, i, 0): (3, 7)[i] for i in range(2)}, {(0, 0, i, 0): (3, 6, 7)[i] for i in range(3)}
        write(f"tflite_{dtype}", "tflite", "RESIZE_BILINEAR", {}, [("input", Array("NHWC", [1, 1, 2, 1], pair, dtype)), (
            "size", Array("X", [2], {(0,): 1, (1,): 3}, "int32"))], Array("NHWC", [1, 1, 3, 1], wide, dtype))
        block = Array("NHWC", [1, 1, 1, 4], {(0, 0, 0, i): 5 + i for i in range(4)}, dtype)
        write(f"tflite_blocks_{dtype}", "tflite", "DEPTH_TO_SPACE", {"block_size": 2}, [("input", block)], Array(
            "NHWC", [1, 2, 2, 1], {(0, i // 2, i % 2, 0): 5 + i for i in range(4)}, dtype))
        EXPECTED.update({f"tflite_{dtype}": "pass", f"tflite_blocks_{dtype}": "pass"})
    blocks = Array("NCHW", [1, 8, 1, 2], dtype="int8")
    for mode in ("CRD", "DCR"):
        channel = (lambda c, r: c * 4 + r) if mode == "CRD" else (lambda c, r: r * 2 + c)
        write(f"onnx_{mode}", "onnx", "DepthToSpace", {"blocksize": 2, "mode": mode}, [("X", blocks)],
              Array("NCHW", [1, 2, 2, 4], {(0, c, h, w): blocks.at[(0, channel(c, h % 2 * 2 + w % 2), h // 2, w // 2)]
                                           for c in range(2) for h in range(2) for w in range(4)}, "int8"))
        EXPECTED[f"onnx_{mode}"] = "pass"


def run(program, *words):
    done = subprocess.run([program, "--corpus", str(ROOT), *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          universal_newlines=True, check=False)
    return done.returncode, done.stdout


def require(condition, *what):
    if not condition:
        sys.exit("\n".join(["conformance_check: broken", *map(str, what)]))


def main():
    good_cases()
    bad_cases()
    sampling_cases()
    (ROOT / "index.json").write_text(json.dumps({"schema": 1, "cases": CASES}))
    code, text = run(sys.argv[1], "--backend", "cpu")
    failed = {name: line for line in text.splitlines() for name in EXPECTED if line.startswith(f"FAILED {name}: ")}
    for name, want in EXPECTED.items():
        line = failed.get(name)
        require((line is None) == (want in ("pass", "skip")), name, want, line)
        require(line is None or want in line, want, line)
    count = {kind: sum(want == kind for want in EXPECTED.values()) for kind in ("pass", "skip")}
    last = f"{count['pass']} passed, {len(failed)} failed, {count['skip']} skipped"
    require(text.splitlines()[-1] == last, text, last)
    require("skipped: onnx LRN (1)\n" in text and "skipped: pytorch conv_transpose1d in int8 (1)\n" in text, text)
    require(code == 1, code)
    code, text = run(sys.argv[1], "--backend", "cpu", "--match", "torch2")
    require(code == 0 and text.splitlines()[-1] == "4 passed, 0 failed, 0 skipped", text)
    code, text = run(sys.argv[1], "--backend", "cpu", "--match", "torch2", "--solver", "reference")
    require(code == 0 and text.splitlines()[-1] == "4 passed, 0 failed, 0 skipped", text)
    code, text = run(sys.argv[1], "--backend", "cpu", "--match", "torch2", "--solver", "nonsense")
    require(code == 1 and text.splitlines()[-1] == "0 passed, 4 failed, 0 skipped", text)
    require(run(sys.argv[1], "--backend", "cpu", "--match", "nothing like it")[0] == 2, "no case matches")
    require(run(sys.argv[1], "--backend", "tpu")[0] == 2, "no such backend")
    require(run(sys.argv[1])[0] == 2, "no backend")
    code, text = run(sys.argv[1], "--list", "--match", "torch1_all")
    require(code == 0 and "g2mb2ic4oc6_iw3ow8kw2sw3pw1dw1" in text, text)
    (ROOT / "index.json").write_text("{")
    require(run(sys.argv[1], "--backend", "cpu")[0] == 2, "a damaged index")
    print(f"{len(EXPECTED)} passed, 0 failed, 0 skipped")


with tempfile.TemporaryDirectory() as place:
    ROOT = pathlib.Path(place)
    main()
