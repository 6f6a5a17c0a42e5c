"""The one reader of annotation files in the formats of COCO and LVIS: whole, strict, in memory.

What has one meaning is repaired in memory and counted; what has none is refused in one line, with the count
and the first ids. Files are never changed. `held` keeps what was repaired for `bridges`, which hands it to
all that would read the file again: the data sets, the names of classes and the evaluation.
"""

import itertools
import json
import mmap
import os
import re
import unicodedata
from collections import Counter
from pathlib import Path

from ppcls_mixformer.hosting.errors import UserError
from ppcls_mixformer.hosting.text import read_lines
from ppcls_mixformer.paddledet.annotated_pictures import check_pictures, complete_names, repair_names
from ppcls_mixformer.paddledet.annotation_file import (
    Annotations,
    is_object,
    leave_out,
    size_in,
    spelt,
    whole_number,
    without,
)
from ppcls_mixformer.paddledet.box_fields import repair_boxes, set_upright
from ppcls_mixformer.paddledet.keypoint_fields import complete_keypoints, keep_class_of_joints
from ppcls_mixformer.paddledet.masks import (
    add_boxes_of_masks,
    complete_areas,
    keep_readable_masks,
    repair_masks,
)

LENGTH_OF_CATEGORIES = 1 << 22  # bytes in which all of a file's are expected; LVIS's 1203 take 0.4 MB

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
STAND_INS = {"bbox": "segmentation", "file_name": "coco_url", "coco_url": "file_name"}  # that say the same
FLAGS = {"0": 0, "1": 1, "false": 0, "true": 1}


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
    complete_names(file, metric)
    _check_texts(file, needed)
    _complete(file, metric)
    _repair_sizes(file)
    _repair_ids(file)
    if metric == "LVIS":
        file.content["categories"].sort(key=lambda category: category["id"])
    if "KeyPoint" in metric:
        keep_class_of_joints(file)
    _leave_out_root(file, {annotation["category_id"] for annotation in file.content["annotations"]})
    _check_names(file)
    if path_of:  # before boxes are compared with the sizes
        repair_names(file, path_of, "coco_url" if metric == "LVIS" else "file_name")
        check_pictures(file, path_of)
    file.refuse_these()  # what follows needs the picture of every annotation
    _repair_flags(file, metric)
    add_boxes_of_masks(file)
    set_upright(file)
    repair_boxes(file)
    if "KeyPoint" in metric:
        complete_keypoints(file)
    file.refuse_these()
    if with_masks:
        repair_masks(file)
    else:
        keep_readable_masks(file)
    complete_areas(file)
    objects = [annotation for annotation in file.content["annotations"] if is_object(annotation)]
    if not objects:
        file.refused += [note for note in file.notes if note.section == "annotations"]
        file.refuse("has no object to train on or to evaluate: all are crowds or have no usable box or mask")
    if "KeyPoint" in metric and not any(person["num_keypoints"] for person in objects):
        file.refuse("has no person with a labelled keypoint: no flag of one that is no crowd is above 0")
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
    _leave_out_root(file, ())
    _check_names(file)
    file.refuse_these()
    return file


def ids_of_pictures(path, key, names):
    """Of the pictures in `names` that the file at `path` lists, `{id as it is spelt: value in names}`."""
    content = _content(path, key)
    images = content.get("images") if isinstance(content, dict) else None
    found = {}
    for image in images if isinstance(images, list) and all(isinstance(i, dict) for i in images) else ():
        name = str(image.get("file_name") or image.get("coco_url")).replace("\\", "/").rsplit("/", 1)[-1]
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
    lacking = [
        words for section, fields in needed.items() for words in _lacking(file, section, fields, with_masks)
    ]
    if lacking:
        known = isinstance(file.content, dict) and needed.keys() & file.content.keys()
        hint = "" if known else "; have the tool that wrote it export COCO's JSON"
        file.refuse(f"is not a file of {kind}: {'; '.join(lacking)}{hint}")


def _lacking(file, section, fields, with_masks):
    """What a section of a file lacks to be one of annotations, in words."""
    entries = file.content.get(section) if isinstance(file.content, dict) else None
    if not entries or not isinstance(entries, list):
        yield f"it has no {section}"
    elif not all(isinstance(entry, dict) for entry in entries):
        yield f"its {section} are no objects of JSON"
    else:
        asked = (*fields, *STAND_INS.values())
        present = {field for field in asked if any(field in entry for entry in entries)}
        for field in fields if with_masks else [field for field in fields if field != "segmentation"]:
            if not present & {field, STAND_INS.get(field)}:
                yield f"its {section} have no {field}; is it of another task?"


def _check_texts(file, needed):
    for section in ("images", "categories"):
        for field in needed[section]:
            wrong = [entry for entry in file.content[section] if not _is_text(entry.get(field), field)]
            asked = " or ".join(FREQUENCIES) if field == "frequency" else "text"
            file.refuse_any(wrong, f"have no {field}, or one that is no {asked}", section)
    file.refuse_these()


def _leave_out_root(file, used):
    """Leaves out a class that is the supercategory of another one of its name, as Roboflow writes it.

    Args:
        used: ids of the classes of which there is an object, where that is known.
    """
    categories = file.content["categories"]
    pairs = [(str(category["name"]), str(category.get("supercategory"))) for category in categories]
    roots = [
        category
        for category, (name, group) in zip(categories, pairs)
        if group != name and (name, name) in pairs and category["id"] not in used
    ]
    file.note(roots, "group others, one of which has its name, and are left out", "categories", left_out=True)
    file.content["categories"] = without(categories, roots)


def _check_names(file):
    """Refuses two classes of one name: they are told apart in training, and nowhere else."""
    categories, repaired = file.content["categories"], []
    for category in categories:
        name = unicodedata.normalize("NFC", str(category["name"])).strip()
        if name != str(category["name"]):
            repaired.append(category)
            category["name"] = name
    text = "have spaces around their name, or accents apart from letters: it is read without"
    file.note(repaired, text, "categories")
    counts = Counter(names(file.content))
    twice = [category for category in categories if counts[str(category["name"])] > 1]
    name = twice[0]["name"] if twice else ""
    file.refuse_any(
        twice, f"share their name with another one, such as {name}: rename or merge them", "categories"
    )


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


def _repair_sizes(file):
    """Has width and height of a picture be numbers where they spell some: pycocotools takes no text."""
    for image in file.content["images"]:
        size = size_in(image)
        if size:
            image["width"], image["height"] = size


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
        leave_out(file, copies)
        counts = Counter(own)
        wrong = [a for a, n in zip(content["annotations"], own) if n is None or n < 1 or counts[n] > 1]
        file.note(wrong, "have no id of their own above 0 (0 never counts as found): all are renumbered")
        own = range(1, len(content["annotations"]) + 1)
    file.number(content["annotations"], own)


def _repair_lists_of_classes(file, field):
    """Has the classes that `field` of a picture lists be numbers of the file's own."""
    numbers, unknown = file.numbers["categories"], []
    for image in file.content["images"]:
        if isinstance(image.get(field), list):
            listed = [numbers.get(spelt(value)) for value in image[field]]
            image[field] = [number for number in listed if number is not None]
            unknown += [image] if None in listed else []
    file.note(unknown, f"list classes in {field} that are not among the categories: not counted", "images")


def _numbers(file, section):
    """Has the id of every entry of `section` be a number, which `file.numbers` has by how it was spelt."""
    entries = file.content[section]
    copies = _copies(entries)
    file.note(copies, "stand there twice; once counts", section, left_out=True)
    file.content[section] = entries = without(entries, copies)
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
    file.number(entries, numbers)


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


def _repair_flags(file, metric):
    """Has `iscrowd` be 0 or 1, and an object that is to be ignored be so for all that read the file.

    COCO's evaluation knows crowds alone, and counts others as missed; that of LVIS knows `ignore` alone.
    """
    annotations = file.content["annotations"]
    lacking = [annotation for annotation in annotations if annotation.get("iscrowd") is None]
    if len(lacking) < len(annotations):  # LVIS has no crowds, and no such key
        file.note(lacking, "have no iscrowd: 0 is assumed")
    for flag in ("iscrowd", "ignore"):
        given = [annotation for annotation in annotations if annotation.get(flag) is not None]
        for annotation in given:
            annotation[flag] = FLAGS.get(spelt(annotation[flag]).lower())
        file.refuse_any([a for a in given if a[flag] is None], f"have an {flag} other than 0 and 1")
    for annotation in lacking:
        annotation["iscrowd"] = 0
    _count_masks_of_cvat(file)
    for annotation in annotations:
        if not is_object(annotation):
            annotation["iscrowd"] = 1
            annotation.update({"ignore": 1} if metric == "LVIS" else {})


def _count_masks_of_cvat(file):
    """Has masks of CVAT and Datumaro be objects: they write iscrowd 1 for all that are no polygons."""
    crowds = [annotation for annotation in file.content["annotations"] if annotation["iscrowd"]]
    if all(_is_of_cvat(annotation) for annotation in file.content["annotations"]):
        text = "have iscrowd 1, as CVAT and Datumaro give it to all run lengths: they count as objects"
        file.note(crowds, text)
        for annotation in crowds:
            annotation["iscrowd"] = 0


def _is_of_cvat(annotation):
    """Whether an annotation has `attributes` as theirs have, and is a crowd just where it has run lengths."""
    attributes, is_crowd = annotation.get("attributes"), bool(annotation["iscrowd"])
    has_run_lengths = isinstance(annotation.get("segmentation"), dict)
    return isinstance(attributes, dict) and has_run_lengths == is_crowd


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


def leave_out_classes(file, other):
    """Leaves out the classes that `other` lacks and of which `file` has no object."""
    wanted, used = set(names(other.content)), {a["category_id"] for a in file.content["annotations"]}
    others = [c for c in file.content["categories"] if str(c["name"]) not in wanted and c["id"] not in used]
    text = f"have no object, and are no classes of {other.path}: they are left out"
    file.note(others, text, "categories", left_out=True)
    file.content["categories"] = without(file.content["categories"], others)


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
