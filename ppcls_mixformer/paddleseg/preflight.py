"""What PaddleSeg would swallow, download or die of, said in one line before anything is built."""

from pathlib import Path

import numpy as np
import paddle
from PIL import Image

from ppcls_mixformer.hosting.errors import UserError
from ppcls_mixformer.paddleseg.data import list_pairs

LOOKED_AT = 64  # class maps of a split


def set_device(device):
    """Sets `device`, or without one the GPU where there is one; returns its name.

    Raises:
        UserError: asked for what this machine or this Paddle has not.
    """
    has_gpu = paddle.is_compiled_with_cuda() and paddle.device.cuda.device_count() > 0
    device = device or ("gpu" if has_gpu else "cpu")
    try:
        if device == "gpu" and not has_gpu:
            raise ValueError("no GPU")
        paddle.set_device(device)
    except ValueError:
        raise UserError(
            f"--device {device}: this machine or this Paddle has none; take --device cpu"
        ) from None
    return device


def check_data(config, splits):
    """Checks the data of each of `splits`, names of the config's sections.

    Raises:
        UserError: names the section, what is wrong and where.
    """
    for split in splits:
        dataset = config.dic.get(split)
        if not dataset:
            raise UserError(f"the config has no section {split}")
        try:
            check_split(dataset, config.dic["model"].get("num_classes"))
        except UserError as error:
            raise UserError(f"{split}: {error}") from None


def check_split(dataset, model_classes):
    """Checks one split, the most where its layout is known."""
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
        for picture, class_map in pairs[:: -(-len(pairs) // LOOKED_AT)]:
            check_class_map(picture, class_map, classes)


def check_class_map(picture, path, classes):
    """Refuses a class map that is no picture of class numbers, of another size, or with too high ones."""
    try:
        labels, size = np.asarray(Image.open(path)), Image.open(picture).size
    except OSError as error:
        raise UserError(f"{path} or {picture} cannot be read: {error}") from None
    if labels.ndim != 2 or labels.dtype != np.uint8:
        raise UserError(
            f"{path} is no class map: it is {labels.dtype} of shape {labels.shape}, not uint8 of [H, W]"
        )
    if labels.shape[::-1] != size:
        raise UserError(f"{path} is {labels.shape[1]}×{labels.shape[0]}, its picture {size[0]}×{size[1]}")
    if labels.max() > classes:
        raise UserError(f"{path} has a class {labels.max()}, the data are said to have {classes}")
