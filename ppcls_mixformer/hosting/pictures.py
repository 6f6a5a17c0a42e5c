"""The one reader of picture files: OpenCV's pixels, as PaddleClas has them, of files that are whole.

What OpenCV does not know, such as the first frame of a GIF, is read by Pillow, and so is everything where
there is no OpenCV. Both rotate a picture as its EXIF says (but OpenCV 4.6 no WebP), drop its transparency (a
TIFF with colours is put on black), and take the high byte of 16 bits.
"""

import io
import os

import numpy as np
from PIL import Image, ImageFile, ImageOps

from ppcls_mixformer.hosting.errors import first_line
from ppcls_mixformer.hosting.patches import replaced

try:
    import cv2
except ImportError:  # an export on ONNX Runtime needs none
    cv2 = None

# Encapsulated PostScript is a program, which Pillow has Ghostscript run, for as long as it likes.
POSTSCRIPT = (b"%!PS", b"\xc5\xd0\xd3\xc6")
TAIL = 64  # bytes at a file's end that may follow its last mark
IN_COLOR = 1  # cv2.IMREAD_COLOR
ORIENTATION, TURNED = 0x0112, (5, 6, 7, 8)  # the tag of EXIF, and those of its values that swap the sides
MOVED = range(2, 9)  # and those that move pixels at all
SIDES_OF_TIFF = 256, 257  # its tags of width and height


NO_PICTURE = "it is no picture that can be read here"


class Unreadable(ValueError):
    """A file that is no whole picture; the text says why."""


def decode(data):
    """The picture in the bytes `data` of a file, RGB, `uint8` `[H, W, 3]`.

    Raises:
        Unreadable: `data` is empty, ends early or is no picture.
    """
    return imdecode(np.frombuffer(data, dtype="uint8"), IN_COLOR)[:, :, ::-1]


def imdecode(data, flags):
    """`cv2.imdecode`, which before OpenCV 5 decodes the first half of a file without a word.

    Raises:
        Unreadable: `data` is empty, ends early or is no picture.
    """
    data = np.asarray(data)
    content = data.tobytes()
    check_whole(content)
    picture = cv2.imdecode(data, flags) if cv2 else None
    if picture is None and flags == IN_COLOR:
        return _decoded_by_pillow(content)[:, :, ::-1]
    if picture is None:
        raise Unreadable(NO_PICTURE)
    return picture


def imread(path, flags=IN_COLOR):
    """`cv2.imread`, with the errors of `open` and of `imdecode`."""
    with open(path, "rb") as file:
        return imdecode(np.frombuffer(file.read(), dtype="uint8"), flags)


def read_size(path):
    """`(width, height)` of a picture file as `imread` gives it and as it is stored, and if EXIF turns it.

    A half turn, and a mirror image, have the size of what is stored. The head and the end of the file are
    read, the rest only where it does not end as its format does.

    Raises:
        OSError: it cannot be opened.
        Unreadable: it is empty, ends early or is no picture.
    """
    with open(path, "rb") as file:
        try:
            with Image.open(file) as picture:
                size, kind, mode = picture.size, picture.format, picture.mode
                orientation = picture.getexif().get(ORIENTATION, 1)
                turned = orientation in TURNED
                if kind == "TIFF":  # whose size Pillow may have turned already
                    size = tuple(picture.tag_v2[tag] for tag in SIDES_OF_TIFF)
        except Image.UnidentifiedImageError:
            height, width = imread(path).shape[:2]
            return (width, height), (width, height), False
        except (SyntaxError, ValueError, OSError) as error:
            raise Unreadable(first_line(error)) from None
    if mode == "F" or (kind, mode) == ("TIFF", "I"):  # whose numbers may have no range
        imread(path)
    if turned and kind in ("TIFF", "WEBP"):  # which not every release of OpenCV turns
        height, width = imread(path).shape[:2]
        return (width, height), size, True
    with open(path, "rb") as file:
        head, length = file.read(TAIL), os.fstat(file.fileno()).st_size
        file.seek(max(0, length - TAIL))
        end = file.read()
        if not (kind in ("JPEG", "PNG") and _ends_well(head + end)):
            file.seek(0)
            check_whole(file.read())
    return (size[::-1] if turned else size), size, orientation in MOVED


def _decoded_by_pillow(content):
    try:
        with strictly(), Image.open(io.BytesIO(content)) as picture:
            on_black = (picture.format, picture.mode) == ("TIFF", "RGBA")
            return _on_black(picture) if on_black else to_rgb(picture)
    except Image.UnidentifiedImageError:
        raise Unreadable(NO_PICTURE) from None
    except Unreadable:
        raise
    except Exception as error:  # Pillow's plugins raise what they like
        raise Unreadable(first_line(error)) from None


def _on_black(picture):
    """A picture with transparency as RGB, as libtiff, which OpenCV uses, gives it."""
    pixels = np.asarray(ImageOps.exif_transpose(picture)).astype("uint16")
    return ((pixels[:, :, :3] * pixels[:, :, 3:] + 127) // 255).astype("uint8")


def strictly():
    """Has Pillow refuse files that end early, also where PaddleDetection has told it to fill them up."""
    return replaced(ImageFile, "LOAD_TRUNCATED_IMAGES", False)


def to_rgb(picture):
    """A picture of Pillow as RGB, `uint8` `[H, W, 3]`.

    Raises:
        Unreadable: its numbers have no range, so that nobody knows what is white.
    """
    picture = ImageOps.exif_transpose(picture)
    if picture.mode.startswith("I"):  # 16 bits, of which Pillow would cut off what is above 255
        values = np.asarray(picture)
        if values.min() < 0 or values.max() > 0xFFFF:
            raise Unreadable("its numbers have 32 bits; save it with 8")
        return np.repeat((values >> 8).astype("uint8")[:, :, None], 3, axis=2)
    if picture.mode == "F":
        raise Unreadable("its numbers are floats; save it with 8 bits")
    return np.array(picture.convert("RGB"))


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
        with strictly(), Image.open(io.BytesIO(data)) as picture:
            picture.load()
    except Image.UnidentifiedImageError:
        pass  # OpenCV knows formats that Pillow does not
    except Exception as error:  # Pillow's plugins raise what they like
        raise Unreadable(first_line(error)) from None


def check_content(data):
    """Refuses the bytes of an empty file, and of a program, as Unreadable."""
    if not data:
        raise Unreadable("the file is empty")
    if data.startswith(POSTSCRIPT):
        raise Unreadable("it is PostScript, which is not run; save it as PNG")


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
