"""Exports converted to ONNX, checked and read with ONNX Runtime; only reading needs no Paddle."""

import importlib.metadata
import importlib.util
import sys

import numpy as np

from ppcls_mixformer.hosting.errors import UserError

OPSET = 17
CPU, CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"


def paddle2onnx_release():
    """The newest for this Paddle: version 2 reads the programs of Paddle 3, on which alone it imports."""
    from ppcls_mixformer.hosting.inference import PADDLE_3

    return "2.1.0" if PADDLE_3 else "1.3.1"


def require(flag):
    """Refuses `flag`, which asks for ONNX, where what it needs is not installed.

    Raises:
        UserError: with the pip command that installs it.
    """
    import paddle

    needs, release = [], paddle2onnx_release()
    if installed("paddle2onnx").split(".")[0] != release.split(".")[0]:
        needs.append(f"paddle2onnx=={release}")
    if importlib.util.find_spec("onnxruntime") is None:
        needs.append("onnxruntime")
    if needs:
        wheels = " (paddle2onnx has wheels up to Python 3.12)" if sys.version_info >= (3, 13) else ""
        raise UserError(
            f"{flag} needs {' and '.join(needs)} on paddlepaddle {paddle.__version__}: "
            f"pip install {' '.join(needs)}{wheels}"
        )


def installed(package):
    """Version of an installed package; empty if there is none."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""


def convert(program, target):
    """Writes the exported `program`, whose parameters lie beside it, as the ONNX file `target`."""
    import paddle2onnx

    from ppcls_mixformer.hosting.inference import PADDLE_3

    parameters = program.with_suffix(".pdiparams")
    # polygraphy, the default, upgrades numpy in the running environment; paddle2onnx 1 has no such option.
    options = {"optimize_tool": "None"} if PADDLE_3 else {}
    paddle2onnx.export(str(program), str(parameters), str(target), opset_version=OPSET, **options)
    if PADDLE_3:
        restore_padding(program, target)


def restore_padding(program, target):
    """Gives each `Pad` of the ONNX file `target` the value that it has in Paddle's `program`.

    paddle2onnx 2.1.0 writes uninitialised memory instead, since Paddle 3.3 stores that value as a double.
    """
    import onnx
    import paddle

    network = paddle.jit.load(str(program.with_suffix("")))
    graph = network.program()  # its operators are gone with it
    values = [op.attrs()["pad_value"] for op in graph.global_block().ops if op.name() == "pd_op.pad3d"]
    model = onnx.load(str(target))
    pads = [node for node in model.graph.node if node.op_type == "Pad" and "pad3d" in node.output[0]]
    if len(pads) != len(values):
        raise RuntimeError(f"it made {len(pads)} Pad of {len(values)} pad3d")
    for node, value in zip(pads, values):
        name = f"{node.output[0]}.value"
        model.graph.initializer.append(onnx.helper.make_tensor(name, onnx.TensorProto.FLOAT, [], [value]))
        node.input[2] = name
    onnx.save(model, str(target))


def session(path, threads=None, use_gpu=False):
    """ONNX Runtime's session for the file at `path`.

    Args:
        threads: None for its own choice.
        use_gpu: whether to use CUDA; None for CUDA where this ONNX Runtime has it.

    Raises:
        UserError: a GPU that this ONNX Runtime cannot use.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # not what it leaves out of a file, a line each
    if threads is not None:
        options.intra_op_num_threads = threads
    has_cuda = CUDA in onnxruntime.get_available_providers()
    if use_gpu and not has_cuda:
        raise UserError("this ONNX Runtime uses no GPU: install onnxruntime-gpu, or go on without")
    providers = [CUDA, CPU] if has_cuda and use_gpu is not False else [CPU]
    return onnxruntime.InferenceSession(str(path), options, providers=providers)


def largest_error(path, program, shape):
    """Largest difference between ONNX Runtime and Paddle, in any output, at batch 1 and 3.

    Args:
        path: the ONNX file.
        program: what it was converted from.
        shape: of one input, `(C, H, W)`.
    """
    import paddle

    runtime = session(path)
    model = paddle.jit.load(str(program.with_suffix("")))
    images = np.random.RandomState(0).standard_normal([3, *shape]).astype("float32")
    name, errors = runtime.get_inputs()[0].name, []
    for batch in (images[:1], images):
        expected = model(paddle.to_tensor(batch))
        expected = expected if isinstance(expected, (list, tuple)) else [expected]
        found = runtime.run(None, {name: batch})
        errors += [np.abs(mine - theirs.numpy()).max() for mine, theirs in zip(found, expected)]
    return max(errors)
