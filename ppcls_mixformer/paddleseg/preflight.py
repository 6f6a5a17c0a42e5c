"""Checks what PaddleSeg would ignore silently, download or crash on, before anything is built."""

import inspect
import locale
import logging
import re
from pathlib import Path

import cv2
import paddle
from paddleseg.cvlibs import manager
from paddleseg.datasets import ADE20K, Dataset
from paddleseg.utils import get_image_list

from ppcls_mixformer.hosting.advice import has_gpu
from ppcls_mixformer.hosting.errors import UserError
from ppcls_mixformer.paddleseg import class_maps
from ppcls_mixformer.paddleseg.builder import Builder
from ppcls_mixformer.paddleseg.data import ADE20KLayout, left_out
from ppcls_mixformer.weights.checkpoint import find_file, read_file

logger = logging.getLogger(__name__)


def check(settings, mode):
    """Checks all that `mode` (train, eval, infer, export) needs, and sets the device.

    Raises:
        UserError: names the flag or the key, the value and what to do.
    """
    flags, config = settings
    set_device(flags.device)
    if mode != "export":
        check_windows(config, flags)
    if mode == "train":
        check_losses(config)
        if flags.resume_model:
            check_resume(flags.resume_model, config.iters)
        check_data(config, "train_dataset")
        if flags.do_eval:
            check_data(config, "val_dataset")
        return
    if mode == "infer":
        check_pictures(flags.image_path)
    find_file(flags.model_path)
    if mode == "eval":
        check_data(config, "val_dataset")


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
    section = config.dic.get(split)
    if not section:
        raise UserError(f"the config has no section {split}")
    try:
        check_section(section, split, config.dic["model"].get("num_classes"))
        dataset = Builder(config).build_component({**section, "transforms": []})
        if split == "train_dataset":
            check_batch(len(dataset), config.batch_size)
        check_class_maps(section, dataset, split)
    except UserError as error:
        raise UserError(f"{split}: {error}") from None


def check_section(section, split, model_classes):
    """Checks the folder, the number of classes, the mode and the transforms of a section."""
    root, kind = section.get("dataset_root"), section.get("type")
    if not root or not Path(root).is_dir():
        raise UserError(
            f"there is no folder {root} (dataset_root); nothing is downloaded, put the data there"
        )
    classes = 150 if kind == "ADE20K" else section.get("num_classes")
    if classes and model_classes and classes != model_classes:
        raise UserError(f"the data have {classes} classes, but model.num_classes is {model_classes}")
    mode = split.split("_")[0]
    if str(section.get("mode", "train")).lower() != mode:
        raise UserError(f"mode must be {mode} here, got {section.get('mode', 'none, which means train')}")
    if kind == "Dataset":
        check_list(section, f"{mode}_path")
    if mode == "val":
        check_transforms(section.get("transforms") or [])


def check_list(section, key):
    """Refuses a list file of `Dataset` that is missing, or that has other rows than a picture and a map."""
    path, separator = section.get(key), section.get("separator", " ")
    if not path or not Path(path).is_file():
        inside = Path(section["dataset_root"], path or "")
        hint = f"; {inside} is there, but {key} is not looked for in dataset_root" * inside.is_file()
        raise UserError(f"there is no file {path} ({key}), the list of pictures and class maps{hint}")
    try:
        rows = Path(path).read_text(encoding=locale.getpreferredencoding(False)).splitlines()
    except UnicodeDecodeError as error:
        raise UserError(f"{path} ({key}) cannot be read: {error}") from None
    if not rows:
        raise UserError(f"{path} ({key}) is empty")
    wrong = [n for n, row in enumerate(rows, 1) if len(row.strip().split(separator)) != 2]
    if wrong:
        raise UserError(
            f"{path} ({key}): {len(wrong)} of {len(rows)} lines, first line {wrong[0]}, are not a picture, "
            f"{separator!r} and its class map; `separator` sets what is between them"
        )


def check_transforms(transforms):
    """Refuses what moves the pixels of a picture and does not say how to move the result back."""
    for transform in transforms:
        found = manager.TRANSFORMS.components_dict.get(transform.get("type"))
        source = inspect.getsource(found) if found else ""
        if "gt_fields" in source and "trans_info" not in source:
            raise UserError(
                f"transforms: {transform['type']} has no place in evaluation, which compares with class maps "
                "as they are; use Resize or Padding, whose results are brought back to the picture's size"
            )


def check_batch(pictures, batch_size):
    """Refuses to train on fewer pictures than a batch: PaddleSeg would wait for one for ever."""
    if not isinstance(batch_size, int) or batch_size < 1:
        raise UserError(f"batch_size must be a whole number above 0, got {batch_size}")
    processes = paddle.distributed.get_world_size()
    if -(-pictures // processes) < batch_size:
        of_each = f" of each of {processes} processes" * (processes > 1)
        raise UserError(f"{pictures} pictures are fewer than batch_size {batch_size}{of_each}: lower it")


def check_class_maps(section, dataset, split):
    """Checks all class maps of a data set that reads them as PaddleSeg's `Dataset` or ADE20K does."""
    as_ade20k = isinstance(dataset, (ADE20K, ADE20KLayout))
    if not as_ade20k and getattr(type(dataset), "__getitem__", None) is not Dataset.__getitem__:
        return
    unlabelled = 0 if as_ade20k else dataset.ignore_index
    meaning = class_maps.Meaning(dataset.num_classes, int(as_ade20k), unlabelled)
    if as_ade20k:
        others = left_out(section["dataset_root"], dataset.mode)
        if others:
            logger.warning(
                "%s: %d files are left out, class maps without a picture or no pictures by their names: %s",
                split,
                len(others),
                class_maps.named(others),
            )
    found = class_maps.check(dataset.file_list, meaning, split)
    if len(found) < meaning.classes:
        absent = sorted(set(range(meaning.classes)) - found)
        logger.warning(
            "%s: %d of %d classes are in no class map (counted from 0: %s)%s",
            split,
            len(absent),
            meaning.classes,
            class_maps.named(absent),
            "; PaddleSeg counts each as an IoU of 0 in the mean" * (split == "val_dataset"),
        )


def check_losses(config):
    """Refuses class weights of a loss that are not one number of 0 or more for each class."""
    classes = config.dic["model"].get("num_classes")
    for name in ("loss", "distill_loss"):
        for loss in losses_in(config.dic.get(name)):
            weights = loss.get("weight")
            if not isinstance(weights, (list, tuple)):
                continue
            if classes and len(weights) != classes:
                raise UserError(
                    f"{name}: {loss['type']} has {len(weights)} class weights (weight), but the data have "
                    f"{classes} classes"
                )
            if not all(isinstance(w, (int, float)) and 0 <= w < float("inf") for w in weights):
                raise UserError(f"{name}: class weights must be numbers of 0 or more, got {weights}")


def losses_in(node):
    """All losses in a section, those in a MixedLoss too."""
    if isinstance(node, dict):
        yield from [node] * ("type" in node)
        node = list(node.values())
    for value in node if isinstance(node, list) else ():
        yield from losses_in(value)


def check_windows(config, flags):
    """Refuses sliding windows, of the flags or of the config's `test_config`, that do not cover a picture."""
    options = config.test_config
    given = [f"--{name}" for name in ("crop_size", "stride") if getattr(flags, name, None)]
    if getattr(flags, "is_slide", False):
        options.update(is_slide=True, crop_size=flags.crop_size, stride=flags.stride)
    elif given:
        raise UserError(f"{' and '.join(given)} without --is_slide would be ignored")
    if not options.get("is_slide"):
        return
    place = "--is_slide" if getattr(flags, "is_slide", False) else "test_config.is_slide"
    sizes = [options.get(name) for name in ("crop_size", "stride")]
    if not all(isinstance(size, (list, tuple)) and len(size) == 2 for size in sizes):
        raise UserError(f"{place} needs --crop_size and --stride, each with a width and a height")
    for side, crop, stride in zip(("width", "height"), *sizes):
        if not all(isinstance(n, int) for n in (crop, stride)) or not 0 < stride <= crop:
            raise UserError(
                f"{place}: a window's {side} of {crop} with a stride of {stride} leaves gaps or has no end; "
                "the stride must be a whole number from 1 to the window's"
            )


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
