"""Checks what PaddleSeg would ignore silently, download or crash on, before anything is built."""

import logging
import re
from functools import partial
from pathlib import Path

import paddle

from ppcls_mixformer.hosting import onnx
from ppcls_mixformer.hosting.advice import has_gpu
from ppcls_mixformer.hosting.errors import UserError, check_all, placed
from ppcls_mixformer.hosting.folders import check_folder
from ppcls_mixformer.paddleseg.classes import MOST
from ppcls_mixformer.paddleseg.components import check_components, check_losses, check_model
from ppcls_mixformer.paddleseg.predict import find_pictures
from ppcls_mixformer.paddleseg.sections import check_classes, check_data, check_transforms, section_of
from ppcls_mixformer.weights.checkpoint import check_start, find_file, read_file

logger = logging.getLogger(__name__)

LEAST = {"iters": 1, "batch_size": 1, "save_interval": 1, "log_iters": 1, "num_workers": 0}


def check(settings, mode):
    """Checks all that `mode` (train, eval, infer, export) needs, and sets the device.

    Raises:
        UserError: names the flag or the key, the value and what to do.
    """
    check_all(parts(settings, mode))
    check_all(parts_of_data(settings, mode))


def parts(settings, mode):
    """The checks of all but the data that `mode` needs, which are called without arguments."""
    flags, config = settings
    backbone = config.dic["model"].get("backbone") or {}
    if mode == "export" and flags.onnx:
        yield partial(onnx.require, "--onnx")
    yield partial(check_numbers, flags)
    if mode != "eval":
        yield partial(check_folder, "--save_dir", flags.save_dir)  # PaddleSeg removes a file of that name
    yield partial(set_device, flags.device)
    yield partial(check_windows, config, flags)
    if mode == "export":
        yield partial(check_averages, config)
    if mode == "train":
        yield partial(say_full_precision, flags)
        yield partial(check_iters, config)
        yield partial(check_losses, config)
        yield partial(check_components, config)
        if flags.resume_model:
            yield partial(check_resume, flags.resume_model, config.iters)
        elif backbone.get("type") == "MixFormer":
            yield partial(check_start, "model.backbone.pretrained", backbone.get("pretrained"))
        return
    yield partial(check_classes, None, config.dic["model"].get("num_classes"))
    yield partial(check_model, config)
    if mode == "infer":
        yield partial(find_pictures, flags.image_path)
        yield partial(check_colors, flags.custom_color, config.dic["model"].get("num_classes"))
    if mode != "eval":
        yield partial(check_undoing, config)
    yield partial(find_file, flags.model_path)


def parts_of_data(settings, mode):
    """A `check_data` of each section whose data `mode` needs, called without arguments."""
    flags, config = settings
    splits = {"train": ["train_dataset"] + ["val_dataset"] * getattr(flags, "do_eval", False)}
    return [partial(check_data, config, split) for split in {**splits, "eval": ["val_dataset"]}.get(mode, ())]


def say_full_precision(flags):
    """Says that `--precision fp16` is without effect on a CPU, where Paddle says so in several warnings."""
    if flags.precision == "fp16" and flags.device == "cpu":
        logger.warning("--precision fp16: the device is the CPU, so all runs in full precision")


def check_undoing(config):
    """Refuses transforms of val_dataset, which prediction and exports have too, that cannot be undone."""
    with placed("val_dataset"):
        check_transforms(section_of(config, "val_dataset").get("transforms"))


def check_iters(config):
    """Refuses a number of iterations that is none."""
    if not isinstance(config.iters, int) or config.iters < 1:
        raise UserError(f"iters must be a whole number above 0, got {config.iters}")


def check_numbers(flags):
    """Refuses counts and scales that PaddleSeg would divide by, or that it would ignore silently."""
    wrong = []
    for name, least in LEAST.items():
        value = getattr(flags, name, None)
        if value is not None and value < least:
            wrong.append(f"--{name} must be at least {least}, got {value}")
    rate = getattr(flags, "learning_rate", None)
    if rate is not None and not 0 <= rate < float("inf"):
        wrong.append(f"--learning_rate must be a number of 0 or more, got {rate}")
    scales = getattr(flags, "scales", 1.0)
    if not all(0 < scale < float("inf") for scale in (scales if isinstance(scales, list) else [scales])):
        wrong.append(f"--scales must be numbers above 0, got {scales}")
    if wrong:
        raise UserError(*wrong)


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


def check_windows(config, flags):
    """Refuses sliding windows, of the flags or of the config's `test_config`, that do not cover a picture."""
    options = config.test_config
    if not isinstance(options, dict):
        raise UserError(f"test_config must be a mapping of options, such as is_slide, got {options}")
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


def check_averages(config):
    """Refuses to export what `predict` averages over scales and flips."""
    if config.test_config.get("aug_pred"):
        raise UserError(
            "test_config.aug_pred: predict averages over scales and flips, an exported program does not: add "
            "--opts test_config.aug_pred=false, for predict too"
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


def check_colors(custom, classes):
    """Refuses `--custom_color` that is not red, green and blue of classes, and more classes than colours.

    Args:
        classes: how many there are; None where the config does not say it.
    """
    classes = classes if isinstance(classes, int) else None
    if classes and classes > MOST:
        raise UserError(
            f"{classes} classes: predict writes PNGs, of {MOST} at most; export the network instead"
        )
    if custom and (len(custom) % 3 or not all(0 <= part < 256 for part in custom)):
        raise UserError(
            f"--custom_color takes red, green and blue, 0 to 255, of each class, got {len(custom)} numbers "
            f"from {min(custom)} to {max(custom)}"
        )
    if custom and classes and len(custom) > 3 * classes:
        raise UserError(f"--custom_color has {len(custom) // 3} colours, there are {classes} classes")
