"""Windows of a map: which token goes where.

Maps are tokens `[N, L, C]` in row order, sizes are `(height, width)`.
"""

from functools import lru_cache

import paddle

from ppcls_mixformer.network import ops


class WindowGrid:
    """A map of `size`, padded to whole windows of `side` by `side`, for attention of `heads` heads.

    `padded` is the size of the padded map. Get grids from `window_grid`, which caches them.
    """

    def __init__(self, size, side, heads):
        (height, width), (rows, columns) = size, [-(-extent // side) for extent in size]
        self.size = size
        self.padded = rows * side, columns * side
        self.side, self.heads = side, heads
        self._crop_order = None
        if not ops.is_same(size, self.padded):
            self._crop_order = (positions(height).unsqueeze(1) * self.padded[1] + positions(width)).flatten()
        # Each token has a row per head for its query, then as many for its key and for its value.
        tokens = window_order(rows, columns, side).flatten(2).unsqueeze(2)
        self._split_order = (tokens * (3 * heads) + positions(3 * heads).unsqueeze(1)).flatten()
        # oneDNN readers drop a constant factor of a product of two sizes, but keep one of a single size.
        outputs = positions(rows * (columns * (side**2 * heads)))
        outputs = outputs.reshape([rows, columns, heads, side, side])
        self._merge_order = outputs.transpose([0, 3, 1, 4, 2]).flatten()

    def pad(self, x):
        """Tokens of the map to those of the padded one, with zeros at the bottom and on the right."""
        return ops.pad_tokens(x, self.size, self.padded)

    def crop(self, x):
        """Tokens of the padded map to those of the map."""
        if self._crop_order is None:
            return x
        if ops.gathers():  # the backward pass of a slice costs ten to fifty times that of a gather on CPU
            return ops.take(x, self._crop_order)
        (height, width), channels = self.size, x.shape[-1]
        kept = x.reshape([-1, *self.padded, channels])[:, :height, :width]
        return kept.reshape([-1, height * width, channels])

    def pad_rows(self, x):
        """As `pad`, for rows `[N * L, C]`."""
        return x if self._crop_order is None else self.pad(x).reshape([-1, x.shape[-1]])

    def crop_rows(self, x):
        """As `crop`, for rows `[N * L, C]`."""
        if self._crop_order is None:
            return x
        (height, width), channels = self.padded, x.shape[-1]
        return self.crop(x.reshape([-1, height * width, channels])).reshape([-1, channels])

    def split(self, qkv):
        """`[N, L, 3C]`, or rows `[N * L, 3C]`, to queries, keys and values.

        They are `[N * windows, heads, side², C / heads]` each.
        """
        (height, width), depth = self.padded, qkv.shape[-1] // (3 * self.heads)
        if not ops.gathers():
            parts = qkv.reshape([-1, self.side, width // self.side, self.side, 3, self.heads, depth])
            parts = parts.transpose([4, 0, 2, 5, 1, 3, 6])
            return parts.reshape([3, -1, self.heads, self.side**2, depth]).unbind()
        rows = qkv.reshape([-1, height * (width * (3 * self.heads)), depth])
        parts = ops.take(rows, self._split_order).reshape([-1, 3 * self.heads, self.side**2, depth])
        return parts.split(3, axis=1)

    def merge(self, x):
        """`[N * windows, heads, side², C / heads]`, as `split` gives them, to tokens `[N, L, C]`."""
        (height, width), depth = self.padded, x.shape[-1]
        if not ops.gathers():
            rows = x.reshape([-1, width // self.side, self.heads, self.side, self.side, depth])
            return rows.transpose([0, 3, 1, 4, 2, 5]).reshape([-1, height * width, self.heads * depth])
        rows = x.reshape([-1, height * (width * self.heads), depth])
        return ops.take(rows, self._merge_order).reshape([-1, height * width, self.heads * depth])


def window_grid(size, side, heads):
    """The `WindowGrid` of these arguments."""
    return cached(WindowGrid, size, side, heads)


def patches(x, size):
    """Tokens of a map of even `size` to its 2×2 patches, row by row, `[N, L / 4, 4C]`."""
    count = size[0] // 2 * (size[1] // 2)
    if not ops.gathers():
        rows = x.reshape([-1, 2, size[1] // 2, 2, x.shape[-1]]).transpose([0, 2, 1, 3, 4])
        return rows.reshape([-1, count, 4 * x.shape[-1]])
    return ops.take(x, cached(patch_order, size)).reshape([-1, count, 4 * x.shape[-1]])


def window_order(rows, columns, side):
    """Positions of a map in each of its windows, int64 `[rows, columns, side, side]`."""
    order = positions(rows * (columns * side**2)).reshape([rows, side, columns, side])
    # Flatten what this gives: oneDNN readers get a reshape of transposed integers wrong.
    return order.transpose([0, 2, 1, 3])


def patch_order(size):
    """Positions of a map patch by patch, int64 `[H * W]`."""
    return window_order(size[0] // 2, size[1] // 2, 2).flatten()


def positions(count):
    """0, 1, … `count` - 1, int64."""
    return paddle.arange(count, dtype="int64")


def cached(build, size, *arguments):
    """`build(size, *arguments)`, cached for equal arguments on one device; a traced graph builds its own."""
    if ops.is_traced() or not ops.is_known(size):
        return build(size, *arguments)
    return _build_once(build, paddle.get_device(), tuple(size), *arguments)


@lru_cache(maxsize=32)  # grids and patches of a network at four sizes of pictures
def _build_once(build, device, *arguments):
    return build(*arguments)
