"""Layers on tokens `[N, L, C]`, and what stands between tokens and maps.

They subclass Paddle's layers and change only the forward pass, so state dicts stay the same.
"""

import paddle
import paddle.nn.functional as F
from paddle import nn

from ppcls_mixformer.network import ops


class Linear(nn.Linear):
    """A linear layer, `[N, L, C_in]` to `[N, L, C_out]`."""

    def forward(self, x):
        return ops.add_bias(paddle.matmul(x, self.weight), self.bias)


class PointwiseConv(nn.Conv2D):
    """A 1×1 convolution of tokens, `[N, L, C_in]` to `[N, L, C_out]`."""

    def __init__(self, in_channels, out_channels):
        super().__init__(in_channels, out_channels, 1)

    def forward(self, x):
        return ops.add_bias(paddle.matmul(x, self.weight.flatten(1), transpose_y=True), self.bias)


class MapToTokensConv(nn.Conv2D):
    """A 1×1 convolution of a map, `[N, C_in, H, W]` to `[N, L, C_out]`."""

    def __init__(self, in_channels, out_channels):
        super().__init__(in_channels, out_channels, 1)

    def forward(self, x):
        product = paddle.matmul(x.flatten(2), self.weight.flatten(1), transpose_x=True, transpose_y=True)
        return ops.add_bias(product, self.bias)


class PatchConv(nn.Conv2D):
    """A 2×2 convolution of stride 2, of patches `[N, L, 4 * C_in]` to `[N, L, C_out]`."""

    def __init__(self, in_channels, out_channels):
        super().__init__(in_channels, out_channels, 2, stride=2)

    def forward(self, x):
        weight = ops.transpose(self.weight.flatten(2)).flatten(1)  # position first, channel second, as in x
        return ops.add_bias(paddle.matmul(x, weight, transpose_y=True), self.bias)


class TokenBatchNorm(nn.BatchNorm1D):
    """Batch norm, `[N, L, C]` to the same shape."""

    def __init__(self, channels):
        super().__init__(channels, data_format="NLC")

    def forward(self, x):
        if self.training or not ops.is_traced():
            # Rows, since a GPU transposes anything longer to channels-first and back.
            rows = nn.BatchNorm1D.forward(self, x.flatten(0, 1))  # to_static of Paddle 2.6 loses super()
            return rows.reshape([-1, x.shape[1], x.shape[2]])
        # In a graph, oneDNN readers mistake a channels-last norm for a channels-first one.
        scale = self.weight * paddle.rsqrt(self._variance + self._epsilon)
        return x * scale + (self.bias - self._mean * scale)


class ConvNormAct(nn.Sequential):
    """Convolution, batch norm and activation of a map `[N, C, H, W]`, any number of times over."""

    def forward(self, x):
        layers = list(self.children())  # slices of a Sequential are new layers
        for conv, norm, act in zip(layers[::3], layers[1::3], layers[2::3]):
            x = act(conv_bn(conv, norm, x))
        return x


def conv_bn(conv, norm, x):
    """`norm(conv(x))`, without the pass over the map that adds the convolution's bias.

    Batch norm takes the bias out again in training, where it only moves the running mean; in
    evaluation it becomes a part of the norm's own bias.
    """
    if not (is_plain(conv, nn.Conv2D) and is_plain(norm, nn.BatchNorm2D)):
        return norm(conv(x))
    if norm.weight.stop_gradient and not conv.bias.stop_gradient:
        return norm(conv(x))  # the CPU kernel computes no gradient of a bias beside a frozen weight
    x = F.conv2d(x, conv.weight, None, conv._stride, conv._padding, groups=conv._groups)
    bias = ops.cast(conv.bias, norm.bias.dtype)  # of half precision in AMP O2
    batch_statistics = norm.training and not norm._use_global_stats
    if batch_statistics:
        with paddle.no_grad():
            mean = norm._mean - bias
        nothing = ops.cast(ops.constant((0.0,), (1,)), bias.dtype)
        shift = paddle.lerp(norm.bias, bias, nothing)  # gives `bias` a gradient of zero
    else:
        mean = norm._mean
        shift = norm.bias + bias * norm.weight * paddle.rsqrt(norm._variance + norm._epsilon)
    x = F.batch_norm(
        x,
        mean,
        norm._variance,
        norm.weight,
        shift,
        training=batch_statistics,
        momentum=norm._momentum,
        epsilon=norm._epsilon,
    )
    if batch_statistics:
        with paddle.no_grad():
            paddle.assign(mean + bias, norm._mean)
    return x


def is_plain(layer, kind):
    """Whether `layer` is of the class `kind` itself, and no hook waits for it to be called.

    If not, it may be fused, synchronised, quantised or counted, or a hook makes its weight.
    """
    return type(layer) is kind and not layer._forward_pre_hooks and not layer._forward_post_hooks


def is_batch_norm(layer):
    """Whether `layer` is a batch norm with running statistics, synchronised or not."""
    return isinstance(layer, (nn.BatchNorm1D, nn.BatchNorm2D, nn.SyncBatchNorm))


class DropPath(nn.Layer):
    """Stochastic depth: drops the residual branch of whole samples in training, arXiv 1603.09382.

    Survivors are scaled by `1 / (1 - rate)`.
    """

    def __init__(self, rate):
        super().__init__()
        self.rate = rate

    def forward(self, x, mask=None):
        """`[N, L, C]` to the same shape; `mask` is one of `drop_masks`, by default a new one."""
        if self.rate == 0.0 or not self.training:
            return x
        if mask is None:
            (mask,) = drop_masks([self.rate], x.shape[0])
        return x * ops.cast(mask, x.dtype)


def drop_masks(rates, samples):
    """A mask of stochastic depth for each of `rates`, `[samples, 1, 1]`, all from one draw."""
    keep = ops.constant(tuple(1.0 - rate for rate in rates), (len(rates), 1, 1, 1))
    drawn = paddle.rand([len(rates), samples, 1, 1]) < keep
    return (drawn.astype(keep.dtype) / keep).unbind()


def drop_masks_of(blocks, x):
    """Two masks of stochastic depth for each Mixing Block, by sample of `x`; None if none drops."""
    rates = [block.drop_path.rate if block.training else 0.0 for block in blocks]
    if not any(rates):
        return [(None, None)] * len(rates)
    masks = drop_masks(rates + rates, x.shape[0])
    return list(zip(masks[: len(rates)], masks[len(rates) :]))


def flops_counters():
    """The multiply-adds of the layers here: `paddle.flops(model, size, custom_ops=flops_counters())`.

    Paddle's counter looks a layer up by its very class, and so knows none of them by itself. It counts layers
    only: the products within attention, a few per cent, are left out.
    """
    convolutions = dict.fromkeys((PointwiseConv, MapToTokensConv, PatchConv), _count_convolution)
    return {Linear: _count_linear, **convolutions}


def _count_linear(layer, inputs, output):
    layer.total_ops += output.size * layer.weight.shape[0]


def _count_convolution(layer, inputs, output):
    layer.total_ops += output.size * layer.weight[0].size
