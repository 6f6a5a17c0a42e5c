"""Operators on tokens `[N, L, C]`, in the form that is right and fast for this Paddle and this device.

Every choice by Paddle version, by device or for speed is made here. `add`, `add_bias` and `softmax` may
write over their first argument in evaluation: pass what this layer has made and nobody else will read, not
what another layer has returned. Sizes `(height, width)` hold tensors where a graph is traced for any size.
"""

from functools import lru_cache

import paddle
import paddle.nn.functional as F
from paddle.autograd import PyLayer

PADDLE_2 = paddle.__version__.startswith("2.")
# Up to 3.1, CPU kernels read a transposed view element by element.
SLOW_VIEWS = paddle.__version__.startswith(("2.", "3.0.", "3.1."))


def is_traced():
    """Whether operators become a graph, to be exported or compiled, and do not run at once."""
    return not paddle.in_dynamic_mode()


def runs_on_cpu():
    """Whether operators run at once, and on the CPU; to ask a tensor for its place breaks traced graphs."""
    return not is_traced() and paddle.get_device() == "cpu"


def gathers():
    """Whether rows are permuted by a gather, and not by a transposition of axes.

    On CPU it is faster, and in a graph it is what all readers get right; on other devices its gradient is a
    scattered sum.
    """
    return is_traced() or runs_on_cpu()


def is_known(size):
    """Whether a size holds numbers, and not tensors of a traced graph."""
    return all(isinstance(side, int) for side in size)


def is_same(size, other):
    """Whether two sizes are known to be equal."""
    return is_known(size) and is_known(other) and tuple(size) == tuple(other)


def take(x, index):
    """Tokens of `x` at the positions `index`, int64, in that order."""
    if PADDLE_2:  # in 2.6.2 the gradient of gather along axis 1 is wrong; elsewhere it is the faster one
        return paddle.index_select(x, index, axis=1)
    return paddle.gather(x, index, axis=1)


def transpose(x):
    """`[N, L, C]` to `[N, C, L]`."""
    if SLOW_VIEWS and runs_on_cpu():
        return paddle.einsum("nlc->ncl", x)  # copies
    return x.transpose([0, 2, 1])


def last_axis_first(x):
    """`[A, B, C]` to `[C, A, B]`."""
    if SLOW_VIEWS and runs_on_cpu():
        return paddle.einsum("abc->cab", x)  # copies
    return x.transpose([2, 0, 1])


def tokens_to_map(x, size):
    """Tokens of a map of `size` to that map, `[N, C, H, W]`."""
    return transpose(x).reshape([-1, x.shape[-1], *size])


def map_to_tokens(x):
    """A map `[N, C, H, W]` to its tokens."""
    return transpose(x.flatten(2))


def pad_map(x, bottom, right):
    """Zero-pads a map `[N, C, H, W]` at the bottom and on the right."""
    amounts = [0, right, 0, bottom]
    if not is_known(amounts):
        return F.pad(x, paddle.concat([paddle.full([1], amount, "int32") for amount in amounts]))
    return F.pad(x, amounts) if bottom or right else x


def pad_tokens(x, size, padded):
    """Zero-pads tokens of a map of `size`, bottom and right, to those of a map of size `padded`."""
    if is_same(size, padded):
        return x
    (height, width), (padded_height, padded_width), channels = size, padded, x.shape[-1]
    # oneDNN readers pad only trailing axes correctly, so a row and its channels become one axis. They drop a
    # factor behind a subtraction of integers, so channels stand inside the difference.
    rows = x.reshape([-1, 1, height, width * channels])
    rows = pad_map(rows, padded_height - height, padded_width * channels - width * channels)
    return rows.reshape([-1, padded_height * padded_width, channels])


def may_overwrite(x, y):
    """Whether a result of `x` and `y` may be written over `x`: not in a graph, for a gradient or in AMP."""
    if is_traced() or paddle.is_grad_enabled():
        return False
    return x.dtype == paddle.float32 and y.dtype == paddle.float32


def add(x, y):
    """`x + y`."""
    return x.add_(y) if may_overwrite(x, y) else x + y


def softmax(x):
    """Softmax over the last axis."""
    return F.softmax_(x) if may_overwrite(x, x) else F.softmax(x)


def add_bias(x, bias):
    """`x + bias` in the precision of `x`; `bias` is `[C]`."""
    if may_overwrite(x, bias):
        return x.add_(bias)
    bias = cast(bias, x.dtype)
    if runs_on_cpu() and not x.stop_gradient and not bias.stop_gradient:
        return AddBias.apply(x, bias)
    return x + bias


class AddBias(PyLayer):
    """`x + bias` whose gradient of the bias is a product: saves 7 % of a training step on CPU."""

    @staticmethod
    def forward(ctx, x, bias):
        return x + bias

    @staticmethod
    def backward(ctx, grad):
        rows = grad.flatten(0, -2)
        return grad, paddle.matmul(paddle.ones([1, rows.shape[0]], rows.dtype), rows).flatten()


def cast(x, dtype):
    """`x` as `dtype`; `astype` launches a kernel in 2.6 even where there is nothing to do."""
    return x if x.dtype == dtype else x.astype(dtype)


def constant(values, shape):
    """A tensor of the numbers `values`, cached; a traced graph has its own."""
    if is_traced():
        return paddle.to_tensor(values).reshape(shape)
    return _constant(values, shape, paddle.get_device(), paddle.get_default_dtype())


@lru_cache(maxsize=64)
def _constant(values, shape, device, dtype):
    return paddle.to_tensor(values, dtype=dtype).reshape(shape)
