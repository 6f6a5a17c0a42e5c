"""Exports converted to ONNX, and checked with ONNX Runtime."""

import importlib.util
import sys

import numpy as np
import paddle

from ppcls_mixformer.hosting.errors import UserError

OPSET = 17
PACKAGES = ("paddle2onnx", "onnxruntime")


def require(flag):
    """Refuses `flag`, which asks for ONNX, where what it needs is not installed."""
    missing = [name for name in PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        wheels = " (paddle2onnx has wheels up to Python 3.12)" if sys.version_info >= (3, 13) else ""
        raise UserError(
            f"{flag} needs {' and '.join(missing)}: pip install paddle2onnx==2.1.0 onnxruntime{wheels}"
        )


def convert(program, target):
    """Writes the exported `program`, whose parameters lie beside it, as the ONNX file `target`."""
    import paddle2onnx

    paddle2onnx.export(
        str(program),
        str(program.with_suffix(".pdiparams")),
        str(target),
        opset_version=OPSET,
        optimize_tool="None",  # polygraphy, the default, upgrades numpy in the running environment
    )


def session(path, threads=None):
    """ONNX Runtime's session on the CPU for the file at `path`."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    if threads is not None:
        options.intra_op_num_threads = threads
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def largest_error(path, program, shape):
    """Largest difference between ONNX Runtime and Paddle, in the first output, at batch 1 and 3.

    Args:
        path: the ONNX file.
        program: what it was converted from.
        shape: of one input, `(C, H, W)`.
    """
    runtime = session(path)
    model = paddle.jit.load(str(program.with_suffix("")))
    images = np.random.RandomState(0).standard_normal([3, *shape]).astype("float32")
    name = runtime.get_inputs()[0].name
    return max(
        np.abs(runtime.run(None, {name: batch})[0] - model(paddle.to_tensor(batch)).numpy()).max()
        for batch in (images[:1], images)
    )
