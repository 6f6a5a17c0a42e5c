"""Exports a trained segmentation network for Paddle inference, as PaddleSeg's deployment reads it."""

import tempfile
from pathlib import Path

import paddle
import yaml

from ppcls_mixformer.hosting.whole import publish
from ppcls_mixformer.network.fuse import fuse_for_inference
from ppcls_mixformer.paddleseg.commands import prepare, trained_model

PROGRAMS = ("model.json", "model.pdmodel")  # of Paddle 3, and of Paddle 2


def export(flags):
    """Writes program, parameters and `deploy.yaml` into `--save_dir`, batch and picture size free.

    An earlier export is replaced only once the new one is complete.
    """
    builder, _ = prepare(flags, [])
    shape = flags.input_shape or [None, 3, None, None]
    model = exported_model(trained_model(builder, flags.model_path), flags.output_op)
    target = Path(flags.save_dir)
    with tempfile.TemporaryDirectory(prefix="export-") as folder:
        staging = Path(folder)
        spec = [paddle.static.InputSpec(shape=shape, dtype="float32")]
        program = paddle.jit.to_static(model, input_spec=spec, full_graph=True)
        paddle.jit.save(program, str(staging / "model"))
        description = describe(builder.config, shape, flags.output_op, written_program(staging))
        (staging / "deploy.yaml").write_text(yaml.safe_dump(description))
        publish(staging, target, (*PROGRAMS, "model.pdiparams*"))
    for name in (*PROGRAMS, "model.pdiparams", "deploy.yaml"):
        if (target / name).exists():
            print(target / name)
    if paddle.__version__.startswith("3.3."):  # it refuses every bilinear interpolation with oneDNN on
        print("read it with Config.disable_mkldnn(): oneDNN, on by default, refuses it on paddlepaddle 3.3")


def exported_model(model, output_op):
    """`model`, fused for inference, with `output_op` (argmax, softmax or none) behind it."""
    from paddleseg.deploy.export import WrappedModel

    model = fuse_for_inference(model)
    if output_op != "none":
        model = WrappedModel(model, output_op)
    model.eval()
    return model


def written_program(folder):
    """Name of the program that this Paddle wrote into `folder`."""
    return next(name for name in PROGRAMS if (folder / name).exists())


def describe(config, shape, output_op, program):
    """Content of `deploy.yaml`."""
    return {
        "Deploy": {
            "model": program,
            "params": "model.pdiparams",
            "transforms": config.val_dataset_cfg.get("transforms"),
            "input_shape": shape,
            "output_op": output_op,
            "output_dtype": "int32" if output_op == "argmax" else "float32",
        }
    }
