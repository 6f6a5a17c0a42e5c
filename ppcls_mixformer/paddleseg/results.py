"""What `predict` writes: of each picture its classes, alone and over the picture, and a legend beside all."""

import csv
import os
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ppcls_mixformer.hosting import drawn
from ppcls_mixformer.hosting.whole import whole_file

MAPS, MIXED = "pseudo_color_prediction", "added_prediction"  # PaddleSeg's folders
SHARE = 0.6  # of the picture where its classes lie over it, as in PaddleSeg
ROW, PATCH, MARGIN = 24, 40, 8  # pixels of the legend
ROWS = 30  # of a column of it


def names_of(pictures, root):
    """Below MAPS and below MIXED, a file for each picture, no two alike: `x/a.png`, `x/a.jpg` for `x/a.jpg`.

    Where `a.jpg` and `a.png` stand side by side, their maps are `a.jpg.png` and `a.png.png`. Those of a
    picture outside of `root` have its whole path.

    Args:
        pictures: their paths, all different.
        root: a folder; None for a single picture.

    Returns:
        A list of pairs of relative paths.
    """
    inside = [_below(path, root) for path in pictures]
    stems = [os.path.splitext(name)[0] for name in inside]
    counts = Counter(map(str.casefold, stems))  # as on disks that know no case
    pairs = zip(inside, stems)
    maps = [f"{stem if counts[stem.casefold()] == 1 else name}.png" for name, stem in pairs]
    mixed = [name if cv2.haveImageWriter(name) else f"{name}.png" for name in inside]
    return list(zip(_distinct(maps), _distinct(mixed)))


def _distinct(names):
    """`names`, those that were there before with a number."""
    taken, found = set(), []
    for name in names:
        (stem, ending), number, free = os.path.splitext(name), 1, name
        while free.casefold() in taken:
            number += 1
            free = f"{stem}-{number}{ending}"
        taken.add(free.casefold())
        found.append(free)
    return found


def _below(path, root):
    """A path relative to `root`, or, outside of it, to the root of the disk."""
    if root is None:
        return os.path.basename(path)
    relative = os.path.relpath(path, root)
    if relative.split(os.sep)[0] != os.pardir:
        return relative
    whole = os.path.abspath(path)
    return os.path.relpath(whole, Path(whole).anchor)


def write(folder, names, picture, classes, colors):
    """Writes the results of one picture, each file whole or not at all.

    Args:
        folder: in which MAPS and MIXED are.
        names: of the files there, see `names_of`.
        picture: BGR, uint8 `[H, W, 3]`.
        classes: the number of each pixel's class, below 256, `[H, W]`.
        colors: of the classes, see `classes.palette`.
    """
    colors = np.array(colors, "uint8")
    image = Image.fromarray(classes.astype("uint8"))
    image.putpalette(colors.tobytes())  # its pixels stay the numbers
    save(image, Path(folder, MAPS, names[0]))
    over = np.ascontiguousarray(colors[classes][:, :, ::-1])
    mixed, path = cv2.addWeighted(picture, SHARE, over, 1 - SHARE, 0), Path(folder, MIXED, names[1])
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as part:
        part.write_bytes(cv2.imencode(path.suffix, mixed)[1].tobytes())


def write_legend(folder, names, colors):
    """Writes `legend.png` and `legend.csv`: number, name and colour of each class.

    Args:
        names: of the classes, in order.
    """
    table = [(number, name, *color) for number, (name, color) in enumerate(zip(names, colors))]
    Path(folder).mkdir(parents=True, exist_ok=True)
    with whole_file(Path(folder, "legend.csv")) as part:
        with open(part, "w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([("class", "name", "red", "green", "blue"), *table])
    save(legend(table), Path(folder, "legend.png"))


def legend(table):
    """A picture of rows `(number, name, red, green, blue)`, in columns."""
    font = ImageFont.load_default()
    texts = [f"{number}  {name}" for number, name, *_ in table]
    texts = [text.encode("latin-1", "replace").decode("latin-1") for text in texts]  # all that the font has
    width = int(max(font.getbbox(text)[2] for text in texts)) + PATCH + 3 * MARGIN
    size = width * -(-len(table) // ROWS), ROW * min(len(table), ROWS) + MARGIN
    image = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(image)
    for place, (text, (_, _, *color)) in enumerate(zip(texts, table)):
        left, top = MARGIN + place // ROWS * width, MARGIN + place % ROWS * ROW
        draw.rectangle((left, top, left + PATCH, top + ROW - MARGIN), tuple(color), "black")
        draw.text((left + PATCH + MARGIN, top + 2), text, "black", font)
    return image


def save(image, path):
    """Saves a picture of Pillow, whole or not at all, and makes the folders that it needs."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as part:
        drawn.save(image, part)
