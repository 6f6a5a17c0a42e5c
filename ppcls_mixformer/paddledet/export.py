"""Exports a detector or keypoint network for Paddle inference, in the layout of PaddleDetection.

`model.json` (Paddle 3) or `model.pdmodel` (Paddle 2, or with FLAGS_enable_pir_api=0), beside it
`model.pdiparams` and `infer_cfg.yml`, which PaddleDetection's `deploy/python/infer.py` reads.
"""

import tempfile
from pathlib import Path

import paddle

from ppcls_mixformer.hosting.whole import publish
from ppcls_mixformer.network.fuse import fuse_for_inference
from ppcls_mixformer.paddledet.commands import load


def add_flags(parser):
    """Flags of `tools/det/export.py`."""
    parser.add_argument("--output_dir", default="output_inference", help="folder for the exported network's")
    parser.add_argument("--no-fuse", dest="fuse", action="store_false", help="leave the norms as they are")


def main(argv):
    """`tools/det/export.py -c CONFIG -o weights=PATH [--output_dir DIR] [--no-fuse]`."""

    flags, settings = load(argv, add_flags, "export")
    from ppcls_mixformer.paddledet.batched import without_loops
    from ppcls_mixformer.paddledet.trainer import Trainer

    paddle.set_device("cpu")
    trainer = Trainer(settings, mode="test")
    trainer.load_weights(settings.weights)
    if flags.fuse:
        trainer.model = fuse_for_inference(trainer.model)
    if settings.architecture == "MaskRCNN":
        without_loops(trainer.model)
    target = Path(flags.output_dir) / settings.filename
    with tempfile.TemporaryDirectory(prefix="export-") as staging:
        trainer.export(staging)
        publish(Path(staging) / settings.filename, target, ["model.*"])
    for path in sorted(target.iterdir()):
        print(path)
    if paddle.__version__.startswith("3.3.") and settings.architecture == "MaskRCNN":
        print("read it with Config.disable_mkldnn(): oneDNN refuses every interpolation on paddlepaddle 3.3")
