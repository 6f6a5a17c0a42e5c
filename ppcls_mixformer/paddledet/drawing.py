"""Objects drawn into pictures, as annotations have them: masks, skeletons, boxes and names of classes."""

import colorsys

import cv2
import numpy as np
from PIL import Image, ImageDraw

from ppcls_mixformer.paddledet.annotation_file import is_object
from ppcls_mixformer.paddledet.joints import side_of
from ppcls_mixformer.paddledet.masks import as_polygons, is_polygon

YELLOW, ORANGE, BLUE = (255, 230, 0), (255, 120, 0), (0, 120, 255)  # RGB
GREY = (150, 150, 150)  # of crowds and of what is to be ignored
GOLDEN = 0.618  # of the circle of hues lies between two classes, so that no two near ones look alike
OPACITY = 90  # of masks, of 255
FAR = 10_000  # pixels outside of a picture, beyond which places have no numbers that can be drawn


def draw_objects(picture, scale, entries, classes, joints, text):
    """A small picture with the objects of its annotations, each class in a colour of its own.

    Args:
        picture: of Pillow, RGB.
        scale: how much smaller it is than the picture that the annotations are of.
        entries: the annotations, as `annotations.read` leaves them.
        classes: `{id: (number, name)}` of the classes.
        joints: a `joints.Joints`; None where there are no keypoints.
        text: a `charts.Text`.
    """
    colors = [color_of_class(classes[e["category_id"]][0]) if is_object(e) else GREY for e in entries]
    over = Image.new("RGBA", picture.size)
    pen = ImageDraw.Draw(over)
    for entry, color in zip(entries, colors):
        for polygon in polygons_of(entry):
            places = np.clip(np.array(polygon, "float64") * scale, -FAR, FAR).tolist()
            pen.polygon(places, fill=(*color, OPACITY), outline=(*color, 255))
    picture = Image.alpha_composite(picture.convert("RGBA"), over).convert("RGB")
    if joints:
        pixels = np.array(picture)
        for entry in entries:
            keypoints = np.array(entry["keypoints"], "float64").reshape([-1, 3])
            draw_skeleton(pixels, np.clip(keypoints * [scale, scale, 1], -FAR, FAR), joints, 0.5)
        picture = Image.fromarray(pixels)
    pen = ImageDraw.Draw(picture)
    for entry, color in zip(entries, colors):
        name = classes[entry["category_id"]][1]
        _draw_box(pen, [value * scale for value in entry["bbox"]], name, color, text)
    return picture


def color_of_class(number):
    """RGB of a class, by its place among the classes."""
    return tuple(round(255 * part) for part in colorsys.hsv_to_rgb(number * GOLDEN % 1, 0.75, 0.95))


def polygons_of(annotation):
    """The polygons of an annotation's mask, `[x, y, …]` each; none where it has no mask."""
    return list(filter(is_polygon, as_polygons(annotation.get("segmentation", []))))


def _draw_box(pen, box, name, color, text):
    left, top, width, height = box
    pen.rectangle((left, top, left + max(width, 1), top + max(height, 1)), outline=color, width=2)
    above = max(0, top - 15)
    pen.rectangle((left, above, left + text.width(name) + 5, above + 15), fill=color)
    text.write(pen, (left + 3, above), name, fill=ink_on(color))


def ink_on(color):
    """RGB of letters on a colour: white on dark ones, black on bright ones."""
    red, green, blue = color
    return (255, 255, 255) if 0.3 * red + 0.59 * green + 0.11 * blue < 150 else (0, 0, 0)


def draw_skeleton(image, keypoints, joints, threshold):
    """Draws a skeleton into `image`: left side orange, right side blue, as seen by the person.

    Args:
        image: RGB, `uint8` `[H, W, 3]`.
        keypoints: x, y and score of each joint, `[K, 3]`.
        joints: a `joints.Joints`.
        threshold: joints with a lower score are not drawn.
    """
    points = [tuple(int(round(v)) for v in point[:2]) for point in keypoints]
    drawn = [point[2] >= threshold for point in keypoints]
    colors = [color_of_joint(name) for name in joints.names]
    width = max(1, min(image.shape[:2]) // 100)
    for first, second in joints.edges:
        if drawn[first] and drawn[second]:
            cv2.line(image, points[first], points[second], colors[second], width, cv2.LINE_AA)
    for index, point in enumerate(points):
        if drawn[index]:
            cv2.circle(image, point, width + 1, colors[index], -1, cv2.LINE_AA)


def color_of_joint(name):
    """RGB of a joint, by its side; one that has no side is yellow."""
    return {"left": ORANGE, "right": BLUE}.get(side_of(name), YELLOW)
