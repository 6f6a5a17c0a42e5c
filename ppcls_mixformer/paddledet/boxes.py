"""Boxes of persons in the result file of a detector, for networks that find keypoints inside of them.

Such a file is JSON as COCO wants it, a list of `image_id` or `filename`, `category_id`, `bbox` and `score`,
or annotations with scores, of any detector: which pictures and which class it means is looked up, and what is
left out is said.
"""

import functools
import json
import logging
import os
from collections import Counter
from pathlib import Path

from ppcls_mixformer.hosting import pictures
from ppcls_mixformer.hosting.errors import UserError
from ppcls_mixformer.paddledet import annotation_file, annotations
from ppcls_mixformer.paddledet.classes import path_of_annotations

logger = logging.getLogger(__name__)

NAMES = "filename", "file_name"  # what PaddleDetection and others call the name of a picture
OF_PERSONS = "1"  # the id of the class in COCO
OTHER_CLASS, OTHER_PICTURES = "of another class", "in other pictures"


def read(path, key, categories, least_score, picture_of, size_of):
    """The boxes of one class in a file, `{picture: [(x, y, width, height, score), …]}`; says how many.

    Args:
        path: of the file, which `key` names.
        categories: how the id of that class may be spelt, as `annotation_file.spelt` does.
        least_score: a box with a lower score is left out.
        picture_of: of the entry of a box its picture, or None where it is none that is asked for.
        size_of: of a picture its `(width, height)`, or None where that is not known.

    Raises:
        UserError: no such file, another kind of file, or none of its boxes is of the class or the pictures.
    """
    entries = read_entries(path, key)
    left_out, kept, outside = Counter(), {}, 0
    for entry in entries:
        reason = reason_against(entry, categories, least_score)
        picture = None if reason else picture_of(entry)
        if reason or picture is None:
            left_out[reason or OTHER_PICTURES] += 1
        else:
            kept.setdefault(picture, []).append((*entry["bbox"], entry["score"]))
            outside += annotation_file.clip(entry["bbox"], size_of(picture)) != entry["bbox"]
    say(entries, left_out, outside, categories, f"{key}: {path}")
    return kept


def say(entries, left_out, outside, categories, place):
    """Says how many boxes are kept, and why others are not.

    Args:
        entries: all boxes.
        left_out: how many of them are not kept, by the reason.
        outside: how many of those that are kept end outside of their picture.
        place: the file.

    Raises:
        UserError: all are of another class or of other pictures, or most end outside.
    """
    count = len(entries) - sum(left_out.values())
    words = f"{place}: kept {count} of {len(entries)} boxes"
    if left_out[OTHER_CLASS] == len(entries) > 0:
        found = sorted({str(entry["category_id"]) for entry in entries})
        raise UserError(
            f"{words}: none has category {' or '.join(categories)}, they have {', '.join(found[:10])}: say "
            f"which one to keep, such as -o bbox_category={found[0]}"
        )
    reasons = ", ".join(f"{number} are {reason}" for reason, number in left_out.items())
    words += f": {reasons}" if reasons else ""
    if left_out[OTHER_PICTURES] and not count:
        raise UserError(f"{words}; the file names {first_name(entries)} first")
    if 2 * outside > count:
        raise UserError(
            f"{words}; {outside} of these end outside of their picture: are they written as corners? COCO's "
            "are [x, y, width, height]"
        )
    logger.log(logging.INFO if count else logging.WARNING, words)


def reason_against(entry, categories, least_score):
    """Why a box is left out, whatever its picture; None where it is not."""
    if "category_id" in entry and annotation_file.spelt(entry["category_id"]) not in categories:
        return OTHER_CLASS
    if entry["bbox"] is None:
        return "not four numbers of a size above 0"
    return f"of a score below {least_score:g}" if entry["score"] < least_score else None


def first_name(entries):
    """What the first of `entries` calls its picture."""
    return next(entries[0][name] for name in (*NAMES, "image_id") if name in entries[0])


def read_entries(path, key):
    """The entries of a detector's result file, each with a score and a box, None if that has no size."""
    try:
        entries = json.loads(Path(path).read_bytes())
    except OSError as error:
        raise UserError(f"{key}: cannot read {path}: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise UserError(f"{key}: {path} is not JSON: {error}") from None
    if isinstance(entries, dict):
        entries = _in_annotations(entries)
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise UserError(
            f"{key}: {path} is not a detector's result file, a JSON list of image_id or filename, "
            "category_id, bbox and score"
        )
    for place, entry in enumerate(entries):
        lacking = [field for field in ("bbox", "score") if field not in entry]
        lacking += [] if any(name in entry for name in (*NAMES, "image_id")) else ["image_id or filename"]
        if lacking:
            raise UserError(f"{key}: {path}: entry {place} has no {' and no '.join(lacking)}")
        score, box = annotation_file.numbers_in([entry["score"]]), annotation_file.numbers_in(entry["bbox"])
        if score is None:
            raise UserError(f"{key}: {path}: entry {place} has a score that is no number: {entry['score']}")
        entry["score"] = score[0]
        entry["bbox"] = box if box and len(box) == 4 and min(box[2:]) > 0 else None
    return entries


def _in_annotations(content):
    """The results in a file of annotations with scores, as FiftyOne writes it, by its names of pictures."""
    images, entries = content.get("images"), content.get("annotations")
    if not isinstance(images, list) or not isinstance(entries, list):
        return None
    if not all(isinstance(entry, dict) for entry in (*images, *entries)):
        return None
    names = {annotation_file.spelt(image.get("id")): image.get("file_name") for image in images}
    found = ((entry, names.get(annotation_file.spelt(entry.get("image_id")))) for entry in entries)
    return [{**entry, NAMES[1]: name} if name else entry for entry, name in found]


def name_in(entry):
    """The name of the picture of an entry; None where it has an id alone."""
    return next((entry[name].replace("\\", "/") for name in NAMES if isinstance(entry.get(name), str)), None)


def categories_of(config, file):
    """How the class of the keypoints may be spelt: as the config's `bbox_category`, or its ids in `file`."""
    chosen = config.get("bbox_category")
    if chosen is not None:
        return [annotation_file.spelt(chosen)]
    if file is None:
        return [OF_PERSONS]
    number = file.content["categories"][0]["id"]
    return [text for text, known in file.numbers["categories"].items() if known == number]


def find_by_name(names):
    """A function that finds a path in `names`, `{path: picture}`, if need be by its last part."""
    last_parts = Counter(name.rsplit("/", 1)[-1] for name in names)
    short = {name.rsplit("/", 1)[-1]: picture for name, picture in names.items()}

    def find(name):
        last = name.rsplit("/", 1)[-1]
        return names[name] if name in names else short.get(last) if last_parts[last] == 1 else None

    return find


def for_evaluation(file, options, path, config):
    """Reads the boxes on which a data set is evaluated, and keeps them for `held`.

    Args:
        file: its `Annotations`.
        options: its arguments.
        path: of its `bbox_file`.

    Raises:
        UserError: as `read`; none are kept.
    """
    key = file.key.replace("anno_path", "bbox_file")
    images, known = {image["id"]: image for image in file.content["images"]}, file.numbers["images"]
    named = find_by_name({image["file_name"].replace("\\", "/"): i for i, image in images.items()})

    def picture_of(entry):
        name, spelt = name_in(entry), annotation_file.spelt(entry.get("image_id"))
        number = named(name or spelt) if name or spelt not in known else known[spelt]
        return number if number in images else None

    def size_of(number):
        return annotation_file.size_in(images[number])

    least_score = options.get("image_thre") or 0.0
    kept = read(path, key, categories_of(config, file), least_score, picture_of, size_of)
    if not kept:
        raise UserError(f"{key}: {path}: no box is kept, so there is nothing to evaluate")
    _held[os.path.realpath(path)] = [
        {
            "image_id": number,
            "filename": images[number]["file_name"],
            "category_id": int(OF_PERSONS),
            "bbox": list(box),
            "score": score,
        }
        for number, boxes in kept.items()
        for *box, score in boxes
    ]


_held = {}


def held(path):
    """What `for_evaluation` keeps of the file at `path`, as PaddleDetection reads it; None if nothing."""
    return _held.get(os.path.realpath(path))


def for_drawing(path, paths, file, config, least_score):
    """The boxes in which keypoints are drawn, `{path of a picture: [(x, y, width, height, score), …]}`.

    A picture is found by its name, with or without the ending; or by the id that the annotations of the
    config give it; or by a name that is the id, such as 000000000139.jpg for 139.

    Args:
        path: of the file of boxes.
        paths: of the pictures.
        file: of the classes, None where there is none.
        least_score: a box with a lower score is left out.
    """
    names = {Path(picture).name: picture for picture in paths}
    stems = {Path(picture).stem: picture for picture in paths}
    numbers = {}

    def picture_of(entry):
        name = name_in(entry)
        if name is None and not numbers:
            numbers.update(
                (annotation_file.spelt(part), picture) for part, picture in {**stems, **names}.items()
            )
            numbers.update(ids_of(config, names))
        if name is None:
            return numbers.get(annotation_file.spelt(entry.get("image_id")))
        last = name.rsplit("/", 1)[-1]
        return names.get(last) or stems.get(Path(last).stem)

    return read(path, "--bbox_file", categories_of(config, file), least_score, picture_of, size_of)


@functools.lru_cache(maxsize=None)
def size_of(path):
    """`(width, height)` of a picture file; None where it cannot be read, which is said later."""
    try:
        return pictures.read_size(path)[0]
    except (pictures.Unreadable, OSError):
        return None


def ids_of(config, names):
    """The pictures in `names`, `{name: path}`, that annotations know: `{id as it is spelt: path}`."""
    for split in ("TestDataset", "EvalDataset"):
        path = path_of_annotations(config, split)
        if path.endswith(".json") and Path(path).is_file():
            return annotations.ids_of_pictures(path, f"{split}.anno_path", names)
    return {}
