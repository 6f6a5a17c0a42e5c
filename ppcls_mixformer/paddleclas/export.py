"""Exports a checkpoint for Paddle inference, in both of its formats, and to ONNX.

`inference.json` is Paddle 3's program; `inference.pdmodel` is the older one, which the
`paddleclas` command insists on. Both read the same `inference.pdiparams`.
"""

import filecmp
import importlib.util
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import paddle

import ppcls_mixformer
from ppcls_mixformer.hosting.errors import HostError, in_one_line
from ppcls_mixformer.hosting.whole import publish
from ppcls_mixformer.network.fuse import fuse_for_inference
from ppcls_mixformer.paddleclas.commands import build_engine
from ppcls_mixformer.weights.checkpoint import first_line

READERS = {
    "inference.json": "Paddle 3: paddle.inference, paddle.jit.load, tools/predict.py",
    "inference.pdmodel": "the `paddleclas` command, Paddle 2 and 3: paddle.inference",
    "inference.onnx": "ONNX Runtime and others",
}
ONNX_OPSET = 17
ONNX_FLAG = "--onnx"
NO_FUSE_FLAG = "--no-fuse"
ONNX_TOLERANCE = 1e-4  # absolute, on the exported scores


def main():
    """`tools/export_model.py -c CONFIG -o Global.pretrained_model=PATH [--onnx] [--no-fuse]`."""
    argv = [argument for argument in sys.argv[1:] if argument not in (ONNX_FLAG, NO_FUSE_FLAG)]
    in_one_line(lambda: export(argv, onnx=ONNX_FLAG in sys.argv, fuse=NO_FUSE_FLAG not in sys.argv))


def export(argv, onnx, fuse):
    """Writes what this Paddle can write into Global.save_inference_dir and prints the files.

    An earlier export is replaced only once the new one is complete.

    Args:
        argv: PaddleClas's flags.
        onnx: whether to convert to ONNX as well.
        fuse: whether to fold the norms into the layers around them.
    """
    if onnx:
        require_onnx()
    with tempfile.TemporaryDirectory(prefix="export-") as staging:
        engine = exporting_engine(argv, fuse)
        target = Path(engine.config["Global"]["save_inference_dir"])
        engine.config["Global"]["save_inference_dir"] = staging
        engine.export()
        missing = [write_other_format(Path(staging), argv, fuse)]
        if onnx:
            missing.append(write_onnx(Path(staging), engine.config["Global"]["image_shape"]))
        publish(Path(staging), target, (*READERS, "inference.pdiparams*"))
    for name, readers in READERS.items():
        if (target / name).exists():
            print(f"{target / name}: read by {readers}")
    for line in filter(None, missing):
        print(line)


def exporting_engine(argv, fuse):
    """PaddleClas's Engine with its weights loaded, and if `fuse` with the network fused for inference."""
    engine = build_engine("export", argv)
    from ppcls.utils.save_load import load_dygraph_pretrain

    settings = engine.config["Global"]
    if settings["pretrained_model"]:
        load_dygraph_pretrain(engine.model, settings["pretrained_model"])
        settings["pretrained_model"] = None
    elif not engine.config["Arch"].get("pretrained"):
        print("warning: neither Global.pretrained_model nor Arch.pretrained is set: random weights")
    if fuse:
        engine.model = fuse_for_inference(engine.model)
    return engine


def require_onnx():
    """Refuses `--onnx` early where what it needs is not installed."""
    for package in ("paddle2onnx", "onnxruntime"):
        if importlib.util.find_spec(package) is None:
            raise HostError(f"{ONNX_FLAG} needs {package}: pip install '.[onnx]'")


def write_other_format(staging, argv, fuse):
    """Adds the format that `engine.export` did not write; returns a line saying why if it cannot."""
    version = paddle.__version__
    if (staging / "inference.pdmodel").exists():
        return (
            f"inference.json was not written: only Paddle 3 writes it, this is {version}. "
            f"It is read by {READERS['inference.json']}; export with paddlepaddle 3 for it"
        )
    with tempfile.TemporaryDirectory(prefix="export-") as other:
        result = export_older_format(argv, other, fuse)
        if result.returncode:
            reason = [line.strip() for line in result.stdout.splitlines() if "Error" in line][-1:]
            return (
                f"inference.pdmodel was not written: paddlepaddle {version} cannot write this network "
                f"in the older format ({''.join(reason) or f'status {result.returncode}'}). It is read "
                f"by {READERS['inference.pdmodel']}; export with paddlepaddle 3.1.1 for it, or use "
                "tools/predict.py, which reads inference.json"
            )
        if not filecmp.cmp(f"{other}/inference.pdiparams", staging / "inference.pdiparams", False):
            return (
                f"inference.pdmodel was not written: paddlepaddle {version} gave it other parameters "
                "than inference.json, and both would be called inference.pdiparams"
            )
        os.replace(f"{other}/inference.pdmodel", staging / "inference.pdmodel")
    return None


def export_older_format(argv, folder, fuse):
    """Runs `engine.export` in a process of its own: the format is fixed when Paddle is imported."""
    root = str(Path(ppcls_mixformer.__file__).parent.parent)
    flags = [] if fuse else [NO_FUSE_FLAG]
    path = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
    return subprocess.run(
        [sys.executable, "-m", __name__, *argv, "-o", f"Global.save_inference_dir={folder}", *flags],
        env={**os.environ, "FLAGS_enable_pir_api": "0", "PYTHONPATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def write_onnx(staging, image_shape):
    """Adds `inference.onnx`, batch dynamic, if ONNX Runtime gives the scores of the export in `staging`.

    Returns a line saying why if it does not. paddle2onnx gives wrong numbers on paddlepaddle 3.3.1.
    """
    target = staging / "inference.onnx"
    try:
        convert_to_onnx(staging, target)
        error = onnx_error(staging, target, image_shape)
        if error <= ONNX_TOLERANCE:
            return None
        reason = f"ONNX Runtime differs from Paddle by {error:.1e} on what paddle2onnx made of it"
    except Exception as error:  # paddle2onnx's and ONNX Runtime's own, of many types
        reason = f"paddle2onnx cannot convert this network ({first_line(error)})"
    target.unlink(missing_ok=True)
    return (
        f"inference.onnx was not written: on paddlepaddle {paddle.__version__} {reason}. It is read by "
        f"{READERS['inference.onnx']}; export with paddlepaddle 3.1.1 for it"
    )


def convert_to_onnx(staging, target):
    """Runs paddle2onnx on the export in `staging`."""
    import paddle2onnx

    program = staging / "inference.json"
    if not program.exists():
        program = staging / "inference.pdmodel"
    paddle2onnx.export(
        str(program),
        str(staging / "inference.pdiparams"),
        str(target),
        opset_version=ONNX_OPSET,
        optimize_tool="None",  # polygraphy, the default, upgrades numpy in the running environment
    )


def onnx_error(staging, path, image_shape):
    """Largest difference of scores between the ONNX file at `path` and the export, at batch 1 and 3."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    model = paddle.jit.load(str(staging / "inference"))
    images = np.random.RandomState(0).standard_normal([3, *image_shape]).astype("float32")
    name = session.get_inputs()[0].name
    return max(
        np.abs(session.run(None, {name: batch})[0] - model(paddle.to_tensor(batch)).numpy()).max()
        for batch in (images[:1], images)
    )


if __name__ == "__main__":
    fuse = NO_FUSE_FLAG not in sys.argv
    argv = [argument for argument in sys.argv[1:] if argument != NO_FUSE_FLAG]
    in_one_line(lambda: exporting_engine(argv, fuse).export())
