"""Exports a detector or keypoint network for Paddle inference, in the layout of PaddleDetection.

`model.json` (Paddle 3) or `model.pdmodel` (Paddle 2, or with FLAGS_enable_pir_api=0), beside it
`model.pdiparams` and `infer_cfg.yml`, which PaddleDetection's `deploy/python/infer.py` reads.
"""

import copy
import math
from pathlib import Path

import numpy as np
import paddle
import yaml

from ppcls_mixformer.hosting import onnx
from ppcls_mixformer.hosting.inference import find_program, input_shapes, onednn_refuses
from ppcls_mixformer.hosting.pdiparams import check_program
from ppcls_mixformer.hosting.whole import publish, scratch
from ppcls_mixformer.network.fuse import fuse_for_inference
from ppcls_mixformer.paddledet.commands import load_trainer, prepare

ONNX = "model.onnx"
ASKED = ("model.json", "model.pdmodel", ONNX, "model.pdiparams", "model.pdiparams.info")  # by readers, first
# As `arch`, on which PaddleDetection's readers end: they would draw such masks in the corner of the picture.
IN_BOXES = "masks in their boxes, which are not pasted here; det export --full-masks writes whole ones"
TRIALS = ((1, 96, 160), (2, 128, 64))  # batch, height and width of what readers are compared on
TRIALS_OF_ONE = ((1, 96, 160), (1, 128, 64))


def write_export(argv):
    """Writes the network into the folder in `--output_dir` that has the config's name; prints the files.

    An earlier export is replaced only once the new one is complete.

    Args:
        argv: `-c CONFIG -o weights=PATH [--output_dir DIR] [--no-fuse] [--onnx] [--full-masks]`.

    Raises:
        UserError: something about the set-up, the config or a file that a user can fix.
    """
    flags, config = prepare(argv, "export")
    from ppcls_mixformer.paddledet.batched import without_interpolation, without_loops

    paddle.set_device("cpu")
    trainer = load_trainer(config, "test")
    if flags.fuse:
        trainer.model = fuse_for_inference(trainer.model)
    model = trainer.model
    if config.architecture == "MaskRCNN":
        trainer.model = without_loops(copy.deepcopy(model), flags.full_masks)
    target, missing = Path(flags.output_dir) / config.filename, None
    with scratch() as staging:
        with without_interpolation():
            trainer.export(str(staging))
        folder = staging / config.filename
        if "joints" in config:
            describe(folder, joints_of(config["joints"]))
        if config.architecture == "MaskRCNN" and not flags.full_masks:
            describe(folder, masks_in_boxes(model.mask_post_process.binary_thresh))
        program = find_program(folder, "model")
        check_program(program)
        if flags.onnx:
            write = write_onnx_of_one if config.architecture == "MaskRCNN" else write_onnx
            missing = write(folder / ONNX, program, trainer, model)
        publish(folder, target, ASKED)
    for path in sorted(target.iterdir()):
        print(path)
    if missing:
        print(f"{ONNX} was not written: {missing}")
    if onednn_refuses(find_program(target, "model")):  # another detector's, which interpolates elsewhere
        print("read it with Config.disable_mkldnn(): oneDNN refuses it on paddlepaddle 3.3")


def write_onnx(target, program, trainer, model):
    """Writes the ONNX file `target`, if with it ONNX Runtime gives what `program` gives.

    Args:
        trainer: whose network the program is.
        model: that network, before any of its steps was replaced.

    Returns:
        Why it is missing, one line; None if it is not.
    """
    feeds, view = feeds_of(program, TRIALS), heat if trainer.cfg.architecture == "TopDownHRNet" else list
    return onnx.write(program, target, lambda path: onnx.unlike(path, program, feeds, view))


def write_onnx_of_one(target, program, trainer, model):
    """As `write_onnx`, for a Mask R-CNN, whose file takes one picture at a time."""
    from ppcls_mixformer.paddledet.batched import without_loops
    from ppcls_mixformer.paddledet.onnx_operators import has_other_nms, with_onnx_operators

    if has_other_nms(model):
        return "it needs BBoxPostProcess.nms to be a MultiClassNMS without nms_top_k and nms_eta"

    def unlike(path):
        onnx.fix_batch(path, 1)
        return onnx.unlike(path, program, feeds_of(program, TRIALS_OF_ONE), found)

    with scratch() as folder:
        trainer.model = with_onnx_operators(without_loops(model))
        trainer.export(str(folder))
        convertible = find_program(folder / trainer.cfg.filename, "model")
        return onnx.write(convertible, target, unlike)


def feeds_of(program, sizes):
    """Inputs of a program to try readers on, noise of `sizes`."""
    shape = next(shape for shape in input_shapes(program) if len(shape) == 4)
    return [inputs_for(pictures) for pictures in onnx.trials(shape, sizes)]


def found(outputs):
    """Boxes, counts and masks; for no boxes Paddle gives masks of another shape."""
    boxes, counts, masks = outputs
    return [boxes, counts, masks] if counts.sum() else [boxes, counts]


def inputs_for(pictures):
    """What a network of PaddleDetection may take, by name, for `pictures`, `[N, 3, H, W]`, of that size."""
    sizes = np.tile(np.array(pictures.shape[2:], "float32"), (len(pictures), 1))
    return {"image": pictures, "im_shape": sizes, "scale_factor": np.ones_like(sizes)}


def heat(outputs):
    """Heat maps, and the heat where each has its maximum; of two that are next to equal either may be it."""
    maps, places = outputs
    return [maps, np.take_along_axis(maps.reshape([*places.shape, -1]), places[..., np.newaxis], -1)]


def joints_of(joints):
    """Names of the joints and the lines between them, counted from 1 as in COCO."""
    edges = [[first + 1, second + 1] for first, second in joints.edges]
    return {"keypoints": joints.names, "skeleton": edges}


def masks_in_boxes(threshold):
    """What readers have to know of masks in their boxes.

    Args:
        threshold: the probability from which on a pixel belongs to the object.
    """
    return {"arch": IN_BOXES, "mask_in_box": True, "mask_threshold": threshold}


def describe(folder, facts):
    """Adds what PaddleDetection does not say to `infer_cfg.yml` of an export, or what it says otherwise."""
    path = folder / "infer_cfg.yml"
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    kept = [line for line in lines if line.split(":")[0] not in facts]
    added = yaml.safe_dump(facts, allow_unicode=True, width=math.inf)
    path.write_text("".join(kept) + added, encoding="utf-8")
