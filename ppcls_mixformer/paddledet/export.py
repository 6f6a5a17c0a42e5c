"""Exports a detector or keypoint network for Paddle inference, in the layout of PaddleDetection.

`model.json` (Paddle 3) or `model.pdmodel` (Paddle 2, or with FLAGS_enable_pir_api=0), beside it
`model.pdiparams` and `infer_cfg.yml`, which PaddleDetection's `deploy/python/infer.py` reads.
"""

from pathlib import Path

import paddle
import yaml

from ppcls_mixformer.hosting.inference import find_program, onednn_refuses
from ppcls_mixformer.hosting.pdiparams import check_program
from ppcls_mixformer.hosting.whole import publish, scratch
from ppcls_mixformer.network.fuse import fuse_for_inference
from ppcls_mixformer.paddledet.commands import load_trainer, prepare

ASKED = ("model.json", "model.pdmodel", "model.pdiparams", "model.pdiparams.info")  # by readers, first


def write_export(argv):
    """Writes the network into the folder in `--output_dir` that has the config's name; prints the files.

    An earlier export is replaced only once the new one is complete.

    Args:
        argv: `-c CONFIG -o weights=PATH [--output_dir DIR] [--no-fuse]`.

    Raises:
        UserError: something about the set-up, the config or a file that a user can fix.
    """
    flags, config = prepare(argv, "export")
    from ppcls_mixformer.paddledet.batched import without_interpolation, without_loops

    paddle.set_device("cpu")
    trainer = load_trainer(config, "test")
    if flags.fuse:
        trainer.model = fuse_for_inference(trainer.model)
    if config.architecture == "MaskRCNN":
        without_loops(trainer.model)
    target = Path(flags.output_dir) / config.filename
    with scratch() as staging, without_interpolation():
        trainer.export(str(staging))
        if "joints" in config:
            describe_joints(staging / config.filename / "infer_cfg.yml", config["joints"])
        check_program(find_program(staging / config.filename, "model"))
        publish(staging / config.filename, target, ASKED)
    for path in sorted(target.iterdir()):
        print(path)
    if onednn_refuses(find_program(target, "model")):  # another detector's, which interpolates elsewhere
        print("read it with Config.disable_mkldnn(): oneDNN refuses it on paddlepaddle 3.3")


def describe_joints(path, joints):
    """Adds the names of the joints and the lines between them, counted from 1 as in COCO, to a YAML file."""
    edges = [[first + 1, second + 1] for first, second in joints.edges]
    with open(path, "a", encoding="utf-8") as file:
        yaml.safe_dump({"keypoints": joints.names, "skeleton": edges}, file, allow_unicode=True)
