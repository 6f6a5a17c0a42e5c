"""The transforms that stand between a picture and a network, with the names and arguments of PaddleClas.

They give what PaddleClas's operators give, bit for bit where Pillow and OpenCV are the same.
"""

import numpy as np
from PIL import Image

from ppcls_mixformer.hosting.advice import did_you_mean
from ppcls_mixformer.hosting.errors import UserError

LARGEST = 16384  # pixels of a side: more is a mistake, and fills the memory
PILLOW = {
    "nearest": Image.NEAREST,
    "bilinear": Image.BILINEAR,
    "bicubic": Image.BICUBIC,
    "box": Image.BOX,
    "lanczos": Image.LANCZOS,
    "hamming": Image.HAMMING,
    "lanczos4": Image.LANCZOS,
}
OPENCV = {  # the values of cv2.INTER_…
    "nearest": 0,
    "bilinear": 1,
    "bicubic": 2,
    "area": 3,
    "lanczos": 4,
    "linear": 1,  # PaddleX's names
    "lanczos4": 4,
}


def build(transform_ops, place):
    """The transforms of a list as configs have it, `[{name: arguments}, …]`.

    Args:
        place: what is named in errors, such as the file that holds the list.

    Raises:
        UserError: a transform or an argument that is not known, or a wrong value; names it.
    """
    if not isinstance(transform_ops, list):
        raise UserError(f"{place}: transform_ops is {transform_ops!r}; it takes a list")
    return [_build_one(entry, f"{place}: transform_ops.{n}") for n, entry in enumerate(transform_ops)]


def _build_one(entry, place):
    if not isinstance(entry, dict) or len(entry) != 1:
        raise UserError(f"{place} is {entry!r}; it takes one name with its arguments below it")
    ((name, arguments),) = entry.items()
    if name not in KNOWN:
        raise UserError(f"{place}: there is no transform {name} here{did_you_mean(name, KNOWN)}")
    try:
        return KNOWN[name](**(arguments or {}))
    except (TypeError, ValueError, KeyError) as error:
        raise UserError(f"{place}.{name}: {' '.join(map(str, error.args))}") from None


def apply(transforms, picture):
    """What comes out of all `transforms`, one after the other; `picture` is RGB, `uint8` `[H, W, 3]`."""
    for transform in transforms:
        picture = transform(picture)
    return picture


def size_after(transforms):
    """`(height, width)` of every picture behind `transforms`; None where it depends on the picture."""
    size = None
    for transform in transforms:
        size = transform.size_after(size) if hasattr(transform, "size_after") else size
    return size


def width_and_height(size):
    """Two whole numbers, as PaddleClas reads `size`: one for both, or `[width, height]`."""
    values = (size, size) if isinstance(size, int) else size
    is_pair = isinstance(values, (list, tuple)) and len(values) == 2
    if not is_pair or not all(isinstance(value, int) and 0 < value <= LARGEST for value in values):
        raise ValueError(f"size is {size!r}; it takes a whole number from 1 to {LARGEST}, or [width, height]")
    return tuple(values)


class ResizeImage:
    """Resizes to `size`, or so that the shorter side is `resize_short`, with Pillow or OpenCV."""

    def __init__(self, size=None, resize_short=None, interpolation=None, backend="cv2"):
        if (size is None) == (not resize_short):
            raise ValueError("it takes size or resize_short, and not both")
        if resize_short and (not isinstance(resize_short, int) or not 0 < resize_short <= LARGEST):
            raise ValueError(f"resize_short is {resize_short!r}; it takes a whole number from 1 to {LARGEST}")
        self.resize_short = resize_short
        self.size = None if resize_short else width_and_height(size)
        self.resize = _resizer(interpolation, str(backend).lower())

    def size_after(self, size):
        """`(height, width)`; None where it depends on the picture."""
        return self.size[::-1] if self.size else None

    def __call__(self, picture):
        height, width = picture.shape[:2]
        if self.size:
            return self.resize(picture, self.size)
        ratio = float(self.resize_short) / min(width, height)
        size = int(round(width * ratio)), int(round(height * ratio))
        if max(size) > LARGEST:
            raise ValueError(f"a picture of {width}x{height} would become one of {size[0]}x{size[1]}")
        return self.resize(picture, size)


def _resizer(interpolation, backend):
    """A function that resizes a picture to `(width, height)`."""
    known = {"pil": PILLOW, "cv2": OPENCV}.get(backend)
    if known is None:
        raise ValueError(f"backend is {backend!r}; it takes pil or cv2")
    name = None if interpolation is None else str(interpolation).lower()
    if name is not None and name not in known:
        raise ValueError(f"interpolation {interpolation!r} is none of {backend}'s{did_you_mean(name, known)}")
    if backend == "pil":
        return lambda picture, size: np.asarray(Image.fromarray(picture).resize(size, known.get(name)))
    try:
        import cv2
    except ImportError:
        raise UserError(
            "the preprocessing resizes with OpenCV, which is missing: pip install opencv-python-headless"
        ) from None
    return lambda picture, size: cv2.resize(picture, size, interpolation=known[name or "bilinear"])


class PadImage:
    """Pads a picture on all sides to at least `size`, with a grey value or a colour."""

    def __init__(self, size, value=0):
        self.size = width_and_height(size)
        self.value = [value] * 3 if isinstance(value, (int, float)) else value
        if not isinstance(self.value, (list, tuple)) or len(self.value) != 3:
            raise ValueError(f"value is {value!r}; it takes a number, or three")

    def size_after(self, size):
        """`(height, width)`; None where it depends on the picture."""
        return size and (max(size[0], self.size[1]), max(size[1], self.size[0]))

    def __call__(self, picture):
        height, width = picture.shape[:2]
        columns, rows = max(self.size[0] - width, 0), max(self.size[1] - height, 0)
        padded = np.empty((height + rows, width + columns, 3), picture.dtype)
        padded[:] = self.value
        padded[rows // 2 : rows // 2 + height, columns // 2 : columns // 2 + width] = picture
        return padded


class CropImage:
    """Takes the middle of a picture, `size`."""

    def __init__(self, size):
        self.size = width_and_height(size)

    def size_after(self, size):
        """`(height, width)`."""
        return self.size[::-1]

    def __call__(self, picture):
        width, height = self.size
        rows, columns = picture.shape[:2]
        if width > columns or height > rows:
            raise ValueError(f"a crop of {width}x{height} does not fit into a picture of {columns}x{rows}")
        left, top = (columns - width) // 2, (rows - height) // 2
        return picture[top : top + height, left : left + width]


class NormalizeImage:
    """`(picture * scale - mean) / std`, in float32; `order` is chw behind ToCHWImage, else hwc or empty."""

    def __init__(self, scale=1.0 / 255.0, mean=None, std=None, order="chw", channel_num=3):
        if channel_num != 3:
            raise ValueError(f"channel_num is {channel_num!r}; these networks take 3")
        if not isinstance(scale, (int, float)):
            raise ValueError(f"scale is {scale!r}; it takes a number")
        shape = (3, 1, 1) if order == "chw" else (1, 1, 3)
        self.scale = np.float32(scale)
        self.mean = np.array(mean or [0.485, 0.456, 0.406]).reshape(shape).astype("float32")
        self.std = np.array(std or [0.229, 0.224, 0.225]).reshape(shape).astype("float32")

    def __call__(self, picture):
        return (picture.astype("float32") * self.scale - self.mean) / self.std


class ToCHWImage:
    """`[H, W, C]` to `[C, H, W]`."""

    def __call__(self, picture):
        return picture.transpose(2, 0, 1)


KNOWN = {part.__name__: part for part in (ResizeImage, PadImage, CropImage, NormalizeImage, ToCHWImage)}
