"""Checks what PaddleSeg would ignore silently, download or crash on, before anything is built."""

import re
from pathlib import Path

import cv2
import numpy as np
import paddle
from paddleseg.utils import get_image_list
from PIL import Image

from ppcls_mixformer.hosting.advice import has_gpu
from ppcls_mixformer.hosting.errors import UserError
from ppcls_mixformer.paddleseg.data import list_pairs
from ppcls_mixformer.weights.checkpoint import find_file, read_file

CHECKED_MAPS = 64  # of a split


def check(settings, mode):
    """Checks all that `mode` (train, eval, infer, export) needs, and sets the device.

    Raises:
        UserError: names the flag or the key, the value and what to do.
    """
    flags, config = settings
    set_device(flags.device)
    if mode == "train":
        check_data(config, "train_dataset")
        if flags.do_eval:
            check_data(config, "val_dataset")
        if flags.resume_model:
            check_resume(flags.resume_model, config.iters)
        return
    if mode == "eval":
        check_data(config, "val_dataset")
    if mode in ("eval", "infer") and flags.is_slide and not (flags.crop_size and flags.stride):
        raise UserError("--is_slide needs --crop_size and --stride, each with a width and a height")
    if mode == "infer":
        check_pictures(flags.image_path)
    find_file(flags.model_path)


def set_device(device):
    """Sets the device; for all but the GPU Paddle says only then whether it is there.

    Raises:
        UserError: this machine or this Paddle does not have it.
    """
    try:
        if device == "gpu" and not has_gpu():
            raise ValueError("no GPU")
        paddle.set_device(device)
    except ValueError:
        raise UserError(
            f"--device {device}: this machine or this Paddle has none; use --device cpu"
        ) from None


def check_data(config, split):
    """Checks the data that the section `split` of the config names.

    Raises:
        UserError: names the section, what is wrong and where.
    """
    dataset = config.dic.get(split)
    if not dataset:
        raise UserError(f"the config has no section {split}")
    try:
        check_split(dataset, config.dic["model"].get("num_classes"))
    except UserError as error:
        raise UserError(f"{split}: {error}") from None


def check_split(dataset, model_classes):
    """Checks the folder and the number of classes, and in ADE20K's layout the files too."""
    root = dataset.get("dataset_root")
    if not root or not Path(root).is_dir():
        raise UserError(
            f"there is no folder {root} (dataset_root); nothing is downloaded, put the data there"
        )
    classes = 150 if dataset.get("type") == "ADE20K" else dataset.get("num_classes")
    if classes and model_classes and classes != model_classes:
        raise UserError(f"the data have {classes} classes, but model.num_classes is {model_classes}")
    if dataset.get("type") in ("ADE20K", "ADE20KLayout"):
        pairs = list_pairs(root, dataset.get("mode", "train"))
        for picture, class_map in pairs[:: -(-len(pairs) // CHECKED_MAPS)]:
            check_class_map(picture, class_map, classes)


def check_class_map(picture, path, classes):
    """Refuses a class map that is not one, that is of another size, or that has too high a class."""
    try:
        labels, size = np.asarray(Image.open(path)), Image.open(picture).size
    except OSError as error:
        raise UserError(f"{path} or {picture} cannot be read: {error}") from None
    if labels.ndim != 2 or labels.dtype != np.uint8:
        raise UserError(
            f"{path} is not a class map: it is {labels.dtype} of shape {labels.shape}, not uint8 of [H, W]"
        )
    if labels.shape[::-1] != size:
        raise UserError(
            f"{path} is {labels.shape[1]}×{labels.shape[0]}, but its picture is {size[0]}×{size[1]}"
        )
    if labels.max() > classes:
        raise UserError(f"{path} has a class {labels.max()}, but the data have {classes} classes")


def check_resume(folder, iters):
    """Refuses to resume from anything but a whole checkpoint, or when there is nothing left to do.

    Raises:
        UserError: no such folder, a name that PaddleSeg does not understand, or `iters` is reached.
        WeightsError: a file of it is missing or damaged.
    """
    if not Path(folder).is_dir():
        raise UserError(f"--resume_model: there is no folder {folder}")
    number = re.fullmatch(r"iter_(\d+)", Path(folder).name)
    if not number:
        raise UserError(
            f"--resume_model {folder}: PaddleSeg resumes from a folder iter_N, N being where to go on"
        )
    if int(number[1]) >= iters:
        raise UserError(f"--resume_model {folder}: training ends at {iters}; raise --iters to go on")
    for name in ("model.pdparams", "model.pdopt"):
        read_file(Path(folder) / name)


def check_pictures(path):
    """Refuses an `--image_path` that means no pictures, or one that is missing or cannot be read."""
    try:
        pictures, _ = get_image_list(path)
    except (FileNotFoundError, RuntimeError, UnicodeDecodeError):
        raise UserError(
            f"--image_path: {path} is neither a picture nor a folder or a list of pictures"
        ) from None
    for picture in pictures:
        if not cv2.haveImageReader(picture):
            raise UserError(f"--image_path: {picture} does not exist or is not a picture")
