"""Adaptive average pooling as products with matrices, for graphs that become ONNX files.

ONNX has no such operator. Where a map has an open size paddle2onnx refuses it; where the size is known it
takes equal bins for granted, and writes a pool that gives other numbers or that ONNX Runtime refuses.
"""

import contextlib

import paddle
import paddle.nn.functional as F

from ppcls_mixformer.hosting.patches import replaced


@contextlib.contextmanager
def pooling_by_products():
    """Has every network that is traced in a `with` block do `F.adaptive_avg_pool2d` by products.

    A pool to one position stays what it is, which ONNX has.
    """
    original = F.adaptive_avg_pool2d

    @paddle.jit.not_to_static
    def adaptive_avg_pool2d(x, output_size, data_format="NCHW", name=None):
        sides = [output_size] * 2 if isinstance(output_size, int) else list(output_size)
        if data_format != "NCHW" or sides == [1, 1]:
            return original(x, output_size, data_format, name)
        return pool(x, *sides)

    with replaced(F, "adaptive_avg_pool2d", adaptive_avg_pool2d):
        yield


def pool(x, rows, columns):
    """`[N, C, H, W]` to the averages of `rows` by `columns` bins, `[N, C, rows, columns]`.

    Args:
        rows, columns: numbers, or those of a traced graph; None for as many as there are.
    """
    vertical, horizontal = shares_of_bins(x, 2, rows), shares_of_bins(x, 3, columns)
    return paddle.matmul(paddle.matmul(vertical, x), horizontal, transpose_y=True)


def shares_of_bins(x, axis, bins):
    """Share of each position along an axis of `x` in each of `bins` averages, `[bins, positions]`.

    Of s positions, bin k takes those from floor(k s / bins) to ceil((k + 1) s / bins), that one excluded.
    """
    count = length(x, axis)
    bins = count if bins is None else whole(bins)
    position, k = paddle.arange(count, dtype="int64"), paddle.arange(bins, dtype="int64").unsqueeze(1)
    inside = paddle.logical_and((position + 1) * bins > k * count, position * bins < (k + 1) * count)
    inside = inside.astype(x.dtype)
    return inside / inside.sum(1, keepdim=True)


def length(x, axis):
    """Length of an axis of `x`: a number, or int64 in a traced graph that leaves it open."""
    return x.shape[axis] if x.shape[axis] >= 0 else whole(paddle.shape(x)[axis])


def whole(number):
    """A number as it is, one in a traced graph as int64."""
    return number if isinstance(number, int) else number.astype("int64")
