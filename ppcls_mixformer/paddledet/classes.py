"""The names of the classes and their order: those of the config's own annotation files."""

import logging
import os
from pathlib import Path

from ppcls_mixformer.hosting.errors import UserError
from ppcls_mixformer.paddledet import annotations, held

logger = logging.getLogger(__name__)

NAMING = ("TestDataset", "EvalDataset", "TrainDataset")  # in the order in which their classes count


def options_of(dataset):
    """The arguments of a data set, whether the config has made it already or not."""
    if dataset is None:  # `TrainDataset: null`
        return {}
    return dataset if isinstance(dataset, dict) else vars(dataset)


def set_option(dataset, name, value):
    """Sets an argument of a data set, whether the config has made it already or not."""
    if isinstance(dataset, dict):
        dataset[name] = value
    else:
        setattr(dataset, name, value)


def find_classes(config, splits):
    """The classes in those files of `splits`, sections of the config, that name as many as it has.

    Others cannot be what its network was trained on: they get a warning.

    Raises:
        UserError: a file names no classes.
    """
    fitting = []
    for split in splits:
        file = classes_of(config, split)
        if file and len(file.content["categories"]) == config.num_classes:
            fitting.append(file)
        elif file:
            logger.warning("%s: it is left aside", count_of_classes(file, config))
    return fitting


def classes_of(config, split):
    """The classes that the file of a section names; None where there is no file.

    Raises:
        UserError: it names none.
    """
    path = path_of_annotations(config, split)
    return (
        annotations.read_classes(path, f"{split}.anno_path", config.metric) if Path(path).is_file() else None
    )


def path_of_annotations(config, split):
    """Where the file of a section of the config is or would be."""
    options = options_of(config.get(split) or {})
    return os.path.join(options.get("dataset_dir") or "", options.get("anno_path") or "")


def count_of_classes(file, config):
    """Says that a file has another number of classes than the config."""
    classes = len(file.content["categories"])
    return f"{file.key}: {file.path} has {classes} classes, num_classes is {config.num_classes}"


def check_names(config):
    """Has what is drawn and exported bear the names of the config's own classes, in the order of training.

    They are TestDataset's, where PaddleDetection looks for them, else those of evaluation or training.

    Raises:
        UserError: none of the three files names as many classes as the network has, or they differ.
    """
    files = find_classes(config, NAMING)
    if not files:
        refuse_without_names(config)
        return
    for file in files:
        annotations.order_as(file, files[-1])
    if not files[0].key.startswith("TestDataset"):
        logger.warning("the names of the classes are taken from %s (%s)", files[0].path, files[0].key)
    for note in files[0].notes:
        logger.warning("%s: %s: %s", files[0].key, files[0].path, note)
    held.keep_classes(files[0])
    set_option(config["TestDataset"], "anno_path", os.path.abspath(files[0].path))


def refuse_without_names(config):
    """Refuses to go on without names; COCO's own 80 classes, whose names are known, get a warning.

    Names that are drawn or exported last: placeholders would have to be corrected in every export.
    """
    path = path_of_annotations(config, "TestDataset")
    exists = [split for split in NAMING if Path(path_of_annotations(config, split)).is_file()]
    if config.metric == "COCO" and config.num_classes == 80 and not exists:
        logger.warning("TestDataset.anno_path: there is no file %s; the names are COCO's 80", path)
        return
    what = f"has the {config.num_classes} classes of num_classes" if exists else "is there"
    raise UserError(
        f"TestDataset.anno_path: neither {path or 'this'} nor EvalDataset's or TrainDataset's {what}, so "
        "the names of the classes are not known; give the annotations of the training, or a .txt with a "
        "name in every line, in their order: -o TestDataset.anno_path=PATH"
    )
