# PyTorch (PyPI: torch): conv_transpose, on the GPU (cuDNN on NVIDIA) where upconv is on one, else on the processor.
# TF32 is off, cuDNN searches for its fastest algorithm, weights and tensors stay on the device, and times are its own
# events' there.
state = {}


def open_library(device):
    import torch
    torch.set_grad_enabled(False)
    state["torch"] = torch
    state["device"] = "cuda" if device["gpu"] else "cpu"
    if device["gpu"] and not torch.cuda.is_available():
        raise RuntimeError("this PyTorch finds no GPU")
    torch.backends.cudnn.benchmark = True
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_tf32 = False
    if device["gpu"]:
        return (f"PyTorch {torch.__version__} on {torch.cuda.get_device_name()}, "
                f"cuDNN {torch.backends.cudnn.version()}, no TF32")
    return f"PyTorch {torch.__version__}, on the processor, {torch.get_num_threads()} threads"


def prepare(problem):
    torch = state["torch"]
    dims = problem["dims"]
    extra = []
    for axis in range(dims):
        stride, dilation, pad = problem["stride"][axis], problem["dilation"][axis], problem["pad"][axis]
        if pad < 0:
            raise ValueError("PyTorch has no negative padding")
        # a smaller output is a view of the one that PyTorch makes
        extra.append(max(problem["out"][axis] - (full_size(problem, axis) - 2 * pad), 0))
        if extra[-1] >= max(stride, dilation):
            raise ValueError("PyTorch does not make so large an output")
    kind = torch.float16 if problem["type"] == "f16" else torch.float32
    options = {"dtype": kind, "device": state["device"]}
    x = torch.rand([problem["batch"], problem["ic"], *problem["in"]], **options) - 0.5
    w = torch.rand([problem["ic"], problem["oc"] // problem["groups"], *problem["kernel"]], **options) - 0.5
    b = torch.rand([problem["oc"]], **options)
    function = getattr(torch.nn.functional, f"conv_transpose{dims}d")
    state["once"] = lambda: function(x, w, b, problem["stride"], problem["pad"], extra, problem["groups"],
                                     problem["dilation"])
    for _ in range(3):
        state["once"]()
    return f"conv_transpose{dims}d"


def run():
    if state["device"] == "cpu":
        state["once"]()
        return None
    cuda = state["torch"].cuda
    begin, end = cuda.Event(enable_timing=True), cuda.Event(enable_timing=True)
    begin.record()
    state["once"]()
    end.record()
    end.synchronize()
    return begin.elapsed_time(end) * 1e3


serve(open_library, prepare, run)
