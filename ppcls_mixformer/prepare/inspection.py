"""Every picture is opened, as the trainer does, and what is odd about it is noted."""

import hashlib
import io
import os
import warnings
from concurrent.futures import ThreadPoolExecutor
from typing import FrozenSet, NamedTuple, Optional, Tuple

import numpy as np
from PIL import Image
from tqdm import tqdm

from ppcls_mixformer.hosting.errors import first_line
from ppcls_mixformer.hosting.pictures import ORIENTATION, Unreadable, decode
from ppcls_mixformer.predict.sources import Source
from ppcls_mixformer.prepare import overheard

TINY = 32  # pixels of the shorter side, below which the network's last map is less than one cell
HUGE = 20_000_000  # pixels; a larger picture takes long to read, in each epoch anew
STRIDE = 16  # of the pixels that are compared first
BITS = 258  # the tag of TIFF
EMPTY = "the file is empty"
DAMAGED = b"Corrupt JPEG data"  # how libjpeg's warnings start, which name no file
TOGETHER = 256  # pictures of which one may have been warned of

# What may be odd about a picture that is used, and what the trainer makes of it.
ODD = {
    "grey": "no colours; taken as three equal channels",
    "cmyk": "colours of a printer; converted",
    "sixteen_bits": "16 bits a channel; the high 8 are used",
    "transparent": "with transparency; dropped",
    "rotated": "turned by EXIF; turned back",
    "animated": "several frames; the first is used",
    "damaged": "JPEGs that lack a part, or hold what is none; they may be grey or shifted from there on",
    "tiny": f"a side below {TINY} pixels",
    "huge": f"more than {HUGE // 1_000_000} million pixels; slow to read in each epoch",
    "blank": "all of one colour",
    "duplicates": "exact copies of others of their split; kept",
}


class Look(NamedTuple):
    """What a picture is like.

    Attributes:
        reason: why it cannot be used; None where it can.
        odd: keys of ODD.
        size: width and height as the trainer sees it.
        pixels: a digest of its pixels and size, equal for exact duplicates, whatever their files.
    """

    reason: Optional[str]
    odd: FrozenSet[str] = frozenset()
    size: Optional[Tuple[int, int]] = None
    pixels: Optional[bytes] = None


def look_at_all(paths, workers=None):
    """A `Look` at each of `paths`, in their order, with a progress bar.

    Args:
        workers: threads; None for one on each core. Decoding and hashing release Python's lock.
    """
    pool = ThreadPoolExecutor(workers or os.cpu_count() or 1)
    try:
        with warnings.catch_warnings(), overheard.error_output() as (terminal, heard):
            warnings.simplefilter("ignore")  # of Pillow: large ones are counted, damaged EXIF is no matter
            bar = {"desc": "looking at pictures", "unit": "", "disable": None, "file": terminal}
            with tqdm(total=len(paths), **bar) as progress:
                return [
                    look
                    for start in range(0, len(paths), TOGETHER)
                    for look in _look_at_some(paths[start : start + TOGETHER], pool, heard, progress)
                ]
    finally:
        pool.shutdown(wait=True, cancel_futures=True)  # those that wait, where it was interrupted


def _look_at_some(paths, pool, heard, progress):
    """A `Look` at each of some pictures, one after the other where one of them is damaged."""
    looks = []
    for look in pool.map(look_at, paths):
        looks.append(look)
        progress.update()
    if DAMAGED not in heard():
        return looks
    return [_look_at_one(path, heard) if look.reason is None else look for path, look in zip(paths, looks)]


def _look_at_one(path, heard):
    heard()
    look = look_at(path)
    return look._replace(odd=look.odd | {"damaged"}) if DAMAGED in heard() else look


def look_at(path):
    """The `Look` at one picture file."""
    try:
        data = Source(os.fspath(path)).data()
    except OSError as error:
        return Look(error.strerror or first_line(error))
    except Unreadable as error:
        return Look(str(error))
    if not data:
        return Look(EMPTY)
    try:
        pixels = decode(data)
    except Exception as error:  # of OpenCV and of Pillow's plugins, which raise what they like
        return Look(first_line(error))
    height, width = pixels.shape[:2]
    digest = hashlib.blake2b(np.ascontiguousarray(pixels).data, digest_size=16)
    digest.update(f"{height} {width}".encode())
    return Look(None, frozenset(_odd_file(data) | _odd_pixels(pixels)), (width, height), digest.digest())


def _odd_file(data):
    """What is odd about how a picture is stored."""
    try:
        with Image.open(io.BytesIO(data)) as picture:
            has_alpha = picture.mode in ("LA", "PA", "RGBA", "RGBa", "La") or "transparency" in picture.info
            found = {
                "cmyk": picture.mode == "CMYK",
                "sixteen_bits": _bits(picture, data) == 16,
                "transparent": has_alpha,
                "rotated": picture.getexif().get(ORIENTATION, 1) in range(2, 9),
                "animated": getattr(picture, "is_animated", False),
            }
    except Exception:  # OpenCV has read it
        return set()
    return {key for key, is_so in found.items() if is_so}


def _bits(picture, data):
    """Bits of one channel."""
    if picture.format == "PNG":
        return data[24]  # Pillow opens colours of 16 bits as of 8
    if picture.format == "TIFF":
        bits = picture.tag_v2.get(BITS, 8)
        return max(bits) if isinstance(bits, tuple) else bits
    return 16 if picture.mode.startswith("I;16") else 8


def _odd_pixels(pixels):
    """What is odd about the pixels of a picture, RGB `[H, W, 3]`."""
    height, width = pixels.shape[:2]
    found = {
        "grey": _holds(pixels, lambda part: (part == part[:, :, :1]).all()),
        "tiny": min(height, width) < TINY,
        "huge": height * width > HUGE,
        "blank": _holds(pixels, lambda part: (part == pixels[0, 0]).all()),
    }
    return {key for key, is_so in found.items() if is_so}


def _holds(pixels, condition):
    """Whether a condition holds for all pixels; mostly a few of them say that it does not."""
    return condition(pixels[::STRIDE, ::STRIDE]) and condition(pixels)
