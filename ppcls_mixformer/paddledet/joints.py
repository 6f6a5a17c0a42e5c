"""Joints of a keypoint data set: names, mirror images, lines and tolerances, all from its category.

A config says how many there are, `num_joints`, and may say `flip_perm` and `oks_sigmas` itself. All else
follows from the annotation file, and goes to every part of the config that PaddleDetection reads it from.
"""

import dataclasses
import logging
import re
from pathlib import Path

from ppcls_mixformer.hosting.errors import UserError
from ppcls_mixformer.paddledet import annotation_file, annotations, keypoint_fields
from ppcls_mixformer.paddledet.classes import NAMING, path_of_annotations, set_option

logger = logging.getLogger(__name__)

COCO_NAMES = (
    "nose left_eye right_eye left_ear right_ear left_shoulder right_shoulder left_elbow right_elbow "
    "left_wrist right_wrist left_hip right_hip left_knee right_knee left_ankle right_ankle"
).split()
COCO_PAIRS = [[1, 2], [3, 4], [5, 6], [7, 8], [9, 10], [11, 12], [13, 14], [15, 16]]
COCO_EDGES = [[0, 1], [0, 2], [1, 3], [2, 4], [5, 6], [5, 7], [7, 9], [6, 8], [8, 10], [5, 11], [6, 12]]
COCO_EDGES += [[11, 12], [11, 13], [13, 15], [12, 14], [14, 16]]
COCO_SIGMAS = [0.026, 0.025, 0.025, 0.035, 0.035, 0.079, 0.079, 0.072, 0.072, 0.062, 0.062, 0.107, 0.107]
COCO_SIGMAS += [0.087, 0.087, 0.089, 0.089]
UPPER = set(COCO_NAMES[:11])  # those above the hips
HOW_TO_SET_PAIRS = "flip_perm=[[1,2],[3,4]] in the config, counted from 0"
SIDES = {"left": "left", "right": "right", "l": "left", "r": "right", "左": "left", "右": "right"}
OTHER_SIDE = {"left": "right", "right": "left", "l": "r", "r": "l", "左": "右", "右": "左"}


@dataclasses.dataclass
class Joints:
    """What is known of the joints of a data set.

    Attributes:
        names: one for each joint, in order.
        pairs: which two change places in a mirror image, counted from 0.
        edges: which two a line connects, counted from 0.
    """

    names: list
    pairs: list
    edges: list

    def describe(self):
        """One line on them."""
        pairs = ", ".join("–".join(self.names[joint] for joint in pair) for pair in self.pairs)
        return (
            f"{len(self.names)} joints ({', '.join(self.names)}), {len(self.edges)} lines, "
            f"mirror images: {pairs or 'none'}"
        )


def words_of(name):
    """The words of a joint's name in lower case, the same for `leftEye`, `LEFT_EYE` and `lefteye`."""
    words = re.findall(r"[左右]|[A-Z]+(?![a-z])|[A-Z]?[^\W\d_A-Z左右]+|\d+", name)
    return [part for word in words for part in re.split("(left|right)", word.lower()) if part]


def side_of(name):
    """`left` or `right`, where a name says it; else None."""
    sides = [SIDES[word] for word in words_of(name) if word in SIDES]
    return sides[0] if len(sides) == 1 else None


def find_pairs(names):
    """Which of `names` differ in nothing but left and right, `[[i, j], …]`, and the names left alone."""
    places = {tuple(words_of(name)): place for place, name in enumerate(names)}
    pairs, alone = [], []
    for words, place in places.items():
        other = places.get(tuple(OTHER_SIDE.get(word, word) for word in words))
        if side_of(names[place]) and other is None:
            alone.append(names[place])
        elif other is not None and place < other:
            pairs.append([place, other])
    return pairs, alone


def settle(config, files, trained, evaluates):
    """Has all parts of a config agree with the joints that its annotation files name.

    Args:
        files: `Annotations` of the run, of one class each, as `annotations.read` leaves it; the first counts.
        trained: others whose joints must be the same.
        evaluates: whether the last of the files is evaluated on, for which tolerances are needed.

    Raises:
        UserError: another number of joints than `num_joints`, files that differ, or something that is not
            known and has to be given.
    """
    numbers = {file.key: keypoint_fields.number_of_joints(file.content) for file in (*files, *trained)}
    wrong = [file for file in (*files, *trained) if numbers[file.key] not in (None, config.num_joints)]
    if wrong:
        hints = (f"{count_of_joints(file, config)}: set -o num_joints={numbers[file.key]}" for file in wrong)
        raise UserError(*hints)
    joints = agree([*files, *trained], config.num_joints, own_pairs(config))
    if evaluates:
        config["oks_sigmas"] = find_sigmas(files[-1], config.get("oks_sigmas"), joints.names)
    spread(config, joints)
    logger.info("%s: %s", files[0].key, joints.describe())


def agree(files, count, own):
    """The `Joints` of some files, which all have the same ones.

    Args:
        files: `Annotations` of one class each; the first counts.
        count, own: as for `read`.

    Raises:
        UserError: they differ, or are not known.
    """
    joints = read(files[0], count, own)
    for other in files[1:]:
        if read(other, count, own).names != joints.names:
            other.refuse(f"has other joints than {files[0].path} ({files[0].key}), or in another order")
    return joints


def count_of_joints(file, config):
    """Says that a file has another number of joints than the config."""
    count = keypoint_fields.number_of_joints(file.content)
    return f"{file.key}: {file.path} has {count} joints, num_joints is {config.num_joints}"


def fits(file, config):
    """Whether a file has as many joints as the config, or says nothing of them; another gets a warning."""
    fit = keypoint_fields.number_of_joints(file.content) in (None, config.num_joints)
    if not fit:
        logger.warning("%s: it is left aside", count_of_joints(file, config))
    return fit


def settle_without_data(config):
    """As `settle`, for drawing and exporting: joints are those of the first file there, else COCO's.

    Returns:
        that file, or None.

    Raises:
        UserError: there is none, and the joints are not COCO's 17.
    """
    for split in NAMING:
        path = path_of_annotations(config, split)
        if not Path(path).is_file():
            continue
        file = annotations.read_classes(path, f"{split}.anno_path", config.metric)
        if not fits(file, config):
            continue
        settle(config, [file], [], False)
        for note in file.notes:
            logger.warning("%s: %s: %s", file.key, file.path, note)
        return file
    if config.num_joints != len(COCO_NAMES):
        raise UserError(
            "TestDataset.anno_path: neither this nor EvalDataset's or TrainDataset's file is there with "
            f"{config.num_joints} joints, so their names, mirror images and lines are not known; give the "
            "annotations of the training, or a .json that has their categories: "
            "-o TestDataset.anno_path=PATH"
        )
    own = own_pairs(config)
    spread(config, Joints(COCO_NAMES, COCO_PAIRS if own is None else own, COCO_EDGES))
    return None


def read(file, count, own):
    """The `Joints` that the category in `file` describes.

    Args:
        count: how many there are.
        own: a config's own pairs, which count first; None where it has none, see `own_pairs`.
    """
    (category,) = file.content["categories"]
    if category.get("keypoints"):
        names = [str(name) for name in category["keypoints"]]
    elif are_named(category, count):
        file.remark(f"its class {category['name']} has no names of keypoints: COCO's 17 are assumed")
        names = COCO_NAMES
    elif own is None:
        file.refuse(
            f"has no names of the {count} keypoints in its class {category['name']} (its entry `keypoints`), "
            "so those that change places in a mirror image are not known: name them there, such as "
            f"left_eye and right_eye, or set {HOW_TO_SET_PAIRS}"
        )
    else:
        names = [f"joint {number}" for number in range(count)]
    pairs = named_pairs(file, names) if own is None else own
    return Joints(names, pairs, find_edges(file, category, names))


def are_named(category, count):
    """Whether the names of `count` joints are those of a category, or else COCO's."""
    return bool(category.get("keypoints")) or count == len(COCO_NAMES)


def named_pairs(file, names):
    """The pairs that names say, see `find_pairs`; notes where they may say too few."""
    pairs, alone = find_pairs(names)
    if alone:
        file.remark(f"its joints {', '.join(alone)} have no counterpart on the other side")
    if not pairs:
        file.remark(
            "none of its joints is named as the mirror image of another, as left_eye and right_eye are: "
            f"if some are, set {HOW_TO_SET_PAIRS}; if not, flip_perm=[]"
        )
    return pairs


def own_pairs(config):
    """The `flip_perm` of a config that is not COCO's, from which configs start; else None.

    Raises:
        UserError: it holds something else than pairs of the joints.
    """
    pairs = config.get("flip_perm")
    if pairs is None or pairs == COCO_PAIRS:
        return None
    known = range(config.num_joints)
    are_pairs = isinstance(pairs, list) and all(is_pair(pair, known) for pair in pairs)
    if not are_pairs or len(set(sum(pairs, []))) < 2 * len(pairs):
        raise UserError(
            f"flip_perm: {pairs} is no list of pairs of joints, which count from 0 to "
            f"{config.num_joints - 1}, each in one pair at most"
        )
    return pairs


def is_pair(value, known):
    """Whether a value is a list of two different ones of `known`, which are whole numbers."""
    return (
        isinstance(value, list)
        and len(value) == 2
        and all(type(joint) is int and joint in known for joint in value)
        and value[0] != value[1]
    )


def find_edges(file, category, names):
    """Lines between joints, counted from 0; the file counts from 1, or has names."""
    skeleton = category.get("skeleton")
    if not skeleton:
        edges = COCO_EDGES if names == COCO_NAMES else []
        if not edges:
            file.remark(f"its class {category['name']} has no skeleton: joints are drawn without lines")
        return edges
    edges = skeleton if isinstance(skeleton, list) else [skeleton]
    places = {name: place for place, name in enumerate(names, 1)}
    edges = [[places.get(end, end) for end in edge] if _are_texts(edge) else edge for edge in edges]
    if edges and all(is_pair(edge, range(len(names))) for edge in edges) and 0 in sum(edges, []):
        file.remark("its skeleton counts joints from 0, COCO's from 1")
        return edges
    wrong = [edge for edge in edges if not is_pair(edge, range(1, len(names) + 1))]
    if wrong:
        file.remark(
            f"{len(wrong)} of {len(edges)} lines of its skeleton do not connect two of the joints 1 to "
            f"{len(names)}, and are left out (first {wrong[0]})"
        )
    return [[joint - 1 for joint in edge] for edge in edges if edge not in wrong]


def _are_texts(edge):
    return isinstance(edge, list) and all(isinstance(end, str) for end in edge)


def spread(config, joints):
    """Writes `joints` to every part of the config that PaddleDetection reads them from."""
    count = len(joints.names)
    config["joints"] = joints
    config["flip_perm"] = joints.pairs
    config["TopDownHRNet"]["num_joints"] = count
    config["TopDownHRNet"]["flip_perm"] = joints.pairs
    for dataset in filter(None, map(config.get, ("TrainDataset", "EvalDataset"))):
        set_option(dataset, "num_joints", count)
    for transform in config["TrainReader"].get("sample_transforms") or ():
        for name, arguments in transform.items():
            if name == "RandomFlipHalfBodyTransform":
                arguments["flip_pairs"] = joints.pairs
                halve(arguments, joints.names)


def halve(arguments, names):
    """Has the augmentation by halves of a body know the upper joints, or leave all bodies whole."""
    if names == COCO_NAMES or arguments.get("upper_body_ids") != list(range(len(UPPER))):
        return
    arguments["upper_body_ids"] = [place for place, name in enumerate(names) if name in UPPER]
    if not 0 < len(arguments["upper_body_ids"]) < len(names):
        arguments["prob_half_body"] = 0.0


def find_sigmas(file, given, names):
    """The tolerance of every joint in COCO's similarity of keypoints (OKS), a share of the person's size.

    They are `given`, the config's `oks_sigmas`, else the category's `sigmas`, else those of COCO's joints, by
    name.

    Raises:
        UserError: none of them is there, or it is no number above 0 for every joint.
    """
    (category,) = file.content["categories"]
    if given is not None:
        return checked_sigmas(given, len(names), "oks_sigmas")
    if category.get("sigmas") is not None:
        return checked_sigmas(category["sigmas"], len(names), f"{file.key}: {file.path}, sigmas")
    known = dict(zip(COCO_NAMES, COCO_SIGMAS))
    names = COCO_NAMES if not category.get("keypoints") and len(names) == len(COCO_NAMES) else names
    unknown = [name for name in names if name not in known]
    if unknown:
        raise UserError(
            f"oks_sigmas: evaluation needs the tolerance of each of {len(names)} joints, and {unknown[0]} is "
            "none of COCO's 17, whose are known: set oks_sigmas=0.05 for all, or a list of "
            f"{len(names)} (COCO's go from 0.025 for eyes to 0.107 for hips)"
        )
    return [known[name] for name in names]


def checked_sigmas(given, count, key):
    """`given`, a number or a list, as a list of `count` numbers."""
    values = [given] * count if isinstance(given, (int, float)) else given
    numbers = annotation_file.numbers_in(values)
    if numbers is None or len(numbers) != count or min(numbers) <= 0:
        raise UserError(f"{key}: {given} is neither a number above 0 nor a list of {count} of them")
    return numbers
