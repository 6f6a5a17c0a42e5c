"""Boxes of annotations: four numbers, upright, of a size above 0 and inside of their pictures."""

import math

from ppcls_mixformer.paddledet.annotation_file import clip, leave_out, numbers_in, size_in


def set_upright(file):
    """Has a box that CVAT has turned, whose sides are not upright, be the upright one around it."""
    turned = []
    for annotation in file.content["annotations"]:
        attributes = annotation.get("attributes")
        angle = numbers_in([attributes.get("rotation")]) if isinstance(attributes, dict) else None
        if angle and angle[0] % 360 and not annotation.get("segmentation"):
            box = numbers_in(annotation.get("bbox"))
            if box and len(box) == 4:
                annotation["bbox"] = upright(box, math.radians(angle[0]))
                turned.append(annotation)
    file.note(turned, "have a box that is turned (`rotation` of CVAT): the upright one around it is taken")


def repair_boxes(file):
    """Has every box be four numbers, of a size above 0 and inside its picture where that says its size."""
    sizes = {image["id"]: size_in(image) for image in file.content["images"]}
    broken, empty, outside, clipped, corners = [], [], [], [], []
    largest = 0
    for annotation in file.content["annotations"]:
        box = numbers_in(annotation.get("bbox"))
        if box is None or len(box) != 4:
            broken.append(annotation)
        elif round(min(box[2:]), 3) <= 0:  # PaddleDetection rounds so
            empty.append(annotation)
        else:
            largest = max(largest, *box)
            corners += [annotation] if _has_area_of_corners(annotation, box) else []
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
    elif 2 * len(corners) > total:
        file.refuse_any(
            corners, "have the area of a box that is written as corners: COCO's are [x, y, width, height]"
        )
    file.note(broken, "have no box of four finite numbers, and are left out", left_out=True)
    file.note(empty, "have a box whose width or height is not above 0, and are left out", left_out=True)
    file.note(outside, "have a box outside of the picture, and are left out", left_out=True)
    file.note(clipped, "have a box that sticks out of the picture, and is clipped")
    leave_out(file, [*broken, *empty, *outside])


def _has_area_of_corners(annotation, box):
    """Whether the area of an annotation is that of its box if the last two numbers are the far corner."""
    left, top, right, bottom = box
    (area,) = numbers_in([annotation.get("area")]) or [0]
    if not (right > left and bottom > top and area > 1):
        return False
    as_corners, as_sides = (right - left) * (bottom - top), right * bottom
    return abs(area - as_corners) <= 0.01 * area < abs(area - as_sides)


def upright(box, angle):
    """The upright box around `[x, y, width, height]` that is turned around its centre, by radians."""
    x, y, width, height = box
    along, across = abs(math.cos(angle)), abs(math.sin(angle))
    wide, high = width * along + height * across, width * across + height * along
    return [x + (width - wide) / 2, y + (height - high) / 2, wide, high]
