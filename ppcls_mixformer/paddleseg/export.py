"""Exports a trained segmentation network for Paddle inference, as PaddleSeg's deployment reads it."""

from pathlib import Path

import paddle
import yaml

from ppcls_mixformer.hosting.inference import find_program, onednn_refuses
from ppcls_mixformer.hosting.pdiparams import check_program
from ppcls_mixformer.hosting.whole import publish, scratch
from ppcls_mixformer.network.fuse import fuse_for_inference
from ppcls_mixformer.paddleseg.checkpoints import load_whole
from ppcls_mixformer.paddleseg.commands import prepare

ASKED = ("model.json", "model.pdmodel", "model.pdiparams", "model.pdiparams.info")  # by readers, first


def write_export(argv):
    """Writes program, parameters and `deploy.yaml` into `--save_dir` and prints the files.

    Batch and picture size are free unless `--input_shape` fixes them. An earlier export is replaced only
    once the new one is complete.

    Raises:
        UserError: something about the set-up, the config or a file that a user can fix.
    """
    builder, flags = prepare(argv, "export")
    load_whole(builder.model, flags.model_path)
    shape = flags.input_shape or [None, 3, None, None]
    target = Path(flags.save_dir)
    with scratch() as staging:
        spec = [paddle.static.InputSpec(shape=shape, dtype="float32")]
        model = with_output_op(fuse_for_inference(builder.model), flags.output_op)
        graph = paddle.jit.to_static(model, input_spec=spec, full_graph=True)
        paddle.jit.save(graph, str(staging / "model"))
        program = find_program(staging, "model")
        check_program(program)
        description = describe(builder.config, shape, flags.output_op, program.name)
        (staging / "deploy.yaml").write_text(yaml.safe_dump(description))
        publish(staging, target, ASKED)
        for file in sorted(staging.iterdir()):
            print(target / file.name)
        if onednn_refuses(program):  # one of PaddleSeg's own networks
            print("read it with Config.disable_mkldnn(): oneDNN refuses it on paddlepaddle 3.3")


def with_output_op(model, output_op):
    """`model` in evaluation mode, followed by `output_op` (argmax, softmax or none)."""
    from paddleseg.deploy.export import WrappedModel

    if output_op != "none":
        model = WrappedModel(model, output_op)
    model.eval()
    return model


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
