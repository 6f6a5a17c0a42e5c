"""Pictures that OpenCV gives back in part or not at all: said, instead of a grey half or a None."""

import io

import cv2
import numpy as np
from PIL import Image

from ppcls_mixformer.hosting.errors import first_line

TAIL = 64  # bytes at a file's end that may follow its last mark


class Unreadable(ValueError):
    """A file that is no whole picture; the text says why."""


def imdecode(data, flags):
    """`cv2.imdecode`, which before OpenCV 5 decodes the first half of a file without a word.

    Raises:
        Unreadable: `data` is empty, ends early or is no picture.
    """
    data = np.asarray(data)
    check_whole(data.tobytes())
    picture = cv2.imdecode(data, flags)
    if picture is None:
        raise Unreadable("it is no picture that OpenCV knows")
    return picture


def imread(path, flags=cv2.IMREAD_COLOR):
    """`cv2.imread`, with the errors of `open` and of `imdecode`."""
    with open(path, "rb") as file:
        return imdecode(np.frombuffer(file.read(), dtype="uint8"), flags)


def check_whole(data):
    """Refuses the bytes of a picture that ends early.

    Only a file that does not end as its format does is decoded for this, by Pillow.

    Raises:
        Unreadable: it is empty or ends early.
    """
    check_content(data)
    if _ends_well(data):
        return
    try:
        with Image.open(io.BytesIO(data)) as picture:
            picture.load()
    except Image.UnidentifiedImageError:
        pass  # OpenCV knows formats that Pillow does not
    except (OSError, SyntaxError) as error:
        raise Unreadable(first_line(error)) from None


def check_content(data):
    """Refuses the bytes of an empty file, as Unreadable."""
    if not data:
        raise Unreadable("the file is empty")


def _ends_well(data):
    if data[:2] == b"\xff\xd8":  # JPEG; its last scan, not that of a thumbnail, ends in FFD9
        return data[-2:] == b"\xff\xd9" or data.rfind(b"\xff\xd9") > data.rfind(b"\xff\xda") > 0
    if data[:4] == b"\x89PNG":
        return b"IEND" in data[-TAIL:]
    if data[:4] == b"RIFF":  # WebP
        return len(data) >= 8 + int.from_bytes(data[4:8], "little")
    if data[:2] == b"BM":
        return len(data) >= int.from_bytes(data[2:6], "little")
    return False
