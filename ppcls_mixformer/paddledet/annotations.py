"""The one reader of annotation files in the formats of COCO and LVIS: whole, strict, in memory.

What has one meaning is repaired in memory and counted; what has none is refused in one line, with the count
and the first ids. Files are never changed. `hold` keeps what was repaired for `bridges`, which hands it to
all that would read the file again: the data sets, the names of classes and the evaluation.
"""

import dataclasses
import itertools
import json
import math
import mmap
import os
import re
from collections import Counter
from pathlib import Path
from typing import Callable, Optional

import cv2
import numpy as np
from pycocotools import mask as masks
from tqdm import tqdm

from ppcls_mixformer.hosting import pictures
from ppcls_mixformer.hosting.errors import UserError, first_line
from ppcls_mixformer.hosting.text import read_lines

FIRST = 3  # how many ids an error names
LENGTH_OF_CATEGORIES = 1 << 22  # bytes in which all of a file's are expected; LVIS's 1203 take 0.4 MB
LONGEST_NUMBER = 7  # characters of a number in a compressed mask: 35 bits
LARGEST_ID = 2**63 - 1  # tensors hold ids
PATIENCE = 2  # seconds before a progress bar shows
TOLERANCE = 1.0  # pixels by which a box may stick out of its picture and nobody says a word

# Part of the metric's name, what its annotations are called, and the keys that a file of them has.
KINDS = {
    "KeyPoint": (
        "COCO keypoints",
        {"images": ["file_name"], "annotations": ["keypoints", "bbox"], "categories": ["name"]},
    ),
    "COCO": (
        "COCO instances",
        {"images": ["file_name"], "annotations": ["segmentation", "bbox"], "categories": ["name"]},
    ),
    "LVIS": (
        "LVIS v1",
        {"images": ["coco_url"], "annotations": ["segmentation"], "categories": ["frequency", "name"]},
    ),
}
OF_PICTURES_IN_LVIS = ("neg_category_ids", "not_exhaustive_category_ids")
FREQUENCIES = "r", "c", "f"


class Note(str):
    """A line on what was repaired or left out.

    Attributes:
        section: whose entries it counts, such as `annotations`; "" where it counts none.
        count, total: how many of how many.
        ids: those of the first ones, as the file has them.
        entries: the first ones.
        left_out: whether they are not used.
    """

    section, count, total, ids, entries, left_out = "", 0, 0, (), (), False


@dataclasses.dataclass
class Annotations:
    """A file as it was read.

    Attributes:
        key: what the config calls it, such as `TrainDataset.anno_path`.
        path: where it is.
        content: what it holds, repaired.
        notes: what was repaired or left out, each a `Note`.
        numbers: of a section the number of every entry, by what the file spells its id as.
        entries: of a section how many entries the file has.
        refused: what is wrong with it so far, each with a count, see `refuse_these`.
        turned: entries of pictures that readers turn as their EXIF says.
        path_of: gives the path of the picture of an entry of `images`; None where pictures are not opened.
    """

    key: str
    path: str
    content: dict
    notes: list = dataclasses.field(default_factory=list)
    numbers: dict = dataclasses.field(default_factory=dict)
    entries: dict = dataclasses.field(default_factory=dict)
    refused: list = dataclasses.field(default_factory=list)
    turned: list = dataclasses.field(default_factory=list)
    path_of: Optional[Callable] = None

    def refuse(self, text):
        """Raises a UserError about this file, with all that `refuse_any` was told before."""
        before = "".join(f"; {words}" for words in self.refused)
        raise UserError(f"{self.key}: {self.path} {text}{before}")

    def note(self, entries, text, of="annotations", left_out=False):
        """Notes that `text` is so of some `entries`; of none, nothing."""
        if entries:
            note = Note(f"{_count(entries, self.content[of])} {of} {text}{_first(entries)}")
            note.section, note.left_out = of, left_out
            note.count, note.total = len(entries), len(self.content[of])
            note.entries, note.ids = entries[:FIRST], [entry.get("id") for entry in entries[:FIRST]]
            self.notes.append(note)

    def remark(self, text):
        """Notes something that counts no entries."""
        self.notes.append(Note(text))

    def refuse_any(self, entries, text, of="annotations"):
        """Has `refuse_these` refuse this file where `text` is so of any of its `entries`."""
        if entries:
            self.refused.append(f"{_count(entries, self.content[of])} {of} {text}{_first(entries)}")

    def refuse_these(self):
        """Raises a UserError about all that `refuse_any` was told, if anything, in one line."""
        if self.refused:
            raise UserError(f"{self.key}: {self.path} cannot be used: {'; '.join(self.refused)}")


def _count(entries, all_of_them):
    return f"{len(entries)} of {len(all_of_them)}"


def _first(entries):
    ids = ", ".join(str(entry.get("id", "without id")) for entry in entries[:FIRST])
    return f" (id {ids}{', …' if len(entries) > FIRST else ''})"


def read(path, key, metric, with_masks, path_of=None):
    """The `Annotations` in a file, repaired.

    Args:
        path: JSON.
        key: what the config calls the file.
        metric: the config's, COCO, LVIS or one of keypoints.
        with_masks: whether an object needs a mask.
        path_of: the path of the picture of an entry of `images`, see `check_pictures`; None opens none.

    Raises:
        UserError: it is no file of such annotations, or has entries that have no meaning.
    """
    return repair(load(path, key), metric, with_masks, path_of)


def load(path, key):
    """The `Annotations` in a file as they are, of which nothing is looked at.

    Raises:
        UserError: it is not JSON.
    """
    file = Annotations(key, path, _content(path, key))
    if isinstance(file.content, dict):
        file.entries = {name: len(part) for name, part in file.content.items() if isinstance(part, list)}
    return file


def repair(file, metric, with_masks, path_of=None):
    """Checks and repairs what `load` gives, see `read`; returns it."""
    file.path_of = path_of
    kind, needed = next(value for part, value in KINDS.items() if part in metric)
    _check_sections(file, kind, needed, with_masks)
    _check_texts(file, needed)
    _complete(file, metric)
    _repair_ids(file)
    if metric == "LVIS":
        file.content["categories"].sort(key=lambda category: category["id"])
    if "KeyPoint" in metric:
        keep_class_of_joints(file)
    _check_names(file)
    if path_of:  # before boxes are compared with the sizes
        _repair_separators(file, path_of)
        check_pictures(file, path_of)
    file.refuse_these()  # what follows needs the picture of every annotation
    _repair_flags(file)
    _repair_boxes(file)
    if "KeyPoint" in metric:
        _complete_keypoints(file)
    file.refuse_these()
    if with_masks:
        _repair_masks(file)
    _complete_areas(file)
    objects = [annotation for annotation in file.content["annotations"] if is_object(annotation)]
    if "KeyPoint" in metric and not any(person["num_keypoints"] for person in objects):
        file.refuse("has no person with a labelled keypoint: all are crowds, or no flag is above 0")
    if not objects:
        file.refuse("has no object to train on or to evaluate: all are crowds or have no usable box or mask")
    return file


def _content(path, key):
    try:
        return json.loads(Path(path).read_bytes())  # in any encoding of Unicode, with or without its mark
    except (ValueError, RecursionError) as error:
        raise UserError(f"{key}: {path} is not JSON: {error}") from None


def read_classes(path, key, metric):
    """The `Annotations` in a file of which nothing but the categories is looked at, and repaired.

    Args:
        path: JSON, or text with the name of a class in every line.
        key: what the config calls the file.
        metric: as for `read`.

    Raises:
        UserError: it names no classes.
    """
    if path.endswith(".txt"):
        file = Annotations(key, path, {"categories": _lines(path, key)})
        _numbers(file, "categories")
    else:
        categories = _categories_alone(path)
        content = _content(path, key) if categories is None else {"categories": categories}
        file = Annotations(key, path, content)
        kind = next(kind for part, (kind, _) in KINDS.items() if part in metric)
        _check_sections(file, kind, {"categories": ["name"]}, False)
        _numbers(file, "categories")
    if metric == "LVIS":
        file.content["categories"].sort(key=lambda category: category["id"])
    if "KeyPoint" in metric:
        keep_class_of_joints(file)
    _check_names(file)
    return file


def ids_of_pictures(path, key, names):
    """Of the pictures in `names` that the file at `path` lists, `{id as it is spelt: value in names}`."""
    content = _content(path, key)
    images = content.get("images") if isinstance(content, dict) else None
    found = {}
    for image in images if isinstance(images, list) and all(isinstance(i, dict) for i in images) else ():
        name = str(image.get("file_name") or image.get("coco_url")).rsplit("/", 1)[-1]
        if name in names:
            found[spelt(image.get("id"))] = names[name]
    return found


def _lines(path, key):
    """Categories of the names in a text file, with ids from 0 on, as PaddleDetection has them."""
    try:
        names = [line for line in read_lines(path) if line]
    except UserError as error:
        raise UserError(f"{key}: {error}") from None
    if names[:1] == ["background"]:
        del names[0]
    return [{"id": number, "name": name} for number, name in enumerate(names)]


def _categories_alone(path):
    """The categories of a file, found without reading the rest of it; None where that cannot be told.

    COCO's own annotations of training are 450 MB, of which every drawing and export needs the names alone.
    """
    found = []
    with open(path, "rb") as file:
        if not os.fstat(file.fileno()).st_size:
            return None
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            for key in re.finditer(rb'"categories"\s*:\s*', content):
                start = content[key.end() : key.end() + LENGTH_OF_CATEGORIES].decode("utf-8", "ignore")
                try:
                    found.append(json.JSONDecoder().raw_decode(start)[0])
                except (ValueError, RecursionError):
                    return None
    return found[0] if len(found) == 1 else None


def _check_sections(file, kind, needed, with_masks):
    for section, fields in needed.items():
        entries = file.content.get(section) if isinstance(file.content, dict) else None
        if not entries or not isinstance(entries, list):
            file.refuse(f"is not a file of {kind}: it has no {section}")
        if not all(isinstance(entry, dict) for entry in entries):
            file.refuse(f"is not a file of {kind}: its {section} are no objects of JSON")
        for field in fields:
            lacking = [entry for entry in entries if field not in entry]
            if field == "segmentation" and not with_masks:
                continue
            if len(lacking) == len(entries):
                file.refuse(f"is not a file of {kind}: its {section} have no {field}; is it of another task?")


def _check_texts(file, needed):
    for section in ("images", "categories"):
        for field in needed[section]:
            wrong = [entry for entry in file.content[section] if not _is_text(entry.get(field), field)]
            asked = " or ".join(FREQUENCIES) if field == "frequency" else "text"
            file.refuse_any(wrong, f"have no {field}, or one that is no {asked}", section)
    file.refuse_these()


def _check_names(file):
    """Refuses two classes of one name: they are told apart in training, and nowhere else."""
    categories = file.content["categories"]
    counts = Counter(name.strip() for name in names(file.content))
    twice = [category for category in categories if counts[str(category["name"]).strip()] > 1]
    name = str(twice[0]["name"]).strip() if twice else ""
    file.refuse_any(
        twice, f"share their name with another one, such as {name}: rename or merge them", "categories"
    )
    file.refuse_these()


def _is_text(value, field):
    """Whether a value can be used as a text; the name of a class may be a number."""
    if field == "frequency":
        return value in FREQUENCIES
    return bool(value) if isinstance(value, str) else field == "name" and type(value) is int


def _complete(file, metric):
    """Adds what evaluation asks for and few files have."""
    file.content.setdefault("info", {})
    file.content.setdefault("licenses", [])
    if metric == "LVIS":
        for field in OF_PICTURES_IN_LVIS:
            lacking = [image for image in file.content["images"] if not isinstance(image.get(field), list)]
            file.note(lacking, f"have no {field}: none are assumed", "images")
            for image in lacking:
                image[field] = []


def whole_number(value):
    """An id as the whole number of 64 bits that it is or spells; None where it is neither."""
    if isinstance(value, str) and re.fullmatch(r"\s*-?\d{1,19}\s*", value):
        value = int(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return value if type(value) is int and abs(value) <= LARGEST_ID else None


def _repair_ids(file):
    """Has every id be a whole number, that of an annotation be one of its own and not 0."""
    content = file.content
    for section in ("images", "categories"):
        _numbers(file, section)
    for section, article, field in (("images", "an", "image_id"), ("categories", "a", "category_id")):
        unknown = []
        for annotation in content["annotations"]:
            number = file.numbers[section].get(spelt(annotation.get(field)))
            unknown += [annotation] if number is None else []
            annotation[field] = number
        file.refuse_any(unknown, f"have {article} {field} that is not among its {section}")
    for field in OF_PICTURES_IN_LVIS:
        _repair_lists_of_classes(file, field)
    own = [whole_number(annotation.get("id")) for annotation in content["annotations"]]
    if None in own or len(set(own)) < len(own) or min(own) < 1:
        copies = _copies(content["annotations"])
        file.note(copies, "say again what another one says, and are left out", left_out=True)
        _leave_out(file, copies)
        counts = Counter(own)
        wrong = [a for a, n in zip(content["annotations"], own) if n is None or n < 1 or counts[n] > 1]
        file.note(wrong, "have no id of their own above 0 (0 never counts as found): all are renumbered")
        own = range(1, len(content["annotations"]) + 1)
    for annotation, number in zip(content["annotations"], own):
        annotation["id"] = number


def _repair_lists_of_classes(file, field):
    """Has the classes that `field` of a picture lists be numbers of the file's own."""
    numbers, unknown = file.numbers["categories"], []
    for image in file.content["images"]:
        if isinstance(image.get(field), list):
            listed = [numbers.get(spelt(value)) for value in image[field]]
            image[field] = [number for number in listed if number is not None]
            unknown += [image] if None in listed else []
    file.note(unknown, f"list classes in {field} that are not among the categories: not counted", "images")


def spelt(value):
    """What an id is found by: 7, 7.0 and "7" are one."""
    number = whole_number(value)
    return str(value if number is None else number)


def _numbers(file, section):
    """Has the id of every entry of `section` be a number, which `file.numbers` has by how it was spelt."""
    entries = file.content[section]
    copies = _copies(entries)
    file.note(copies, "stand there twice; once counts", section, left_out=True)
    file.content[section] = entries = _without(entries, copies)
    file.refuse_any([entry for entry in entries if entry.get("id") is None], "have no id", section)
    file.refuse_these()
    counts = Counter(spelt(entry["id"]) for entry in entries)
    twice = [entry for entry in entries if counts[spelt(entry["id"])] > 1]
    file.refuse_any(twice, "share their id with another entry that differs", section)
    file.refuse_these()
    numbers = [whole_number(entry["id"]) for entry in entries]
    if None in numbers:
        wrong = [entry for entry, number in zip(entries, numbers) if number is None]
        file.note(wrong, "have an id that is no number (of 64 bits): all are numbered from 1 on", section)
        numbers = range(1, len(entries) + 1)
    file.numbers[section] = {spelt(entry["id"]): number for entry, number in zip(entries, numbers)}
    for entry, number in zip(entries, numbers):
        entry["id"] = number


def _copies(entries):
    """Entries that are equal to an earlier one, down to the id."""
    counts = Counter(spelt(entry.get("id")) for entry in entries)
    seen, copies = set(), []
    for entry in entries:
        if counts[spelt(entry.get("id"))] > 1 and entry.get("id") is not None:
            text = json.dumps(entry, sort_keys=True)
            copies += [entry] if text in seen else []
            seen.add(text)
    return copies


def _without(entries, dropped):
    identities = {id(entry) for entry in dropped}
    return [entry for entry in entries if id(entry) not in identities]


def _leave_out(file, annotations):
    file.content["annotations"] = _without(file.content["annotations"], annotations)


def _repair_flags(file):
    """Has `iscrowd` be 0 or 1."""
    annotations = file.content["annotations"]
    lacking = [annotation for annotation in annotations if annotation.get("iscrowd") is None]
    if len(lacking) < len(annotations):  # LVIS has no crowds, and no such key
        file.note(lacking, "have no iscrowd: 0 is assumed")
    for annotation in lacking:
        annotation["iscrowd"] = 0
    for annotation in annotations:
        annotation["iscrowd"] = {"0": 0, "1": 1, "False": 0, "True": 1}.get(spelt(annotation["iscrowd"]))
    file.refuse_any([a for a in annotations if a["iscrowd"] is None], "have an iscrowd other than 0 and 1")


def numbers_in(values):
    """A list of finite numbers, or of texts that spell them, as numbers; None where it is something else."""
    if not isinstance(values, list):
        return None
    try:
        if not all(type(value) in (int, float) for value in values):
            values = [float(value) for value in values]
        return values if math.isfinite(sum(values)) else None
    except (TypeError, ValueError, OverflowError):
        return None


def _repair_boxes(file):
    """Has every box be four numbers, of a size above 0 and inside its picture where that says its size."""
    sizes = {image["id"]: size_in(image) for image in file.content["images"]}
    broken, empty, outside, clipped = [], [], [], []
    largest = 0
    for annotation in file.content["annotations"]:
        box = numbers_in(annotation.get("bbox"))
        if box is None or len(box) != 4:
            broken.append(annotation)
        elif round(min(box[2:]), 3) <= 0:  # PaddleDetection rounds so
            empty.append(annotation)
        else:
            largest = max(largest, *box)
            inside = clip(box, sizes[annotation["image_id"]])
            annotation["bbox"] = inside
            if inside is None:
                outside.append(annotation)
            elif inside != box:
                clipped.append(annotation)
    total = len(file.content["annotations"])
    if 0 < largest <= 1:
        file.refuse("has no box larger than one pixel: COCO's are in pixels, not in shares of the picture")
    if 2 * (len(clipped) + len(outside)) > total:
        file.refuse_any(
            [*clipped, *outside],
            "have a box that ends outside of the picture: is it written as corners? COCO's are "
            "[x, y, width, height]",
        )
    file.note(broken, "have no box of four finite numbers, and are left out", left_out=True)
    file.note(empty, "have a box whose width or height is not above 0, and are left out", left_out=True)
    file.note(outside, "have a box outside of the picture, and are left out", left_out=True)
    file.note(clipped, "have a box that sticks out of the picture, and is clipped")
    _leave_out(file, [*broken, *empty, *outside])


def size_in(image):
    """`(width, height)` that the entry of a picture says; None where it says none."""
    size = tuple(whole_number(image.get(side)) or 0 for side in ("width", "height"))
    return size if min(size) > 0 else None


def clip(box, size):
    """A box `[x, y, width, height]` cut at the borders of a picture; None where nothing of it is inside."""
    x, y, width, height = box
    if size is None or (
        min(x, y) >= -TOLERANCE and x + width <= size[0] + TOLERANCE and y + height <= size[1] + TOLERANCE
    ):
        return box
    left, top = max(x, 0), max(y, 0)
    width, height = min(x + width, size[0]) - left, min(y + height, size[1]) - top
    return [left, top, width, height] if min(width, height) > 0 else None


def keep_class_of_joints(file):
    """Leaves one class, that which names its keypoints, and its annotations."""
    categories = file.content["categories"]
    named = [category for category in categories if category.get("keypoints")] or categories
    if len(named) > 1:
        some = ", ".join(str(category["name"]) for category in named[:FIRST])
        remedy = "name those of one" if named is categories else "leave one of these classes"
        file.refuse(
            f"has {len(named)} classes, this network learns the keypoints of one: {remedy}, in its entry "
            f"`keypoints` ({some}{', …' if len(named) > FIRST else ''})"
        )
    names = named[0].get("keypoints") or []
    if not isinstance(names, list) or len({str(name) for name in names}) < len(names):
        file.refuse(f"has a class {named[0]['name']} whose `keypoints` are no list of different names")
    file.content["categories"] = named
    annotations = file.content.get("annotations") or []
    others = [a for a in annotations if len(categories) > 1 and a["category_id"] != named[0]["id"]]
    if others:
        file.note(others, f"are of other classes than {named[0]['name']}, and are left out", left_out=True)
        _leave_out(file, others)


def number_of_joints(content):
    """How many keypoints a person has: as many as its class names, or else most persons; None if unknown."""
    names = content["categories"][0].get("keypoints")
    if names:
        return len(names)
    all_keypoints = (annotation.get("keypoints") for annotation in content.get("annotations") or ())
    lengths = Counter(
        len(keypoints) for keypoints in all_keypoints if keypoints and isinstance(keypoints, list)
    )
    return lengths.most_common(1)[0][0] // 3 if lengths else None


def _complete_keypoints(file):
    """Has every person have keypoints; one without any is a box whose keypoints nobody labelled."""
    annotations = file.content["annotations"]
    _flatten_keypoints(file)
    count = number_of_joints(file.content) or 0
    lacking = [annotation for annotation in annotations if not annotation.get("keypoints")]
    file.note(lacking, "have no keypoints: they count as not labelled")
    for annotation in lacking:
        annotation["keypoints"] = [0] * 3 * count
    wrong, miscounted, outside, largest = [], [], [], 0
    sizes = {image["id"]: size_in(image) for image in file.content["images"]}
    labelled = beyond = 0
    for annotation in annotations:
        numbers = numbers_in(annotation["keypoints"])
        if numbers is None or len(numbers) != 3 * count or min(numbers[2::3], default=0) < 0:
            wrong.append(annotation)
            continue
        largest = max(largest, *numbers[0::3], *numbers[1::3], 0)
        seen = sum(flag > 0 for flag in numbers[2::3])
        if annotation.get("num_keypoints", seen) != seen:
            miscounted.append(annotation)
        annotation.update(keypoints=numbers, num_keypoints=seen)
        number = count_outside(numbers, sizes[annotation["image_id"]])
        outside += [annotation] if number else []
        labelled, beyond = labelled + seen, beyond + number
    file.refuse_any(
        wrong, f"have keypoints other than {3 * count} numbers, x, y and a flag for each of {count}"
    )
    if 0 < largest <= 1:
        file.refuse("has no keypoint beyond one pixel: COCO's are in pixels, not in shares of the picture")
    if 2 * beyond > labelled:
        file.refuse(
            f"cannot be used: {beyond} of {labelled} labelled keypoints are outside of their pictures: are "
            f"these of another size?{_first(outside)}"
        )
    file.note(outside, "have a labelled keypoint outside of the picture")
    file.note(miscounted, "have another num_keypoints than flags above 0: it is counted anew")


def _flatten_keypoints(file):
    """Has keypoints be `x, y, flag, …` with no lists in it, and those without a place be unlabelled."""
    nested, placeless = [], []
    for annotation in file.content["annotations"]:
        found = annotation.get("keypoints")
        if not isinstance(found, list) or numbers_in(found) is not None:
            continue
        if any(isinstance(joint, list) for joint in found):
            joints = [[None] * 3 if joint is None else joint for joint in found]
            if not all(isinstance(joint, list) and len(joint) == 3 for joint in joints):
                continue
            nested.append(annotation)
        elif len(found) % 3 or not any(_is_missing(value) for value in found):
            continue
        else:
            joints = [found[place : place + 3] for place in range(0, len(found), 3)]
        missing = [any(map(_is_missing, joint[:2])) for joint in joints]
        placeless += [annotation] if any(missing) else []
        annotation["keypoints"] = sum(([0] * 3 if m else joint for m, joint in zip(missing, joints)), [])
    file.note(nested, "have a list around each keypoint, which is taken away")
    file.note(placeless, "have keypoints whose x or y is null or NaN: these count as not labelled")


def _is_missing(value):
    """Whether a value is null or NaN, which alone differs from itself."""
    return value is None or value != value


def count_outside(keypoints, size):
    """How many labelled ones of `x, y, flag, …` are outside of a picture of `size`, which may be None."""
    xs, ys, flags = (keypoints[place::3] for place in range(3))
    if size is None or not flags:
        return 0
    low, right, bottom = -TOLERANCE, size[0] + TOLERANCE, size[1] + TOLERANCE
    if low <= min(xs) and max(xs) <= right and low <= min(ys) and max(ys) <= bottom:
        return 0
    points = zip(xs, ys, flags)
    return sum(flag > 0 and not (low <= x <= right and low <= y <= bottom) for x, y, flag in points)


def _repair_masks(file):
    """Has every object's mask be polygons of at least three corners, or RLE of the picture's size.

    It has pixels, some of them in the object's box. An object without a mask becomes a crowd: training
    leaves it out, and evaluation takes what is found there neither for right nor for wrong.
    """
    sizes = {image["id"]: size_in(image) for image in file.content["images"]}
    flat, short, without, spelt_otherwise = [], [], [], []
    given, largest = 0, 0
    for annotation in file.content["annotations"]:
        found = annotation.get("segmentation")
        given += bool(found)
        if isinstance(found, dict):
            whole = _in_whole_numbers(found)
            spelt_otherwise += [annotation] if whole is not found else []
            found = whole
            mask = found if is_rle(found, sizes[annotation["image_id"]]) else None
        else:
            polygons = found if isinstance(found, list) else []
            if polygons and not isinstance(polygons[0], list):
                flat.append(annotation)
                polygons = [polygons]
            mask = [polygon for polygon in map(numbers_in, polygons) if is_polygon(polygon)]
            largest = max(largest, *map(max, mask), 0)
            if not any(is_in_box(polygon, annotation["bbox"]) for polygon in mask):
                mask = []
            if mask and len(mask) < len(polygons):
                short.append(annotation)
        if not mask:
            without.append(annotation)
            annotation.update(iscrowd=1, ignore=1)
            mask = [box_as_polygon(annotation["bbox"])]
        annotation["segmentation"] = mask
    if 0 < largest <= 1:
        file.refuse("has no polygon beyond one pixel: COCO's are in pixels, not in shares of the picture")
    if without and len(without) == len(file.content["annotations"]):
        if not given:
            file.refuse(
                "has no masks, which this network learns: train a detector of boxes, or annotate masks"
            )
        file.refuse(
            f"has {given} masks, none of which can be read: COCO's are lists of polygons [[x, y, x, y, …], "
            "…] in the box of their object, or run lengths of the picture's size, [height, width]"
        )
    file.note(spelt_otherwise, 'have run lengths or a size such as 12.0 or "12", which are read as 12')
    file.note(flat, "have one polygon without a list around it, which is added")
    file.note(short, "have polygons of fewer than three corners beside others, which are left out")
    file.note(
        without,
        "have no mask that can be read, or one without pixels in the box, and count neither in training nor "
        "in evaluation",
    )


def is_polygon(numbers):
    """Whether a list of `x, y, x, y, …` has at least three corners."""
    return numbers is not None and len(numbers) >= 6 and len(numbers) % 2 == 0


def is_in_box(polygon, box):
    """Whether a polygon has an area, and is not altogether outside of a box."""
    x, y, width, height = box
    return spans(polygon[0::2], x, width) and spans(polygon[1::2], y, height)


def spans(values, start, length):
    """Whether numbers differ and reach to where a side of a box is, give or take TOLERANCE."""
    low, high = min(values), max(values)
    return low < high and low < start + length + TOLERANCE and high > start - TOLERANCE


def _in_whole_numbers(mask):
    """A run-length encoding whose numbers are of type int, where all are whole; else `mask` itself."""
    lists = {key: mask[key] for key in ("counts", "size") if isinstance(mask.get(key), list)}
    if all(type(number) is int for numbers in lists.values() for number in numbers):
        return mask
    lists = {key: [whole_number(number) for number in numbers] for key, numbers in lists.items()}
    return mask if any(None in numbers for numbers in lists.values()) else {**mask, **lists}


def is_rle(mask, size):
    """Whether a dict is a run-length encoding, of either kind, of a picture of `size`, `(width, height)`.

    One without any pixel is none: PaddleDetection fails on it in training.
    """
    counts, own = mask.get("counts"), mask.get("size")
    if not isinstance(own, list) or len(own) != 2 or not all(type(n) is int and n > 0 for n in own):
        return False
    if size is not None and tuple(own) != size[::-1]:
        return False
    if isinstance(counts, list):
        if not all(type(n) is int for n in counts):
            return False
        lengths = np.array(counts, dtype=object)  # whose sums are exact
    else:
        lengths = lengths_of(counts) if isinstance(counts, str) else None
    if lengths is None or not lengths.size or lengths.min() < 0 or lengths.sum() != own[0] * own[1]:
        return False
    return lengths[1::2].sum() > 0


def lengths_of(text):
    """Lengths of the runs that a compressed encoding says, an array; None for a text that is none.

    pycocotools writes beyond its memory where they are not as many as the picture has pixels, or fails only
    when the mask is used. Each number is in characters of 5 bits, the sixth says that another one follows;
    from the fourth number on it is the difference to that of two runs before.
    """
    try:
        codes = np.frombuffer(text.encode("ascii"), np.uint8).astype(np.int64) - 48
    except UnicodeEncodeError:
        return None
    if not codes.size or codes.min() < 0 or codes.max() > 63 or codes[-1] & 32:
        return None
    starts = np.flatnonzero(np.concatenate([[True], codes[:-1] & 32 == 0]))
    sizes = np.diff(starts, append=codes.size)
    if sizes.max() > LONGEST_NUMBER:
        return None
    places = np.arange(codes.size) - np.repeat(starts, sizes)
    numbers = np.add.reduceat((codes & 31) << 5 * places, starts)
    numbers -= np.where(codes[starts + sizes - 1] & 16, 1 << 5 * sizes, 0)
    for first in (1, 2):
        numbers[first::2] = np.cumsum(numbers[first::2])
    return numbers


def box_as_polygon(box):
    """`[x, y, width, height]` as `[x, y, …]` of its corners."""
    x, y, width, height = box
    return [x, y, x + width, y, x + width, y + height, x, y + height]


def compressed(mask):
    """A run-length encoding as pycocotools works on it."""
    counts = mask["counts"]
    return masks.frPyObjects(mask, *mask["size"]) if isinstance(counts, list) else mask


def as_polygons(mask):
    """A mask as polygons, `[[x, y, …], …]`; of a run-length encoding the outlines, without holes."""
    if not isinstance(mask, dict):
        return mask
    pixels = masks.decode(compressed(mask)).repeat(2, 0).repeat(2, 1)  # outlines are within half a pixel
    outlines, _ = cv2.findContours(pixels, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    return [((outline.reshape(-1) + 0.5) / 2).tolist() for outline in outlines]


def _complete_areas(file):
    """Has every annotation have an area: that of its mask, or else of its box."""
    sizes = {image["id"]: size_in(image) for image in file.content["images"]}
    lacking = []
    for annotation in file.content["annotations"]:
        area = numbers_in([annotation.get("area")])
        if area is None or area[0] <= 0:
            lacking.append(annotation)
            annotation["area"] = area_of(annotation, sizes[annotation["image_id"]])
        else:
            annotation["area"] = area[0]
    file.note(lacking, "have no area above 0: it is computed")


def area_of(annotation, size):
    """The area of an annotation's mask, or of its box where it has none or `size`, `(w, h)`, is None."""
    mask, (_, _, width, height) = annotation.get("segmentation"), annotation["bbox"]
    if isinstance(mask, dict):
        area = float(masks.area(compressed(mask)))
    elif mask and size and all(map(is_polygon, map(numbers_in, mask))):
        area = float(masks.area(masks.merge(masks.frPyObjects(mask, size[1], size[0]))))
    else:
        area = 0.0
    return area or float(width * height)


def name_in_coco(image):
    """The folder and name of the picture of an entry of LVIS, such as `train2017/x.jpg`."""
    return os.path.join(*image["coco_url"].split("/")[-2:])


def finder(folder, metric):
    """A function that gives the path, in `folder`, of the picture of an entry of `images`."""
    name = name_in_coco if metric == "LVIS" else (lambda image: image["file_name"])
    return lambda image: os.path.join(folder, name(image))


def _repair_separators(file, path_of):
    """Has names of pictures have `/` between folders, where Windows has written another sign."""
    repaired = []
    for image in file.content["images"]:
        name = image.get("file_name")
        if isinstance(name, str) and "\\" in name and not os.path.exists(path_of(image)):
            straight = name.replace("\\", "/")
            if os.path.exists(path_of({**image, "file_name": straight})):
                image["file_name"] = straight
                repaired.append(image)
    file.note(repaired, "have \\ in their file_name, which is read as /", "images")


def check_pictures(file, path_of):
    """Opens every picture: leaves out the missing ones, notes sizes that the file lacks.

    Args:
        path_of: the path of the picture that an entry of `images` is of.

    Raises:
        UserError: all are missing; some cannot be read or have another size than the file says.
    """
    missing, unreadable, unsized, others = [], [], [], []
    images = file.content["images"]
    for image in tqdm(images, "pictures", unit="", delay=PATIENCE, disable=None, leave=False):
        path, said = path_of(image), size_in(image)
        try:
            size, stored = pictures.read_size(path)
        except FileNotFoundError:
            missing.append(image)
            continue
        except (ValueError, OSError) as error:  # Unreadable is one, and so is a name that no file can have
            unreadable.append((path, first_line(error)))
            continue
        file.turned += [image] if size != stored else []
        if said is None:
            unsized.append(image)
            image["width"], image["height"] = size
        elif said != size:
            others.append((path, size, said, stored))
    _say_of_pictures(file, missing, unreadable, others, path_of)
    counts = Counter(path_of(image) for image in file.content["images"])
    shared = [image for image in file.content["images"] if counts[path_of(image)] > 1]
    file.note(shared, "are of a picture that another one is of, too, each with objects of its own", "images")
    file.note(unsized, "have no width and height: those of the files are taken", "images")
    file.note(
        missing, "have no picture file, and are left out with their annotations", "images", left_out=True
    )
    file.content["images"] = _without(file.content["images"], missing)
    gone = {image["id"] for image in missing}
    _leave_out(file, [a for a in file.content["annotations"] if a["image_id"] in gone])


def _say_of_pictures(file, missing, unreadable, others, path_of):
    total = len(file.content["images"])
    if len(missing) == total:
        file.refuse(f"names {total} pictures, none of which is there; the first is {path_of(missing[0])}")
    if unreadable:
        path, why = unreadable[0]
        file.refuse(f"names {len(unreadable)} of {total} pictures that cannot be read, first {path}: {why}")
    if others:
        path, size, said, stored = others[0]
        turned = ", as before the turn that its EXIF asks for, which readers make" if said == stored else ""
        file.refuse(
            f"says another size than {len(others)} of {total} pictures have, to which their boxes do not "
            f"belong: {path} is {size[0]}×{size[1]}, the file says {said[0]}×{said[1]}{turned}"
        )


def is_object(annotation):
    """Whether an annotation is to be found, and is neither a crowd nor to be ignored."""
    return not annotation["iscrowd"] and not annotation.get("ignore")


def number_of_crowds(content):
    """How many annotations are no objects: crowds, and what is to be ignored."""
    return sum(not is_object(annotation) for annotation in content["annotations"])


def number_of_empty(content):
    """How many pictures have no object; they may have crowds."""
    return len(content["images"]) - len({a["image_id"] for a in content["annotations"] if is_object(a)})


def summary(file):
    """One line of counts: pictures, those without objects, objects, crowds and classes."""
    content = file.content
    objects = [annotation for annotation in content["annotations"] if is_object(annotation)]
    classes = Counter(annotation["category_id"] for annotation in objects)
    labelled = sum(bool(annotation.get("num_keypoints")) for annotation in objects)
    keypoints = f", {labelled} with keypoints" if any("num_keypoints" in a for a in objects) else ""
    return (
        f"{len(content['images'])} pictures ({number_of_empty(content)} without objects), "
        f"{len(objects)} objects{keypoints} ({number_of_crowds(content)} crowds beside them) "
        f"of {len(classes)} of {len(content['categories'])} classes"
    )


def names(content):
    """The names of the classes, in their order."""
    return [str(category["name"]) for category in content["categories"]]


def order_as(file, other):
    """Brings the classes of `file` into the order of those of `other`, by name.

    Raises:
        UserError: they are other classes.
    """
    own, wanted = names(file.content), names(other.content)
    if own == wanted:
        return
    if sorted(own) != sorted(wanted) or len(set(own)) < len(own):
        pairs = itertools.zip_longest(own, wanted, fillvalue="none")
        place, (mine, theirs) = next((i, p) for i, p in enumerate(pairs, 1) if p[0] != p[1])
        file.refuse(
            f"has other classes than {other.path} ({other.key}): class {place} is {mine} here, {theirs} there"
        )
    file.content["categories"].sort(key=lambda category: wanted.index(str(category["name"])))
    file.remark(f"its classes stand in another order than in {other.path}, whose order is taken")


def add_missing_classes(file, other):
    """Adds the classes of `other` that `file` lacks, if it has no others: those of which it has no object."""
    own, wanted = set(names(file.content)), other.content["categories"]
    missing = [category for category in wanted if str(category["name"]) not in own]
    if not missing or own - set(names(other.content)):
        return
    first = max(category["id"] for category in file.content["categories"]) + 1
    added = [{**category, "id": number} for number, category in enumerate(missing, first)]
    file.content["categories"] += added
    file.remark(
        f"{len(missing)} of the {len(wanted)} classes of {other.path} are not among its own, so it has no "
        f"object of them: {added[0]['name']}{', …' if len(added) > 1 else ''}"
    )


_held = {}


def hold(file):
    """Keeps what was read of a file, for `held`, until the file changes."""
    _held[os.path.realpath(file.path)] = _stamp(file.path), file.content


def held(path):
    """A copy of what `hold` keeps of the file at `path`, whose entries may be added to; None if nothing."""
    stamp, content = _held.get(os.path.realpath(path), (None, None))
    if content is None or stamp != _stamp(path):
        return None
    return {
        section: [{**entry} if isinstance(entry, dict) else entry for entry in entries]
        if isinstance(entries, list)
        else entries
        for section, entries in content.items()
    }


_held_classes = {}


def hold_classes(file):
    """Keeps the classes that a file names, for `held_classes`, until the file changes."""
    _held_classes[os.path.realpath(file.path)] = _stamp(file.path), file.content["categories"]


def held_classes(path):
    """The categories that `hold_classes` keeps of the file at `path`; None if nothing."""
    stamp, categories = _held_classes.get(os.path.realpath(path), (None, None))
    return None if stamp is None or stamp != _stamp(path) else categories


def _stamp(path):
    status = os.stat(path)
    return status.st_mtime_ns, status.st_size
