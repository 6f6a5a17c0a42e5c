"""What a config does to the size of pictures, as a part of exported programs, which also undo it.

A program with these takes pictures as they are and gives maps of the same size, whatever reads it.
"""

import inspect

import numpy as np
import paddle
from paddle import nn
from paddleseg import transforms

from ppcls_mixformer.network.ops import pad_map
from ppcls_mixformer.paddleseg.upernet import resize


class Sized(nn.Layer):
    """`model` on pictures as they are; its first output is brought back to their size, as `predict` does it.

    Args:
        model: a network that gives a list of maps.
        steps: what is done to the size of pictures, a list of `Step`; may be empty.
    """

    def __init__(self, model, steps):
        super().__init__()
        self.model, self.steps = model, steps

    def forward(self, x):
        """`[N, C, H, W]` to a list of one map, `[N, classes, H, W]`."""
        sizes = []
        for step in self.steps:
            sizes.append(x.shape[2:])
            x = step.do(x)
        maps = self.model(x)[0]
        for step, size in zip(self.steps[::-1], sizes[::-1]):
            maps = step.undo(maps, size)
        return [maps]


class Step:
    """A transform of PaddleSeg that changes the size of pictures.

    Args:
        transform: one of a class in `TARGETS`.
        later: each `Normalize` behind it, which is done in front of such a program.
    """

    def __init__(self, transform, later):
        self.transform, self.target = transform, TARGETS[type(transform)]
        self.is_padding = hasattr(transform, "im_padding_value")
        if self.is_padding:
            fill = np.full((1, 1, 3), transform.im_padding_value, "float32")
            for normalize in later:
                fill = normalize({"img": fill})["img"]
            self.fill = fill.transpose(2, 0, 1)[np.newaxis].astype("float32")

    def do(self, x):
        """`[N, C, H, W]` resized or padded."""
        size = x.shape[2:]
        kind = next((side.dtype for side in size if not isinstance(side, int)), "int64")
        height, width = (side.astype(kind) for side in self.target(self.transform, *map(_number, size)))
        if not self.is_padding:
            return resize(x, [height, width])
        fill = paddle.to_tensor(self.fill)
        return pad_map(x - fill, height - size[0], width - size[1]) + fill

    def undo(self, maps, size):
        """Maps of what `do` has made to those of `size`, the one that was there before."""
        return maps[:, :, : size[0], : size[1]] if self.is_padding else resize(maps, size)


def split(chain):
    """Shares the transforms of `chain` between the readers of a program and the program itself.

    What changes the size of pictures, and whatever is behind it, is the program's. A `Normalize` there goes
    to the readers: in front of a resize it comes to the same.

    Returns:
        The places in `chain` of the readers' part, the program's steps, and the transform that no program can
        do, which leaves all to the readers, or None.
    """
    first = next((n for n, each in enumerate(chain) if changes_size(each)), len(chain))
    behind = [each for each in chain[first:] if type(each) is not transforms.Normalize]
    strange = next((each for each in behind if not can_be_a_step(each)), None)
    if strange is not None:
        return list(range(len(chain))), [], strange
    steps = [
        Step(each, [later for later in chain[n:] if type(later) is transforms.Normalize])
        for n, each in enumerate(chain)
        if each in behind
    ]
    return [n for n, each in enumerate(chain) if each not in behind], steps, None


def changes_size(transform):
    """Whether PaddleSeg notes what a transform does to the size of pictures, to undo it in its maps."""
    return type(transform) in TARGETS or "trans_info" in inspect.getsource(type(transform))


def can_be_a_step(transform):
    """Whether a program can do with a transform what OpenCV does."""
    return type(transform) in TARGETS and getattr(transform, "interp", "LINEAR") == "LINEAR"


# The new height and width of a picture from those that it has; all are tensors of float64, since PaddleSeg
# reckons in that: float32 rounds another way now and then.


def _of_resize(transform, height, width):
    wide, high = map(_number, transform.target_size)
    if transform.keep_ratio:
        scale = paddle.minimum(
            paddle.maximum(wide, high) / paddle.maximum(height, width),
            paddle.minimum(wide, high) / paddle.minimum(height, width),
        )
        high, wide = _scaled(height, width, scale)
    if transform.size_divisor:
        divisor = _number(transform.size_divisor)
        high, wide = (paddle.ceil(side / divisor) * divisor for side in (high, wide))
    return high, wide


def _of_long(transform, height, width):
    return _scaled(height, width, _number(transform.long_size) / paddle.maximum(height, width))


def _of_short(transform, height, width):
    long, short = paddle.maximum(height, width), paddle.minimum(height, width)
    target, most = _number(transform.short_size), _number(transform.max_size)
    target = paddle.where(target / short * long > most, paddle.floor(most / long * short), target)
    return _scaled(height, width, target / short)


def _of_limit(transform, height, width):
    long = target = paddle.maximum(height, width)
    if transform.min_long is not None:
        target = paddle.maximum(target, _number(transform.min_long))
    if transform.max_long is not None:
        target = paddle.minimum(target, _number(transform.max_long))
    return _scaled(height, width, target / long)


def _of_padding(transform, height, width):
    wide, high = map(_number, transform.target_size)
    return paddle.maximum(high, height), paddle.maximum(wide, width)  # PaddleSeg refuses larger pictures


def _of_padding_by_ratio(transform, height, width):
    ratio = _number(transform.aspect_ratio)
    high, wide = paddle.floor(width / ratio), paddle.floor(height * ratio)
    return paddle.maximum(high, height), paddle.maximum(wide, width)


TARGETS = {
    transforms.Resize: _of_resize,
    transforms.ResizeByLong: _of_long,
    transforms.ResizeByShort: _of_short,
    transforms.LimitLong: _of_limit,
    transforms.Padding: _of_padding,
    transforms.PaddingByAspectRatio: _of_padding_by_ratio,
}


def _scaled(height, width, scale):
    return _nearest(height * scale), _nearest(width * scale)


def _nearest(x):
    """The nearest whole number, of two the even one, as Python's `round`, whichever Paddle's takes.

    No `abs` of a difference: Paddle 2.6 fuses both for oneDNN, which has no float64, and fails.
    """
    return paddle.where(x - paddle.floor(x) == 0.5, 2 * paddle.round(0.5 * x), paddle.round(x))


def _number(x):
    """A number, or a side of a size in a traced graph, as float64 `[1]`."""
    return paddle.full([1], x, "float64") if isinstance(x, (int, float)) else x.astype("float64").reshape([1])
