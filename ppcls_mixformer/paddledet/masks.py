"""Masks of annotations: polygons, and run-length encodings of both kinds."""

import itertools

import cv2
import numpy as np
from pycocotools import mask as masks

from ppcls_mixformer.paddledet.annotation_file import (
    FARTHEST,
    TOLERANCE,
    is_object,
    numbers_in,
    size_in,
    whole_number,
)

LONGEST_NUMBER = 7  # characters of a number in a compressed mask: 35 bits
LARGER = 1.05  # than its box no area is, give or take a pixel on each side
# What `repair_masks` says of polygons.
FLAT = "have one polygon without a list around it, which is added"
POINTS = "have polygons of points [x, y], which are read as [x, y, x, y, …]"


def add_boxes_of_masks(file):
    """Has an object without a box have that of its mask."""
    lacking = [annotation for annotation in file.content["annotations"] if not annotation.get("bbox")]
    sizes = {image["id"]: size_in(image) for image in file.content["images"]} if lacking else {}
    found = []
    for annotation in lacking:
        mask = mask_in(annotation.get("segmentation"), sizes[annotation["image_id"]])
        if mask:
            annotation["bbox"] = box_of(mask)
            found.append(annotation)
    file.note(found, "have no box: that of their mask is taken")


def mask_in(found, size):
    """The mask in a `segmentation`, polygons or a run-length encoding of `size`; None where it is none."""
    if isinstance(found, dict):
        mask = _in_whole_numbers(found)
        return mask if is_rle(mask, size) else None
    polygons, _ = polygons_in(found)
    return [polygon for polygon in map(numbers_in, polygons) if is_polygon(polygon)] or None


def polygons_in(found):
    """What may be polygons in a `segmentation`, `[x, y, x, y, …]` each, and what is said of their form."""
    if not isinstance(found, list) or not found:
        return [], None
    if not isinstance(found[0], list):
        return [found], FLAT
    if _are_points(found):
        return [_joined(found)], POINTS
    if any(map(_are_points, found)):
        return [_joined(polygon) if _are_points(polygon) else polygon for polygon in found], POINTS
    return found, None


def _are_points(values):
    """Whether a value is a list of at least three points, `[x, y]`."""
    return (
        isinstance(values, list)
        and len(values) >= 3
        and all(isinstance(point, list) and len(point) == 2 for point in values)
    )


def _joined(points):
    return list(itertools.chain(*points))


def repair_masks(file):
    """Has every object's mask be polygons of at least three corners, or RLE of the picture's size.

    It has pixels, some of them in the object's box. An object without a mask becomes a crowd: training
    leaves it out, and evaluation takes what is found there neither for right nor for wrong.
    """
    sizes = {image["id"]: size_in(image) for image in file.content["images"]}
    short, without, elsewhere, spelt_otherwise, respelt = [], [], [], [], {FLAT: [], POINTS: []}
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
            polygons, way = polygons_in(found)
            if way:
                respelt[way].append(annotation)
            mask = [polygon for polygon in map(numbers_in, polygons) if is_polygon(polygon)]
            largest = max(largest, *map(max, mask), 0)
            if mask and not any(is_in_box(polygon, annotation["bbox"]) for polygon in mask):
                elsewhere.append(annotation)
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
    refuse_boxes_elsewhere(file, elsewhere)
    file.note(spelt_otherwise, 'have run lengths or a size such as 12.0 or "12", which are read as 12')
    for way, annotations in respelt.items():
        file.note(annotations, way)
    file.note(short, "have polygons of fewer than three corners beside others, which are left out")
    file.note(
        without,
        "have no mask that can be read, or one without pixels in the box, and count neither in training nor "
        "in evaluation",
    )


def refuse_boxes_elsewhere(file, elsewhere=()):
    """Refuses boxes most of which are not those of their masks, such as boxes written as corners.

    Args:
        elsewhere: annotations whose masks are known to be somewhere else.
    """
    masked = [a for a in file.content["annotations"] if a.get("segmentation") and is_object(a)]
    pairs = [(annotation, box_of(annotation["segmentation"])) for annotation in masked]
    corners = [a for a, (x, y, width, height) in pairs if is_as_corners(a["bbox"], (x + width, y + height))]
    if 2 * len(corners) > len(masked):
        file.refuse_any(
            corners,
            "have a box that ends in the far corner of their mask: COCO's are [x, y, width, height]",
        )
        file.refuse_these()
    apart = [*elsewhere, *(a for a, box in pairs if share_inside(box, a["bbox"]) < 0.5)]
    if 2 * len(apart) > len(masked) + len(elsewhere):
        file.refuse_any(
            apart,
            "have a mask most of which is outside of their box: COCO's boxes are [x, y, width, height] from "
            "the left upper corner, polygons [x, y, x, y, …], and run lengths go down the columns",
        )
        file.refuse_these()


def share_inside(box, other):
    """Which part of a box, `[x, y, width, height]`, is inside of another one, 0 to 1."""
    starts = [max(box[side], other[side]) for side in (0, 1)]
    ends = [min(box[side] + box[side + 2], other[side] + other[side + 2]) for side in (0, 1)]
    shared = max(0, ends[0] - starts[0]) * max(0, ends[1] - starts[1])
    return shared / (box[2] * box[3]) if shared else 0.0


def is_as_corners(box, corner):
    """Whether the last two numbers of a box, and not their sums with the first, are a far corner `(x, y)`."""
    x, y, width, height = box
    right, bottom = corner
    is_right = max(abs(x + width - right), abs(y + height - bottom)) <= TOLERANCE
    return not is_right and max(abs(width - right), abs(height - bottom)) <= TOLERANCE


def box_of(mask):
    """The box of a mask, `[x, y, width, height]`."""
    if isinstance(mask, dict):
        return masks.toBbox(compressed(mask)).tolist()
    left, top = (min(min(polygon[side::2]) for polygon in mask) for side in (0, 1))
    right, bottom = (max(max(polygon[side::2]) for polygon in mask) for side in (0, 1))
    return [left, top, right - left, bottom - top]


def keep_readable_masks(file):
    """Takes away masks that cannot be read, where none are learned: pycocotools crashes on some of them."""
    sizes = {image["id"]: size_in(image) for image in file.content["images"]}
    for annotation in file.content["annotations"]:
        mask = mask_in(annotation.pop("segmentation", None), sizes[annotation["image_id"]])
        if mask:
            annotation["segmentation"] = mask
    refuse_boxes_elsewhere(file)


def is_polygon(numbers):
    """Whether a list of `x, y, x, y, …` has at least three corners, none farther than FARTHEST.

    pycocotools holds every pixel of an outline, and crashes where it cannot.
    """
    return (
        numbers is not None
        and len(numbers) >= 6
        and len(numbers) % 2 == 0
        and -FARTHEST < min(numbers)
        and max(numbers) < FARTHEST
    )


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
    if all(set(map(type, numbers)) <= {int} for numbers in lists.values()):
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
        if not set(map(type, counts)) <= {int}:
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
    """A mask as polygons, `[[x, y, …], …]`; of a run-length encoding the outlines.

    That of a part with holes goes from its first corner around each hole and back, by the same way, so that
    what fills it by counting edges, as pycocotools and all that draw polygons do, leaves the holes.
    """
    if not isinstance(mask, dict):
        return mask
    pixels = masks.decode(compressed(mask)).repeat(2, 0).repeat(2, 1)  # outlines are within half a pixel
    outlines, tree = cv2.findContours(pixels, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    points = [(outline.reshape([-1, 2]) + 0.5) / 2 for outline in outlines]
    parents = [parent for *_, parent in tree[0]] if outlines else []
    ways = {place: [ring] for place, (ring, parent) in enumerate(zip(points, parents)) if parent < 0}
    for hole, parent in zip(points, parents):
        if parent >= 0:
            first = points[parent][:1]
            ways[parent] += [first, hole, hole[:1], first]
    return [np.concatenate(way).reshape(-1).tolist() for way in ways.values()]


def complete_areas(file):
    """Has every annotation have an area, no larger than its box: that of its mask, or else of its box."""
    sizes = {image["id"]: size_in(image) for image in file.content["images"]}
    given = [numbers_in([annotation.get("area")]) or [0] for annotation in file.content["annotations"]]
    least = 1 if [0] < max(given, default=[0]) <= [1] else 0  # shares of the picture, or 1 for all
    lacking, beyond = [], []
    for annotation, (area,) in zip(file.content["annotations"], given):
        is_beyond = area > LARGER * (annotation["bbox"][2] + 1) * (annotation["bbox"][3] + 1)
        if area <= least or is_beyond:
            (beyond if is_beyond else lacking).append(annotation)
            area = area_of(annotation, sizes[annotation["image_id"]])
        annotation["area"] = area
    file.note(lacking, f"have no area above {least}: it is computed")
    file.note(beyond, "have an area larger than their box, such as that of another size: it is computed")


def area_of(annotation, size):
    """The area of an annotation's mask, or of its box where it has none or `size`, `(w, h)`, is None."""
    mask, (_, _, width, height) = annotation.get("segmentation"), annotation["bbox"]
    if isinstance(mask, dict):
        area = float(masks.area(compressed(mask)))
    elif mask and size:
        area = float(masks.area(masks.merge(masks.frPyObjects(mask, size[1], size[0]))))
    else:
        area = 0.0
    return area or float(width * height)
