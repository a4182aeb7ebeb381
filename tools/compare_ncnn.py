# ncnn (PyPI: ncnn): a network of one deconvolution, on Vulkan where upconv is on Vulkan or on a GPU, else on the
# processor. The time is that of one extraction; on Vulkan it has the way of input and output to the device and back in
# it, which ncnn's Python interface does not let one leave out.
import tempfile

KINDS = {1: "Deconvolution1D", 2: "Deconvolution", 3: "Deconvolution3D"}
# the numbers of ncnn's parameters, w first: kernel, dilation, stride, padding in front, behind, added behind
NUMBERS = [(1, 2, 3, 4, 15, 18), (11, 12, 13, 14, 16, 19), (21, 22, 23, 24, 17, 20)]
state = {}


def open_library(device):
    import ncnn
    import numpy
    state["ncnn"], state["numpy"] = ncnn, numpy
    version = getattr(ncnn, "__version__", "")
    state["vulkan"] = None
    if device["backend"] == "vulkan" or device["gpu"]:
        names = [ncnn.get_gpu_info(i).device_name() for i in range(ncnn.get_gpu_count())]
        if not names:
            raise RuntimeError("this ncnn finds no Vulkan device")
        same = [i for i, name in enumerate(names) if name == device["name"]]
        state["vulkan"] = same[0] if same else 0
        return f"ncnn {version}, Vulkan on {names[state['vulkan']]}; times include upload and download"
    return f"ncnn {version}, on the processor, {ncnn.get_cpu_count()} threads"


def layer(problem):
    dims, groups = problem["dims"], problem["groups"]
    if state["vulkan"] is not None and dims != 2:
        raise ValueError("ncnn has no Vulkan kernels for 1-D and 3-D")
    name = KINDS[dims].replace("Deconvolution", "DeconvolutionDepthWise" if groups > 1 else "Deconvolution")
    taps, words = 1, [f"0={problem['oc']}", "5=1"]
    for number, axis in zip(NUMBERS, reversed(range(dims))):
        front = problem["pad"][axis]
        behind = full_size(problem, axis) - front - problem["out"][axis]
        if front < 0:
            raise ValueError("ncnn has no negative padding in front")
        values = (problem["kernel"][axis], problem["dilation"][axis], problem["stride"][axis], front, max(behind, 0),
                  max(-behind, 0))
        words += [f"{n}={v}" for n, v in zip(number, values)]
        taps *= problem["kernel"][axis]
    weights = problem["ic"] * problem["oc"] // groups * taps
    words += [f"6={weights}"] + ([f"7={groups}"] if groups > 1 else [])
    return f"{name} x 1 1 a b {' '.join(words)}", weights


def prepare(problem):
    ncnn, numpy = state["ncnn"], state["numpy"]
    random = numpy.random.default_rng(1)
    text, count = layer(problem)
    net = ncnn.Net()
    net.opt.num_threads = ncnn.get_cpu_count()
    net.opt.use_vulkan_compute = state["vulkan"] is not None
    half = problem["type"] == "f16"
    for name in ("use_fp16_packed", "use_fp16_storage", "use_bf16_packed", "use_bf16_storage"):
        if hasattr(net.opt, name):
            setattr(net.opt, name, half and "fp16" in name)
    net.opt.use_fp16_arithmetic = False
    if net.opt.use_vulkan_compute:
        net.set_vulkan_device(state["vulkan"])
    if net.load_param_mem(f"7767517\n2 2\nInput a 0 1 a\n{text}\n"):
        raise RuntimeError("ncnn does not load the layer")
    with tempfile.NamedTemporaryFile(suffix=".bin") as file:
        file.write(bytes(4))
        file.write((random.random(count, dtype="float32") - 0.5).tobytes())
        file.write(numpy.zeros(problem["oc"], dtype="float32").tobytes())
        file.flush()
        if net.load_model(file.name):
            raise RuntimeError("ncnn does not load the weights")
    x = random.random([problem["ic"], *problem["in"]], dtype="float32") - 0.5
    state.update(net=net, x=x, mat=ncnn.Mat(x), batch=problem["batch"])
    got = numpy.array(extract()).shape
    if list(got) != [problem["oc"], *problem["out"]]:
        raise RuntimeError(f"the output is {got}")
    return text.split()[0] + (f", {problem['batch']} times" if problem["batch"] > 1 else "")


def extract():
    with state["net"].create_extractor() as extractor:
        extractor.input("a", state["mat"])
        code, out = extractor.extract("b")
        if code:
            raise RuntimeError(f"extract returned {code}")
        return out


def run():
    for _ in range(state["batch"]):
        extract()


serve(open_library, prepare, run)
