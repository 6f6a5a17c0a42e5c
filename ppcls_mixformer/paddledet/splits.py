"""The annotation files of a run: each is checked with its section of the config, then all are compared.

Nothing here needs PaddleDetection, so files are checked without it, too.
"""

import functools
import logging
import os
from pathlib import Path

from ppcls_mixformer.hosting.errors import UserError, check_all
from ppcls_mixformer.paddledet import annotated_pictures, annotations, boxes, held
from ppcls_mixformer.paddledet.classes import classes_of, count_of_classes, options_of, set_option

logger = logging.getLogger(__name__)

CROWDS = {
    "TrainDataset": "%s: %d crowds are not trained on",
    "EvalDataset": "%s: %d crowds count neither way: what is found in them is no mistake",
}


def check_data(dataset, key, config):
    """The annotations of a data set, None where this package cannot read them.

    Raises:
        UserError: a missing folder or file, or annotations that the config cannot be used with.
    """
    options = options_of(dataset)
    folder, name = options.get("dataset_dir") or "", options.get("anno_path") or ""
    if not Path(folder).is_dir():
        raise UserError(
            f"{key}.dataset_dir: there is no folder {folder}; put the data there or point to it with "
            f"-o {key}.dataset_dir=PATH"
        )
    pictures = os.path.join(folder, options.get("image_dir") or "")
    path, detected = os.path.join(folder, name), os.path.join(folder, options.get("bbox_file") or "")
    lacking = []
    if not Path(pictures).is_dir():
        lacking.append(f"{key}.image_dir: there is no folder {pictures}")
    if not name or not Path(path).is_file():
        lacking.append(f"{key}.anno_path: there is no file {path}")
    if options.get("use_gt_bbox") is False and not Path(detected).is_file():
        lacking.append(f"{key}.bbox_file: there is no file {detected}, which use_gt_bbox: false asks for")
    if lacking:
        raise UserError(*lacking)
    set_option(dataset, "image_dir", options.get("image_dir") or "")  # None cannot be joined with a folder
    return read_annotations(path, f"{key}.anno_path", config, pictures)


def read_annotations(path, key, config, pictures):
    """The annotations in a file, repaired; None for a metric of which this package has no config.

    Raises:
        UserError: it does not hold what the metric is for, or a number of classes other than the config's.
    """
    if not any(part in config.metric for part in annotations.KINDS):
        logger.warning(
            "metric: %s is none that is known here, so %s is not checked (%s)", config.metric, path, key
        )
        return None
    find_picture = annotated_pictures.finder(pictures, config.metric)
    file = annotations.repair(load(path, key), config.metric, learns_masks(config), find_picture)
    if not key.startswith("TrainDataset"):
        trained = classes_of(config, "TrainDataset")
        if trained and len(trained.content["categories"]) == config.num_classes:
            complete_classes(file, trained)
    classes = len(file.content["categories"])
    if classes != config.num_classes:
        raise UserError(f"{count_of_classes(file, config)}: set -o num_classes={classes}")
    return file


def learns_masks(config):
    """Whether the network of a config needs the masks of its objects."""
    fields = options_of(config.TrainDataset).get("data_fields")
    return isinstance(fields, (list, tuple)) and "gt_poly" in fields


def load(path, key):
    """`annotations.load`, of a file with a name that PaddleDetection takes."""
    if not path.endswith(".json"):
        raise UserError(
            f"{key}: PaddleDetection reads annotations from .json files, in COCO's format, not from {path}"
        )
    return annotations.load(path, key)


def complete_classes(file, trained):
    """Has a file of evaluation know the classes of training, in their order.

    Raises:
        UserError: it has others.
    """
    annotations.leave_out_classes(file, trained)
    annotations.add_missing_classes(file, trained)
    annotations.order_as(file, trained)


def check_boxes(file, config):
    """Reads the boxes of a detector where a data set is told to take them."""
    split = file.key.split(".")[0]
    options = options_of(config[split])
    if options.get("use_gt_bbox") is not False:
        return
    if split == "TrainDataset":
        raise UserError(
            "TrainDataset.use_gt_bbox: a detector's boxes have no keypoints to learn: set it to true"
        )
    path = os.path.join(options.get("dataset_dir") or "", options.get("bbox_file") or "")
    boxes.for_evaluation(file, options, path, config)


def check_together(files, trained=()):
    """Has the files of a run name the same classes in one order, says what is in them, and holds them.

    Args:
        files: of the run; where there are none `trained`, the first one's order is taken.
        trained: files of the same classes in the order of training, of `find_classes`.
    """
    check_all(functools.partial(_keep_in_order, file, [*trained, *files][0]) for file in files)


def _keep_in_order(file, first):
    annotations.order_as(file, first)
    logger.info("%s: %s has %s", file.key, file.path, annotations.summary(file))
    for note in file.notes:
        logger.warning("%s: %s: %s", file.key, file.path, note)
    held.keep(file)


def say_what_is_left_out(file, config):
    """Says how many crowds there are, and pictures without objects, and what becomes of them."""
    split = file.key.split(".")[0]
    crowds = annotations.number_of_crowds(file.content)
    if crowds:
        logger.info(CROWDS[split], split, crowds)
    if "KeyPoint" not in config.metric:  # a person's keypoints are found, not the person
        say_of_empty_pictures(file, split, options_of(config[split]).get("allow_empty"))


def say_of_empty_pictures(file, split, are_taken):
    """Says whether pictures without objects are samples of `split`, and how many they are.

    Left out of evaluation they hide what is found there by mistake: PaddleDetection does so by default.
    """
    count = annotations.number_of_empty(file.content)
    if not count:
        return
    pictures = f"{split}: {count} of {len(file.content['images'])} pictures without objects"
    if are_taken:
        logger.info("%s are among its samples", pictures)
    elif split == "TrainDataset":
        logger.info("%s are left out of training, as allow_empty is not set", pictures)
    else:
        logger.warning(
            "%s are left out of evaluation, which hides false alarms there: "
            "-o EvalDataset.allow_empty=true evaluates them",
            pictures,
        )
