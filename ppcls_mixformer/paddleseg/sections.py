"""Checks of a section of the config that names data: its settings, its files, and all of its class maps."""

import inspect
import logging
from functools import partial
from pathlib import Path
from typing import Any, List, NamedTuple

import paddle
from paddleseg.cvlibs import manager
from paddleseg.datasets import ADE20K, Dataset

from ppcls_mixformer.hosting.errors import UserError, check_all, placed
from ppcls_mixformer.paddleseg import class_maps, lists
from ppcls_mixformer.paddleseg.builder import Builder
from ppcls_mixformer.paddleseg.data import ADE20KLayout, left_out

logger = logging.getLogger(__name__)

UNLABELLED = 255  # unless `ignore_index` says otherwise
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


def classes_in(section):
    """How many classes a section has; None where it does not say it."""
    return 150 if section.get("type") == "ADE20K" else section.get("num_classes")


def check_section(section, split, model_classes):
    """Checks the folder, the number of classes, the mode and the transforms of a section."""
    check_texts(section)
    classes, mode = classes_in(section), split.split("_")[0]
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
    check_are_components(chain)
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
    lists.read_pairs(path, key, section.get("dataset_root") or "", separator)


def check_are_components(chain):
    """Refuses transforms that are no list of such."""
    if not isinstance(chain, list) or not all(isinstance(each, dict) and each.get("type") for each in chain):
        raise UserError(f"transforms must be a list, each with a `type`, got {chain}")


def check_transforms(transforms):
    """Refuses what moves the pixels of a picture and does not say how to move the result back."""
    check_are_components(transforms or [])
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
        builder.build_component(transform)


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
