"""Checks what PaddleSeg would ignore silently, download or crash on, before anything is built."""

import inspect
import locale
import logging
import re
from functools import partial
from pathlib import Path
from typing import Any, List, NamedTuple

import paddle
from paddleseg.cvlibs import manager
from paddleseg.datasets import ADE20K, Dataset

from ppcls_mixformer.hosting import onnx
from ppcls_mixformer.hosting.advice import has_gpu
from ppcls_mixformer.hosting.errors import UserError, check_all, gist, placed
from ppcls_mixformer.hosting.folders import check_folder
from ppcls_mixformer.paddleseg import class_maps
from ppcls_mixformer.paddleseg.builder import Builder
from ppcls_mixformer.paddleseg.classes import MOST
from ppcls_mixformer.paddleseg.data import ADE20KLayout, left_out
from ppcls_mixformer.paddleseg.predict import find_pictures
from ppcls_mixformer.weights.checkpoint import check_start, find_file, read_file

logger = logging.getLogger(__name__)

UNLABELLED = 255  # unless `ignore_index` says otherwise
LEAST = {"iters": 1, "batch_size": 1, "save_interval": 1, "log_iters": 1, "num_workers": 0}
MORE_TO_TRAIN_ON = {("train", "trainaug"), ("train", "trainval")}  # of PascalVOC and PascalContext


class Checked(NamedTuple):
    """The data of a section whose class maps were checked.

    Attributes:
        split: the section's name.
        root: its `dataset_root`.
        pairs: `[picture, class map]` paths.
        meaning: of the numbers in the class maps, a `class_maps.Meaning`.
        found: a `class_maps.Found`.
    """

    split: str
    root: str
    pairs: List[Any]
    meaning: class_maps.Meaning
    found: class_maps.Found


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
        yield partial(check_iters, config)
        yield partial(check_losses, config)
        yield partial(check_components, config)
        if flags.resume_model:
            yield partial(check_resume, flags.resume_model, config.iters)
        elif backbone.get("type") == "MixFormer":
            yield partial(check_start, "model.backbone.pretrained", backbone.get("pretrained"))
        return
    if mode == "infer":
        yield partial(find_pictures, flags.image_path)
        yield partial(check_colors, flags.custom_color, config.dic["model"].get("num_classes"))
    if mode != "eval":
        yield lambda: check_transforms(section_of(config, "val_dataset").get("transforms"))
    yield partial(find_file, flags.model_path)


def parts_of_data(settings, mode):
    """A `check_data` of each section whose data `mode` needs, called without arguments."""
    flags, config = settings
    splits = {"train": ["train_dataset"] + ["val_dataset"] * getattr(flags, "do_eval", False)}
    return [partial(check_data, config, split) for split in {**splits, "eval": ["val_dataset"]}.get(mode, ())]


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


def check_data(config, split):
    """Checks the data that the section `split` of the config names.

    Returns:
        A `Checked`; None where another process checks the class maps, or nobody can.

    Raises:
        UserError: names the section, what is wrong and where.
    """
    section = section_of(config, split)
    with placed(split):
        check_section(section, split, config.dic["model"].get("num_classes"))
        builder = Builder(config)
        check_all(partial(check_transform, builder, each) for each in section.get("transforms") or ())
        none = {key: [] for key in section if "transforms" in key} or {"transforms": []}
        dataset = builder.build_component({**section, **none})
        if split == "train_dataset":
            check_batch(len(dataset), config.batch_size)
        if paddle.distributed.get_rank() == 0:  # whose refusal ends all processes
            return check_class_maps(section, dataset, split)
    return None


def section_of(config, split):
    """The section `split` of the config.

    Raises:
        UserError: it has none.
    """
    if not config.dic.get(split):
        raise UserError(f"the config has no section {split}")
    return config.dic[split]


def check_section(section, split, model_classes):
    """Checks the folder, the number of classes, the mode and the transforms of a section."""
    check_texts(section)
    classes = 150 if section.get("type") == "ADE20K" else section.get("num_classes")
    mode = split.split("_")[0]
    checks = [partial(check_roots, section), partial(check_classes, classes, model_classes)]
    checks.append(partial(check_mode, section, mode))
    if section.get("type") == "Dataset":
        checks.append(partial(check_list, section, f"{mode}_path"))
    checks.append(partial(check_chain, section, mode, classes or model_classes))
    check_all(checks)


def check_texts(section):
    """Refuses a folder, file or separator that YAML takes for something else than text."""
    wrong = [
        f"{key}: {value!r} is no text; digits alone are one in quotes, such as '2017'"
        for key, value in section.items()
        if key.endswith(("_root", "_path", "separator")) and not isinstance(value, (str, type(None)))
    ]
    if wrong:
        raise UserError(*wrong)


def check_roots(section):
    """Refuses folders that are not there."""
    for key in [key for key in section if key.endswith("_root")] or ["dataset_root"]:
        root = section.get(key)
        if not root or not Path(root).is_dir():
            raise UserError(f"there is no folder {root} ({key}); nothing is downloaded, put the data there")


def check_classes(classes, model_classes):
    """Refuses numbers of classes, of the data and of the network, that are none or differ."""
    for count in (classes, model_classes):
        if count is not None and (not isinstance(count, int) or count < 1):
            raise UserError(f"num_classes must be a whole number above 0, got {count!r}")
    if classes and model_classes and classes != model_classes:
        raise UserError(f"the data have {classes} classes, but model.num_classes is {model_classes}")


def check_mode(section, mode):
    """Refuses a section of another `mode`; without one it is train to PaddleSeg."""
    given = str(section.get("mode", "train")).lower()
    if given != mode and (mode, given) not in MORE_TO_TRAIN_ON:
        raise UserError(f"mode must be {mode} here, got {section.get('mode', 'none, which means train')}")


def check_chain(section, mode, classes):
    """Refuses transforms that are no list of such, or have no place in `mode`."""
    chain = section.get("transforms") or []
    if not isinstance(chain, list) or not all(isinstance(each, dict) and each.get("type") for each in chain):
        raise UserError(f"transforms must be a list, each with a `type`, got {chain}")
    if mode == "val":
        check_transforms(chain)
    else:
        check_padding(chain, section.get("ignore_index", UNLABELLED), classes)


def check_list(section, key):
    """Refuses a list file of `Dataset` that is missing, or that has other rows than a picture and a map."""
    path, separator = section.get(key), section.get("separator", " ")
    if not path or not Path(path).is_file():
        inside = Path(section.get("dataset_root") or "", path or "")
        hint = f"; {inside} is there, but {key} is not looked for in dataset_root" * inside.is_file()
        raise UserError(f"there is no file {path} ({key}), the list of pictures and class maps{hint}")
    if separator == "":
        raise UserError("separator must not be empty: it is what stands between a picture and its class map")
    try:
        rows = Path(path).read_text(encoding=locale.getpreferredencoding(False)).splitlines()
    except UnicodeDecodeError as error:
        raise UserError(f"{path} ({key}) cannot be read: {error}") from None
    if not rows:
        raise UserError(f"{path} ({key}) is empty")
    if rows[0].startswith("\ufeff"):
        raise UserError(f"{path} ({key}) begins with a byte-order mark; save it as UTF-8 without one")
    wrong = [n for n, row in enumerate(rows, 1) if len(row.strip().split(separator)) != 2]
    if wrong:
        raise UserError(
            f"{path} ({key}): {len(wrong)} of {len(rows)} lines, first line {wrong[0]}, are not a picture, "
            f"{separator!r} and its class map; `separator` sets what is between them"
        )


def check_transforms(transforms):
    """Refuses what moves the pixels of a picture and does not say how to move the result back."""
    for transform in transforms or []:
        found = manager.TRANSFORMS.components_dict.get(transform.get("type"))
        source = inspect.getsource(found) if found else ""
        if "gt_fields" in source and "trans_info" not in source:
            raise UserError(
                f"transforms: {transform['type']} has no place in evaluation and prediction, whose results "
                "are those of whole pictures; use Resize or Padding, which are undone in them"
            )


def check_padding(transforms, unlabelled, classes):
    """Refuses class maps padded with a number that is neither a class nor `unlabelled`."""
    for transform in transforms:
        found = manager.TRANSFORMS.components_dict.get(transform["type"])
        argument = inspect.signature(found).parameters.get("label_padding_value") if found else None
        value = transform.get("label_padding_value", argument.default) if argument else unlabelled
        if value != unlabelled and value not in range(classes if isinstance(classes, int) else 0):
            raise UserError(
                f"transforms: {transform['type']} pads class maps with {value} (label_padding_value), which "
                f"is no class; set it to {unlabelled}, which means unlabelled here"
            )


def check_transform(builder, transform):
    """Refuses a transform that cannot be built."""
    with placed("transforms"):
        try:
            builder.build_component(transform)
        except UserError:
            raise
        except Exception as error:  # whatever its constructor raises, in a text of PaddleSeg
            raise UserError(f"{transform['type']}: {gist(error.__context__ or error)}") from None


def check_batch(pictures, batch_size):
    """Refuses to train on fewer pictures than a batch: PaddleSeg would wait for one for ever."""
    if not isinstance(batch_size, int) or batch_size < 1:
        raise UserError(f"batch_size must be a whole number above 0, got {batch_size}")
    processes = paddle.distributed.get_world_size()
    if -(-pictures // processes) < batch_size:
        of_each = f" of each of {processes} processes" * (processes > 1)
        raise UserError(f"{pictures} pictures are fewer than batch_size {batch_size}{of_each}: lower it")


def check_class_maps(section, dataset, split):
    """Checks all class maps of a data set that reads them as PaddleSeg's `Dataset` or ADE20K does.

    Others, such as EG1800, make classes of the numbers in a way of their own.

    Returns:
        As `check_data`.
    """
    as_ade20k = isinstance(dataset, (ADE20K, ADE20KLayout))
    if not as_ade20k and getattr(type(dataset), "__getitem__", None) is not Dataset.__getitem__:
        kind = type(dataset).__name__
        logger.warning("%s: class maps are not checked: %s has a way of its own to read them", split, kind)
        return None
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
    if len(found.maps) < meaning.classes:
        absent = sorted(set(range(meaning.classes)) - set(found.maps))
        logger.warning(
            "%s: %d of %d classes are in no class map (counted from 0: %s)%s",
            split,
            len(absent),
            meaning.classes,
            class_maps.named(absent),
            "; PaddleSeg counts each as an IoU of 0 in the mean" * (split == "val_dataset"),
        )
    return Checked(split, str(section["dataset_root"]), dataset.file_list, meaning, found)


def check_losses(config):
    """Refuses class weights of a loss that are not one number of 0 or more for each class.

    And a loss that takes another number for unlabelled than the data.
    """
    classes = config.dic["model"].get("num_classes")
    unlabelled = section_of(config, "train_dataset").get("ignore_index", UNLABELLED)
    losses = [
        (name, loss) for name in ("loss", "distill_loss") for loss in components_in(config.dic.get(name))
    ]
    unlabelled_in = [partial(check_unlabelled, name, loss, unlabelled) for name, loss in losses]
    check_all([*unlabelled_in, *(partial(check_weights, name, loss, classes) for name, loss in losses)])


def check_weights(name, loss, classes):
    """Refuses class weights of a loss of the section `name` that are not one number for each class."""
    weights = loss.get("weight")
    if not isinstance(weights, (list, tuple)):
        return
    if classes and len(weights) != classes:
        raise UserError(
            f"{name}: {loss['type']} has {len(weights)} class weights (weight), but the data have "
            f"{classes} classes"
        )
    if not all(isinstance(w, (int, float)) and 0 <= w < float("inf") for w in weights):
        raise UserError(f"{name}: class weights must be numbers of 0 or more, got {weights}")


class Trial(Builder):
    """A Builder that tries whether parts can be built: it says nothing, and has another network."""

    model = None

    def __init__(self, config):
        super().__init__(config)
        self.model = paddle.nn.Linear(1, 1)

    def show_msg(self, *args):
        """Says nothing."""


def check_components(config):
    """Refuses a learning rate, losses, an optimizer and a network that cannot be built of their sections."""
    builder = Trial(config)
    checks = [partial(check_part, builder, name) for name in ("lr_scheduler", "loss")]
    checks.append(partial(check_optimizer, builder))
    for component in components_in(config.dic["model"]):
        checks.append(partial(check_names, builder, component))
    check_all(checks)


def check_part(builder, name):
    """Refuses the section `name` where the part of that name cannot be built."""
    with placed(name):
        try:
            getattr(builder, name)
        except UserError:
            raise
        except Exception as error:  # whatever its constructor raises, in a text of PaddleSeg
            raise UserError(gist(error.__context__ or error)) from None


def check_optimizer(builder):
    """Refuses an optimizer that is not known, or not with its arguments."""
    with placed("optimizer"):
        try:
            _ = builder.optimizer
        except UserError:
            raise
        except Exception as error:  # it may be about the parameters, which are not the network's
            logger.debug("optimizer: %s", error)


def check_names(builder, component):
    """Refuses a part of the network that is not known, or not with its arguments."""
    arguments = {name: value for name, value in component.items() if name != "type"}
    with placed("model"):
        builder.check_arguments(builder.load_component_class(component["type"]), arguments)


def check_unlabelled(name, loss, unlabelled):
    """Refuses a loss of the section `name` that would learn `unlabelled`, the number for it in the data."""
    found = manager.LOSSES.components_dict.get(loss["type"])
    if found is None or "ignore_index" not in inspect.signature(found).parameters:
        return
    ignored = loss.get("ignore_index", UNLABELLED)
    if ignored != unlabelled:
        raise UserError(
            f"{name}: {loss['type']} leaves out {ignored} (ignore_index), but in train_dataset {unlabelled} "
            "is unlabelled; set ignore_index to the same number in both"
        )


def components_in(node):
    """All components in a section, those in others too, such as the losses in a MixedLoss."""
    if isinstance(node, dict):
        yield from [node] * ("type" in node)
        node = list(node.values())
    for value in node if isinstance(node, list) else ():
        yield from components_in(value)


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
