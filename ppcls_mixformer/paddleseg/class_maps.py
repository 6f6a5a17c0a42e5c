"""The one check of class maps: all of a split, as its data set will read them, before anything is built.

What cannot be trained on or measured is refused in one line, with the count and the first files; files are
never changed.
"""

import logging
import os
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Dict, List, NamedTuple

import cv2
import numpy as np
from PIL import Image
from tqdm import tqdm

from ppcls_mixformer.hosting import pictures
from ppcls_mixformer.hosting.errors import UserError, first_line

logger = logging.getLogger(__name__)

FIRST = 3  # how many files an error names
PATIENCE = 2  # seconds before a progress bar shows
THREADS = min(16, 2 * (os.cpu_count() or 1))  # Pillow decodes beside Python

OPAQUE = 255

MISSING = "are missing or cannot be read"
NO_PICTURES = "are of pictures that are missing or cannot be read"
NO_MAPS = "are no class maps, which hold the number of a class for each pixel"
OTHER_SIZES = "have another size than their pictures"
OTHER_CLASSES = "have numbers that are none of the classes"


class Meaning(NamedTuple):
    """What the numbers in class maps mean to a data set.

    Attributes:
        classes: how many there are.
        first: the number of the first class, 0 or, in ADE20K's layout, 1.
        unlabelled: the number that is no class.
    """

    classes: int
    first: int
    unlabelled: int

    def __str__(self):
        return f"{self.first} to {self.first + self.classes - 1}, and {self.unlabelled} for unlabelled"


class Found(NamedTuple):
    """What the class maps of a split hold; classes count from 0.

    Attributes:
        maps: in how many class maps each class is.
        pixels: how many pixels each class has in all of them.
        first: the place of the first class map that holds a class.
        unlabelled: how many pixels are of no class.
        empty: paths of those that hold no class.
        sizes: `(width, height)` of each.
    """

    maps: Dict[int, int]
    pixels: Dict[int, int]
    first: Dict[int, int]
    unlabelled: int
    empty: List[str]
    sizes: List[Any]


class Wrong(Exception):
    """What is wrong with a class map: one of the kinds above, and what there is to say of this one."""

    def __init__(self, kind, detail):
        super().__init__(kind, detail)
        self.kind, self.detail = kind, detail


def check(pairs, meaning, split):
    """Reads all class maps of a split; logs what is in them, and returns it as `Found`.

    Args:
        pairs: `[picture, class map]` paths.
        meaning: a `Meaning`.
        split: what the log calls them.

    Raises:
        UserError: some cannot be used, or all hold no more than one of several classes.
    """
    wrong, first, empty, sizes = {}, {}, [], []
    maps, pixels = Counter(), Counter()
    for place, ((_, path), result) in enumerate(zip(pairs, _read_all(pairs, meaning))):
        if isinstance(result, Wrong):
            wrong.setdefault(result.kind, []).append(f"{path} ({result.detail})")
            continue
        counts, size = result
        pixels.update(counts)
        maps.update(counts.keys())
        empty += [] if counts.keys() - {meaning.unlabelled} else [path]
        first.update({number: place for number in counts if number not in first})
        sizes.append(size)
    if wrong:
        counts = [f"{len(files)} of {len(pairs)} class maps {kind}" for kind, files in wrong.items()]
        texts = [f"{count}: {named(files)}" for count, files in zip(counts, wrong.values())]
        raise UserError("; ".join(texts) + f" (the numbers are {meaning})" * (OTHER_CLASSES in wrong))
    unlabelled = pixels[meaning.unlabelled]
    classes = sorted(maps.keys() - {meaning.unlabelled})
    by_class = ({n - meaning.first: part[n] for n in classes} for part in (maps, pixels, first))
    found = Found(*by_class, unlabelled, empty, sizes)
    _check_variety(found.maps, unlabelled > 0, meaning, len(pairs))
    held = f"{len(found.maps)} of {meaning.classes} classes in them"
    logger.info("%s: %d class maps, with %s", split, len(pairs), held)
    if empty:
        of = f"{len(empty)} of {len(pairs)}"
        logger.warning("%s: %s class maps are all unlabelled: %s", split, of, named(empty))
    return found


def named(files):
    """The first of some files, as an error or a warning names them."""
    return ", ".join(map(str, files[:FIRST])) + ", …" * (len(files) > FIRST)


def _read_all(pairs, meaning):
    """The result of `_read` for each pair, in their order, or the `Wrong` that it raises."""

    def read(pair):
        try:
            return _read(*pair, meaning)
        except Wrong as error:
            return error

    pool = ThreadPoolExecutor(THREADS)
    try:
        with pictures.strictly():
            results = pool.map(read, pairs)
            return list(
                tqdm(results, "class maps", len(pairs), unit="map", delay=PATIENCE, disable=None, leave=False)
            )
    finally:
        pool.shutdown(cancel_futures=True)  # Ctrl-C does not wait for the rest


def _read(picture, path, meaning):
    """How often each number is in a class map, `{number: pixels}`, and its `(width, height)`.

    All of the numbers mean something.

    Raises:
        Wrong: it cannot be used.
    """
    numbers, size = _numbers_in(path)
    _check_size(picture, size)
    others = sorted(
        number
        for number in numbers
        if number != meaning.unlabelled and not 0 <= number - meaning.first < meaning.classes
    )
    if others:
        raise Wrong(OTHER_CLASSES, ", ".join(map(str, others[:FIRST])) + ", …" * (len(others) > FIRST))
    return numbers, size


def _numbers_in(path):
    """The same of a class map as PaddleSeg, that is Pillow, reads it, whatever the numbers mean."""
    try:
        with Image.open(path) as image:
            if image.format == "JPEG":
                raise Wrong(NO_MAPS, "a JPEG, which changes numbers; save it as PNG")
            if image.mode in ("L", "P"):
                counts = enumerate(image.histogram())
                return {number: count for number, count in counts if count}, image.size
            numbers, counts = np.unique(numbers_of(image), return_counts=True)
            return dict(zip(numbers.tolist(), counts.tolist())), image.size
    except Wrong:
        raise
    except Exception as error:  # Pillow's plugins raise what they like
        raise Wrong(MISSING, (isinstance(error, OSError) and error.strerror) or first_line(error)) from None


def numbers_of(image):
    """The numbers in a class map that Pillow has opened, `[H, W]`.

    One of several channels, such as grey that was saved as colours, is read where these are all the same, and
    floats where they are whole.

    Raises:
        Wrong: it has colours, transparency, or no whole numbers.
    """
    values = np.asarray(image)
    if image.mode == "1":
        return values.astype("uint8")
    if image.mode in ("L", "P") or image.mode.startswith("I"):
        return values
    if image.mode == "F" and (values == np.trunc(values)).all() and np.abs(values).max() < 1 << 31:
        return values.astype("int32")
    if image.mode not in ("LA", "RGB", "RGBA"):
        raise Wrong(NO_MAPS, f"its pixels are {image.mode}; save one number of 8 bits for each")
    if image.mode.endswith("A") and values[..., -1].min() < OPAQUE:
        raise Wrong(NO_MAPS, "it has transparent pixels; save one number of 8 bits for each")
    channels = 3 if image.mode.startswith("RGB") else 1
    if any((values[..., 0] != values[..., channel]).any() for channel in range(1, channels)):
        raise Wrong(NO_MAPS, f"its pixels are {image.mode}, of colours; save one number of 8 bits for each")
    return values[..., 0]


def _check_size(picture, size):
    """Refuses a picture that cannot be read or is not of `size`, as Wrong."""
    try:
        own, stored, _ = pictures.read_size(picture)
        if not cv2.haveImageReader(str(picture)):
            raise pictures.Unreadable(pictures.NO_PICTURE)
    except (ValueError, OSError) as error:  # Unreadable, or a path that no system takes
        why = (isinstance(error, OSError) and error.strerror) or first_line(error)
        raise Wrong(NO_PICTURES, f"{picture}: {why}") from None
    if own != size:
        turned = ", before the turn that its EXIF asks for and readers make" if size == stored else ""
        raise Wrong(OTHER_SIZES, f"{size[0]}×{size[1]}; the picture is {own[0]}×{own[1]}{turned}")


def _check_variety(found, unlabelled, meaning, total):
    """Refuses class maps that together hold no class, or one of several: most often a mask of 0 and 255."""
    if found and (len(found) > 1 or meaning.classes == 1):
        return
    if not found:
        raise UserError(
            f"all {total} class maps are unlabelled: they hold {meaning.unlabelled} alone, "
            f"the numbers are {meaning}"
        )
    held = [str(number + meaning.first) for number in found] + [str(meaning.unlabelled)] * unlabelled
    raise UserError(
        f"all {total} class maps together hold one of {meaning.classes} classes: they hold "
        f"{' and '.join(held)} alone; the numbers are {meaning}, so save maps with the number of each class"
    )
