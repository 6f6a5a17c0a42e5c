"""Sliding windows as a part of exported programs, with the maps of PaddleSeg's `slide_inference`.

All windows of a batch go through the network at once: loops whose length depends on the size of pictures
would stay loops in the program.
"""

import paddle
from paddle import nn

from ppcls_mixformer.hosting.pooling import length


class Windowed(nn.Layer):
    """`model` on windows of pictures; where these overlap, the average of its maps.

    Args:
        model: a network that gives a list of maps, as large as what it is given.
        crop_size: width and height of a window; a smaller picture is one window.
        stride: from one window to the next, to the right and down. The last ones end with the picture.
    """

    def __init__(self, model, crop_size, stride):
        super().__init__()
        self.model = model
        (self.width, self.height), (self.right, self.down) = crop_size, stride

    def forward(self, x):
        """`[N, C, H, W]` to a list of one map, `[N, classes, H, W]`."""
        rows = Places(length(x, 2), self.height, self.down)
        columns = Places(length(x, 3), self.width, self.right)
        return [join(self.model(cut(x, rows, columns))[0], rows, columns)]


class Places:
    """Where windows lie along one side of pictures.

    Args:
        size: of the side, a number, or int64 in a traced graph.
        crop: of a window.
        stride: between the starts of two windows.

    Attributes:
        count: of windows.
        side: of a window, `crop` or less.
        positions: of all pixels of all windows, int64 `[count * side]`.
    """

    def __init__(self, size, crop, stride):
        self.size = size
        self.side = min(size, crop) if isinstance(size, int) else paddle.clip(size, max=crop)
        self.count = (size - self.side + stride - 1) // stride + 1
        starts = paddle.clip(paddle.arange(self.count, dtype="int64") * stride, max=size - self.side)
        offsets = paddle.arange(self.side, dtype="int64")
        self.positions = (starts.unsqueeze(1) + offsets.unsqueeze(0)).flatten()

    def shares(self):
        """Share of each of `positions` in the average at each pixel of the side, `[size, count * side]`."""
        pixels = paddle.arange(self.size, dtype="int64").unsqueeze(1)
        inside = (self.positions.unsqueeze(0) == pixels).astype("float32")
        return inside / inside.sum(1, keepdim=True)


def cut(x, rows, columns):
    """Windows of pictures `[N, C, H, W]`, `[N * windows, C, height, width]`."""
    channels = x.shape[1]
    x = paddle.gather(paddle.gather(x, rows.positions, axis=2), columns.positions, axis=3)
    x = x.reshape([-1, channels, rows.count, rows.side, columns.count, columns.side])
    return x.transpose([0, 2, 4, 1, 3, 5]).reshape([-1, channels, rows.side, columns.side])


def join(maps, rows, columns):
    """What `cut` does undone with maps of windows, `[N, C, H, W]`; averages where windows overlap."""
    channels = maps.shape[1]
    maps = maps.reshape([-1, rows.count, columns.count, channels, rows.side, columns.side])
    maps = maps.transpose([0, 3, 1, 4, 2, 5])
    maps = maps.reshape([-1, channels, rows.count * rows.side, columns.count * columns.side])
    return paddle.matmul(paddle.matmul(rows.shares(), maps), columns.shares(), transpose_y=True)
