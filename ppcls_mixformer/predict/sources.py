"""Where pictures come from: files, folders, addresses, arrays, Pillow; each is read when its turn comes."""

import http.client
import logging
import os
import string
import time
import urllib.error
from pathlib import Path
from typing import Any, NamedTuple, Optional
from urllib.parse import quote

import numpy as np
from PIL import Image

from ppcls_mixformer.hosting.errors import UserError, first_line
from ppcls_mixformer.hosting.pictures import Unreadable, decode, to_rgb
from ppcls_mixformer.hosting.web import open_within

logger = logging.getLogger(__name__)

SUFFIXES = (".jpg", ".jpeg", ".jfif", ".png", ".bmp", ".webp", ".tif", ".tiff", ".gif")
OTHER_SUFFIXES = (".heic", ".heif", ".avif", ".jxl", ".dng", ".cr2", ".nef", ".arw")  # photographs too
SCHEMES = ("http://", "https://")
TIMEOUT = 10  # seconds, for an answer and for the whole picture each
SIZE = 64 << 20  # bytes of a picture from an address


class Source(NamedTuple):
    """One picture.

    Attributes:
        name: its path or address; None where it has none.
        content: None, or what is given instead of a file: an array or a picture of Pillow.
    """

    name: Optional[str]
    content: Any = None

    def data(self):
        """The bytes of its file.

        Raises:
            OSError: it cannot be read.
        """
        if self.name.startswith(SCHEMES):
            return fetch(self.name)
        if os.path.isdir(self.name):
            os.listdir(self.name)  # says why it cannot be entered
        if os.path.exists(self.name) and not os.path.isfile(self.name):
            raise Unreadable("it is no file")  # and a pipe might never answer
        return Path(self.name).read_bytes()

    def rgb(self):
        """The picture, RGB, `uint8` `[H, W, 3]`.

        Raises:
            OSError, Unreadable: it cannot be read.
            UserError: an array of a kind that may mean several things.
        """
        if self.content is None:
            return decode(self.data())
        return to_rgb(self.content) if isinstance(self.content, Image.Image) else of_array(self.content)


def find(place):
    """The pictures in the file, the folder and all below it, or at the address `place`, as sources.

    Links to folders are followed; one that cannot be entered is a source that fails in its turn. Files
    of a folder whose names are not those of pictures are skipped, and counted in a message.

    Raises:
        UserError: there is no such file, or a folder holds no pictures.
    """
    place = os.fspath(place)
    if place.startswith(SCHEMES) or os.path.isfile(place):
        return [Source(place)]
    if not os.path.isdir(place):
        raise UserError(f"there is no file or folder {place}")
    paths, skipped = [], []
    for folder, names in _walk(place, paths):
        for name in names:
            is_picture = name.lower().endswith(SUFFIXES) and not name.startswith(".")
            (paths if is_picture else skipped).append(os.path.join(folder, name))
    unread = [path for path in skipped if path.lower().endswith(OTHER_SUFFIXES)]
    photographs = [path for path in unread if not os.path.basename(path).startswith(".")]
    if photographs:
        logger.warning(
            "%s: %d pictures in formats that are not read, such as %s: save them as JPEG or PNG",
            *(place, len(photographs), min(photographs)),
        )
    if skipped:
        logger.info("%s: %d other files skipped, such as %s", place, len(skipped), min(skipped))
    if not paths:
        raise UserError(f"{place} holds no pictures; they end in {', '.join(SUFFIXES)}")
    return [Source(path) for path in sorted(paths)]


def _walk(place, failed):
    """Yields each folder from `place` on and the names of its files, and adds to `failed` what has none."""
    seen = {os.path.realpath(place)}
    walked = os.walk(place, onerror=lambda error: failed.append(error.filename), followlinks=True)
    for folder, folders, names in walked:
        yield folder, names
        found = {name: os.path.realpath(os.path.join(folder, name)) for name in folders}
        links_last = sorted(folders, key=lambda name: (os.path.islink(os.path.join(folder, name)), name))
        folders[:] = []
        for name in links_last:
            if found[name] not in seen:  # a link may lead to where it lies
                seen.add(found[name])
                folders.append(name)


def find_listed(place):
    """As `find`, for one of many: a file that is not there is a source too, and fails alone in its turn."""
    place = os.fspath(place)
    return find(place) if os.path.isdir(place) else [Source(place)]


def of_array(array):
    """An array `uint8` of RGB `[H, W, 3]`, RGBA or grey as RGB; the transparency is dropped, as of a file.

    Raises:
        UserError: another type or shape, whose range or order nobody knows.
    """
    if array.dtype != np.uint8:
        raise UserError(
            f"an array of {array.dtype}; pictures are RGB in uint8, 0 to 255, such as "
            "(array * 255).round().astype('uint8') of floats from 0 to 1"
        )
    if array.ndim == 2:
        array = array[:, :, None]
    if array.ndim != 3 or array.shape[2] not in (1, 3, 4) or not array.size:
        raise UserError(f"an array of shape {list(array.shape)}; pictures are [H, W, 3], RGB, channels last")
    return np.repeat(array, 3, axis=2) if array.shape[2] == 1 else np.ascontiguousarray(array[:, :, :3])


def fetch(address):
    """The bytes at an address, within seconds.

    Raises:
        Unreadable: no answer, one that is too slow or too large, or a refusal.
    """
    try:
        with open_within(quote(address, safe=string.punctuation), TIMEOUT) as response:
            return _body(response)
    except Unreadable:
        raise
    except urllib.error.HTTPError as error:
        raise Unreadable(f"the server answers {error.code} {first_line(error.reason)}") from None
    except urllib.error.URLError as error:
        raise Unreadable(f"no answer: {error.reason}") from None
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise Unreadable(f"no answer: {first_line(error)}") from None


def _body(response):
    end, chunks, size = time.monotonic() + TIMEOUT, [], 0
    while chunk := response.read1(1 << 16):
        chunks.append(chunk)
        size += len(chunk)
        if size > SIZE:
            raise Unreadable(f"it is larger than {SIZE >> 20} MiB")
        if time.monotonic() > end:
            raise Unreadable(f"it does not arrive within {TIMEOUT} seconds")
    return b"".join(chunks)
