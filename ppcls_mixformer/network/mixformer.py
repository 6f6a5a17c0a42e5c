"""MixFormer: Mixing Features across Windows and Dimensions (CVPR 2022, arXiv 2204.02557).

Behind the stem, maps travel through the network as tokens `[N, L, C]`, L = height · width in row
order, and meet as `[N, C, H, W]` only in the depth-wise convolutions. State-dict names are those of
the published checkpoints.
"""

from contextlib import contextmanager
from dataclasses import dataclass
from typing import List, Optional, Tuple

import paddle
import paddle.nn.functional as F
from paddle import nn
from paddle.autograd import PyLayer
from paddle.distributed import fleet
from paddle.hapi import dynamic_flops
from paddle.nn.initializer import Constant, TruncatedNormal

# gather is the faster one, but its gradient along axis 1 is wrong in paddlepaddle 2.6.2.
gather_tokens = paddle.index_select if paddle.__version__.startswith("2.") else paddle.gather

# There, a transposed view is read element by element.
SLOW_VIEWS = paddle.__version__.startswith(("2.", "3.0.", "3.1."))


def drop_path(x, rate, training):
    """Stochastic depth: drops the whole residual branch of a sample, arXiv 1603.09382.

    `x` is `[N, ...]`; survivors are scaled by `1 / (1 - rate)`.
    """
    if rate == 0.0 or not training:
        return x
    keep = 1.0 - rate
    mask = paddle.rand([x.shape[0]] + [1] * (x.ndim - 1)) < keep
    return x * (mask.astype(x.dtype) / keep)


@dataclass
class Layout:
    """How the tokens of a stage make up a map, and that map its windows.

    `size` is `(height, width)`, `padded` the same rounded up to whole windows, and `kept`, int64
    `[height * width]`, the positions of the map in the padded one, if that is larger. The output of `qkv` on
    a padded map has a row per head of each of its three parts, `[N, 3 * heads * L, head_dim]`;
    gathering rows by one of `to_windows`, int64 `[heads * L]` each, gives that part in the order
    window, head, position. Gathering the attention output by `to_map`, int64 `[heads * L]`, restores
    the order of the map.
    """

    size: Tuple[int, int]
    padded: Tuple[int, int]
    kept: Optional[paddle.Tensor]
    to_windows: List[paddle.Tensor]
    to_map: paddle.Tensor


def window_layout(height, width, side, heads):
    """`Layout` of a map of `height` by `width` in windows of `side` by `side` positions.

    Here and below, sizes are tensors where a graph is traced for any size.
    """
    rows, columns = -(-height // side), -(-width // side)
    padded = rows * side, columns * side
    length = padded[0] * padded[1]
    kept = None
    if not same((height, width), padded):
        kept = (indices(height).unsqueeze(1) * padded[1] + indices(width)).flatten()
    positions = indices(length).reshape([rows, side, columns, side])
    positions = positions.transpose([0, 2, 1, 3]).flatten(2).unsqueeze(2)
    queries = (positions * (3 * heads) + indices(heads).unsqueeze(1)).flatten()
    to_map = indices(length * heads).reshape([rows, columns, heads, side, side])
    return Layout(
        size=(height, width),
        padded=padded,
        kept=kept,
        to_windows=[queries, queries + heads, queries + 2 * heads],
        to_map=to_map.transpose([0, 3, 1, 4, 2]).flatten(),
    )


def indices(count):
    """0, 1, … `count` - 1, int64."""
    return paddle.arange(count, dtype="int64")


def same(size, other):
    """Whether two sizes are known to be equal."""
    return all(isinstance(side, int) for side in (*size, *other)) and size == other


def swap(x):
    """Transposes `[N, L, C]` to `[N, C, L]`."""
    if SLOW_VIEWS and paddle.in_dynamic_mode():
        return paddle.einsum("nlc->ncl", x)
    return x.transpose([0, 2, 1])


def as_map(x, size):
    """Tokens `[N, L, C]` of a map of `size` as that map, `[N, C, H, W]`."""
    return swap(x).reshape([-1, x.shape[-1], *size])


def pad_map(x, bottom, right):
    """Zero-pads a map `[N, C, H, W]` at the bottom and on the right."""
    amounts = [0, right, 0, bottom]
    if not all(isinstance(amount, int) for amount in amounts):
        amounts = paddle.concat([paddle.full([1], amount, "int32") for amount in amounts])
    return F.pad(x, amounts)


def pad(x, size, padded):
    """Zero-pads tokens of a map of `size` right and bottom to those of a map of size `padded`."""
    if same(size, padded):
        return x
    (height, width), (padded_height, padded_width), channels = size, padded, x.shape[-1]
    rows = x.reshape([-1, 1, height, width * channels])
    # Not the difference times channels: oneDNN readers lose a factor behind a subtraction of integers.
    rows = pad_map(rows, padded_height - height, padded_width * channels - width * channels)
    return rows.reshape([-1, padded_height * padded_width, channels])


def crop(x, layout):
    """Takes the tokens of a map out of those of the padded one."""
    # The backward pass of a slice costs ten to fifty times that of a gather on CPU.
    return x if layout.kept is None else gather_tokens(x, layout.kept, axis=1)


def patch_order(height, width):
    """Positions of a map, those of one 2×2 patch next to each other, int64 `[height * width]`."""
    positions = indices(height * width).reshape([height // 2, 2, width // 2, 2])
    return positions.transpose([0, 2, 1, 3]).flatten()


def conv_bn(conv, norm, x):
    """`norm(conv(x))` of an NCHW map, without the pass over it that adds the convolution's bias.

    Batch norm takes the bias out again in training, where it only moves the running mean; in
    evaluation it is a part of the norm's own bias.
    """
    if type(norm) is not nn.BatchNorm2D:  # fused for inference, or synchronised
        return norm(conv(x))
    x = F.conv2d(x, conv.weight, None, conv._stride, conv._padding, groups=conv._groups)
    bias = conv.bias.astype(norm.bias.dtype)  # of half precision in AMP O2
    batch_statistics = norm.training and not norm._use_global_stats
    if batch_statistics:
        with paddle.no_grad():
            mean = norm._mean - bias
        shift = 0.0 * bias  # its gradient is zero, but it has one
    else:
        mean = norm._mean
        shift = bias * norm.weight * paddle.rsqrt(norm._variance + norm._epsilon)
    x = F.batch_norm(
        x,
        mean,
        norm._variance,
        norm.weight,
        norm.bias + shift,
        training=batch_statistics,
        momentum=norm._momentum,
        epsilon=norm._epsilon,
    )
    if batch_statistics:
        with paddle.no_grad():
            paddle.assign(mean + bias, norm._mean)
    return x


def overwritable(x):
    """Whether an operator may write over x: not where a gradient, a graph or mixed precision wants it."""
    return paddle.in_dynamic_mode() and not paddle.is_grad_enabled() and x.dtype == paddle.float32


def add_into(x, y):
    """`x + y`, written over x where possible, which must not be needed again."""
    return x.add_(y) if overwritable(x) and y.dtype == x.dtype else x + y


class AddBias(PyLayer):
    """`x + bias` of tokens `[N, L, C]`, with a product as the gradient of the bias `[C]`.

    The gradient of Paddle's own addition costs 7 % more of a training step on CPU.
    """

    @staticmethod
    def forward(ctx, x, bias):
        return x + bias

    @staticmethod
    def backward(ctx, grad):
        rows = grad.flatten(0, -2)
        return grad, paddle.matmul(paddle.ones([1, rows.shape[0]], rows.dtype), rows).flatten()


def add_bias(x, bias):
    """`x + bias` in x's precision, written over x where possible, which must not be needed again."""
    if overwritable(x):
        return x.add_(bias)
    if bias.dtype != x.dtype:  # mixed precision
        bias = bias.astype(x.dtype)
    if paddle.in_dynamic_mode() and not x.stop_gradient and not bias.stop_gradient:
        return AddBias.apply(x, bias)
    return x + bias


def softmax_into(x):
    """Softmax over the last axis, written over x where possible."""
    return F.softmax_(x) if overwritable(x) else F.softmax(x)


def pointwise(conv, x):
    """Applies a 1×1 convolution to tokens, `[N, L, C_in]` to `[N, L, C_out]`."""
    return add_bias(paddle.matmul(x, conv.weight.flatten(1), transpose_y=True), conv.bias)


class Linear(nn.Linear):
    """A linear layer of tokens, `[N, L, C_in]` to `[N, L, C_out]`, with `AddBias` for its bias."""

    def forward(self, x):
        return add_bias(paddle.matmul(x, self.weight), self.bias)


# It counts the layers that it knows by their very class.
dynamic_flops.register_hooks[Linear] = dynamic_flops.count_linear


class TokenBatchNorm(nn.BatchNorm1D):
    """Batch norm of tokens `[N, L, C]`.

    An exported graph has it as the affine map that it is, and so no channels-last operator, which
    readers take for channels-first.
    """

    def __init__(self, channels):
        super().__init__(channels, data_format="NLC")

    def forward(self, x):
        if self.training or paddle.in_dynamic_mode():
            return nn.BatchNorm1D.forward(self, x)  # super() is lost in to_static of Paddle 2.6
        scale = self.weight * paddle.rsqrt(self._variance + self._epsilon)
        return x * scale + (self.bias - self._mean * scale)


def relative_position_index(size):
    """Row of the bias table for each (query, key) pair of a window, `[size², size²]` int64."""
    axis = paddle.arange(size)
    rows, columns = (t.flatten() for t in paddle.meshgrid(axis, axis))
    row_offset = rows.unsqueeze(1) - rows.unsqueeze(0) + size - 1
    column_offset = columns.unsqueeze(1) - columns.unsqueeze(0) + size - 1
    return row_offset * (2 * size - 1) + column_offset


class Mlp(nn.Layer):
    """Two linear layers with a GELU between, `[..., C]` to `[..., C]`."""

    def __init__(self, dim, hidden_dim):
        super().__init__()
        self.fc1 = Linear(dim, hidden_dim)
        self.act = nn.GELU()
        self.fc2 = Linear(hidden_dim, dim)

    def forward(self, x):
        return self.fc2(self.act(self.fc1(x)))


def gate(interaction, x):
    """The layers of an interaction on tokens `[N, L, C_in]`: gates `[N, L, C_out]` between 0 and 1."""
    reduce, norm, act, expand = interaction
    return F.sigmoid(pointwise(expand, act(norm(pointwise(reduce, x)))))


class MixingAttention(nn.Layer):
    """Window attention beside a depth-wise convolution, with interactions both ways (section 3.1).

    Args:
        dim: channels C of the map; the attention branch works on C/2 of them.
        num_heads: attention heads; must divide C/2.
        window_size: side of a window, in positions of the map.
    """

    def __init__(self, dim, num_heads, window_size):
        super().__init__()
        half = dim // 2
        self.num_heads = num_heads
        self.window_size = window_size
        self.scale = (half // num_heads) ** -0.5

        self.proj_attn = Linear(dim, half)
        self.proj_attn_norm = nn.LayerNorm(half)
        self.proj_cnn = Linear(dim, dim)
        self.proj_cnn_norm = nn.LayerNorm(dim)

        self.dwconv3x3 = nn.Sequential(
            nn.Conv2D(dim, dim, 3, padding=1, groups=dim),
            nn.BatchNorm2D(dim),
            nn.GELU(),
        )
        self.channel_interaction = nn.Sequential(
            nn.Conv2D(dim, dim // 8, 1),
            TokenBatchNorm(dim // 8),
            nn.GELU(),
            nn.Conv2D(dim // 8, half, 1),
        )
        self.projection = nn.Conv2D(dim, half, 1)
        self.conv_norm = TokenBatchNorm(half)

        self.qkv = Linear(half, half * 3)
        self.relative_position_bias_table = self.create_parameter(
            [(2 * window_size - 1) ** 2, num_heads], default_initializer=TruncatedNormal(std=0.02)
        )
        self.register_buffer("relative_position_index", relative_position_index(window_size))
        self.register_buffer("fixed_position_bias", None)  # of a network fused for inference
        self.spatial_interaction = nn.Sequential(
            nn.Conv2D(half, dim // 16, 1),
            TokenBatchNorm(dim // 16),
            nn.GELU(),
            nn.Conv2D(dim // 16, 1, 1),
        )
        self.attn_norm = nn.LayerNorm(half)
        self.proj = Linear(dim, dim)

    def convolve(self, x, size):
        """Depth-wise convolution branch: tokens of a map of `size` to u, `[N, C, H, W]`."""
        x = self.proj_cnn_norm(self.proj_cnn(x))
        conv, norm, act = self.dwconv3x3
        return act(conv_bn(conv, norm, as_map(x, size)))

    def position_bias(self):
        """Relative position bias, `[heads, window², window²]`."""
        if self.fixed_position_bias is not None:
            return self.fixed_position_bias
        biases = F.embedding(self.relative_position_index, self.relative_position_bias_table)
        return swap(biases.reshape([1, -1, self.num_heads])).reshape([self.num_heads, *biases.shape[:2]])

    def attend(self, x, layout):
        """Self-attention within each window: `[N, L, C/2]` to the same shape."""
        _, length, channels = x.shape
        rows = self.qkv(x).reshape([-1, length * 3 * self.num_heads, channels // self.num_heads])
        shape = [-1, self.num_heads, self.window_size**2, channels // self.num_heads]
        q, k, v = (gather_tokens(rows, part, axis=1).reshape(shape) for part in layout.to_windows)
        logits = add_into(paddle.matmul(q * self.scale, k, transpose_y=True), self.position_bias())
        out = paddle.matmul(softmax_into(logits), v).reshape([-1, length * self.num_heads, shape[-1]])
        return gather_tokens(out, layout.to_map, axis=1).reshape([-1, length, channels])

    def channel_gate(self, u):
        """Channel interaction, convolution to attention: u to gates `[N, 1, C/2]`."""
        return gate(self.channel_interaction, F.adaptive_avg_pool2d(u, 1).flatten(1).unsqueeze(1))

    def spatial_gate(self, attention):
        """Spatial interaction, attention to convolution: `[N, L, C/2]` to gates `[N, L, 1]`."""
        return gate(self.spatial_interaction, attention)

    def project(self, u):
        """`projection` of u, `[N, C, H, W]`, to tokens `[N, L, C/2]`."""
        weight, bias = self.projection.weight.flatten(1), self.projection.bias
        return add_bias(paddle.matmul(u.flatten(2), weight, transpose_x=True, transpose_y=True), bias)

    def forward(self, x, layout):
        """`[N, L, C]` to `[N, L, C]`."""
        x = pad(x, layout.size, layout.padded)
        u = self.convolve(x, layout.padded)
        attention = self.attend(self.proj_attn_norm(self.proj_attn(x)), layout)
        # A gate per channel on the values is the same gate on the attention output, which is
        # linear in them.
        attention = attention * self.channel_gate(u)
        convolution = self.conv_norm(self.project(u) * self.spatial_gate(attention))

        mixed = paddle.concat([self.attn_norm(attention), convolution], axis=-1)
        return self.proj(crop(mixed, layout))


class MixingBlock(nn.Layer):
    """Mixing attention and MLP, each with a pre-norm and a residual (section 3.2)."""

    def __init__(self, dim, num_heads, window_size, mlp_ratio, drop_path_rate):
        super().__init__()
        self.drop_path_rate = drop_path_rate
        self.norm1 = nn.LayerNorm(dim)
        self.attn = MixingAttention(dim, num_heads, window_size)
        self.norm2 = nn.LayerNorm(dim)
        self.mlp = Mlp(dim, int(dim * mlp_ratio))

    def forward(self, x, layout):
        """`[N, L, C]` to `[N, L, C]`."""
        x = add_into(drop_path(self.attn(self.norm1(x), layout), self.drop_path_rate, self.training), x)
        return add_into(drop_path(self.mlp(self.norm2(x)), self.drop_path_rate, self.training), x)


@contextmanager
def held_statistics(layer):
    """Keeps the running statistics of the batch norms in `layer` as they are, also in training."""
    norms = [norm for norm in layer.sublayers() if hasattr(norm, "_momentum")]
    momenta = [norm._momentum for norm in norms]
    for norm in norms:
        norm._momentum = 1.0
    try:
        yield
    finally:
        for norm, momentum in zip(norms, momenta):
            norm._momentum = momentum


def forget_and_recompute(block, x, layout):
    """`block(x, layout)`, whose activations are not kept but computed again in the backward pass."""

    def forward(x):
        if not paddle.is_grad_enabled():
            return block(x, layout)
        with held_statistics(block):  # the second time; they have seen this batch
            return block(x, layout)

    return fleet.utils.recompute(forward, x)


class PatchEmbed(nn.Layer):
    """Convolutional stem: `[N, in_chans, H, W]` to `[N, ceil(H/4), ceil(W/4), embed_dim]`."""

    def __init__(self, in_chans, embed_dim):
        super().__init__()
        width = embed_dim // 2
        self.stem = nn.Sequential(
            nn.Conv2D(in_chans, width, 3, stride=2, padding=1),
            nn.BatchNorm2D(width),
            nn.GELU(),
            nn.Conv2D(width, width, 3, padding=1),
            nn.BatchNorm2D(width),
            nn.GELU(),
            nn.Conv2D(width, width, 3, padding=1),
            nn.BatchNorm2D(width),
            nn.GELU(),
        )
        self.proj = nn.Conv2D(width, embed_dim, 2, stride=2)
        self.norm = nn.LayerNorm(embed_dim)

    def forward(self, x):
        size = x.shape[2], x.shape[3]
        bottom, right = -size[0] % 4, -size[1] % 4
        if not same((bottom, right), (0, 0)):
            x = pad_map(x, bottom, right)
        for conv, norm, act in zip(self.stem[::3], self.stem[1::3], self.stem[2::3]):
            x = act(conv_bn(conv, norm, x))
        x = self.proj(x)
        tokens = self.norm(swap(x.flatten(2)))
        return tokens.reshape([-1, *x.shape[2:], tokens.shape[-1]])


class Downsample(nn.Layer):
    """Batch norm and a 2×2 convolution of stride 2: `[N, H, W, C]` to `[N, H/2, W/2, 2C]`."""

    def __init__(self, dim):
        super().__init__()
        self.norm = TokenBatchNorm(dim)
        self.reduction = nn.Conv2D(dim, 2 * dim, 2, stride=2)

    def forward(self, x):
        height, width, channels = x.shape[1:]
        even = height + height % 2, width + width % 2
        x = pad(self.norm(x.flatten(1, 2)), (height, width), even)
        patches = gather_tokens(x, patch_order(*even), axis=1)
        patches = patches.reshape([-1, even[0] // 2 * (even[1] // 2), 4 * channels])
        weight = swap(self.reduction.weight.flatten(2)).flatten(1)  # in the order of the patches
        x = add_bias(paddle.matmul(patches, weight, transpose_y=True), self.reduction.bias)
        return x.reshape([-1, even[0] // 2, even[1] // 2, 2 * channels])


class Stage(nn.Layer):
    """Mixing blocks at one resolution, and the downsampling behind them unless it is the last."""

    def __init__(self, blocks, num_heads, window_size, downsample, recompute):
        super().__init__()
        self.recompute = recompute
        self.num_heads = num_heads
        self.window_size = window_size
        self.blocks = nn.LayerList(blocks)
        self.downsample = downsample

    def forward(self, x):
        """`[N, H, W, C]` to the stage's map `[N, H, W, C]`, before `downsample`."""
        _, height, width, channels = x.shape
        layout = window_layout(height, width, self.window_size, self.num_heads)
        x = x.flatten(1, 2)
        for block in self.blocks:
            # Without a gradient to hand on, recomputation would give the block's parameters none.
            if self.recompute and self.training and not x.stop_gradient:
                x = forget_and_recompute(block, x, layout)
            else:
                x = block(x, layout)
        return x.reshape([-1, height, width, channels])


class MixFormerTrunk(nn.Layer):
    """The stem and the stages, under a classifier's head or a dense predictor's.

    Args:
        in_chans: channels of the input image.
        embed_dim: channels of the first stage; each stage doubles them.
        depths: Mixing Blocks in each stage.
        num_heads: attention heads in each stage; must divide half the stage's channels.
        window_size: side of the attention windows, in positions of a stage's map.
        mlp_ratio: hidden width of the MLPs over the stage's channels.
        drop_path_rate: stochastic depth of the last block; grows linearly from 0 at the first.
        recompute: in training, compute the activations of each block again in the backward pass
            instead of keeping them: less memory, more time, the same results (arXiv 1604.06174).

    Raises:
        ValueError: a combination that cannot be built; the message says which and why.
    """

    def __init__(
        self,
        in_chans=3,
        embed_dim=24,
        depths=(1, 2, 6, 6),
        num_heads=(3, 6, 12, 24),
        window_size=7,
        mlp_ratio=4.0,
        drop_path_rate=0.0,
        recompute=False,
    ):
        super().__init__()
        check_arguments(
            in_chans, embed_dim, depths, num_heads, window_size, mlp_ratio, drop_path_rate, recompute
        )
        self.in_chans = in_chans
        self.stage_dims = [embed_dim * 2**i for i in range(len(depths))]
        self.patch_embed = PatchEmbed(in_chans, embed_dim)
        rates = iter(linear_rates(drop_path_rate, sum(depths)))
        self.layers = nn.LayerList(
            Stage(
                [MixingBlock(dim, heads, window_size, mlp_ratio, next(rates)) for _ in range(depth)],
                heads,
                window_size,
                Downsample(dim) if dim != self.stage_dims[-1] else None,
                recompute,
            )
            for dim, depth, heads in zip(self.stage_dims, depths, num_heads)
        )
        self.apply(init_linear)

    def stage_maps(self, x):
        """Each stage's map `[N, H, W, C]`, channels-last, finest first."""
        if x.shape[1] != self.in_chans:
            raise ValueError(
                f"MixFormer was built for {self.in_chans} input channels, "
                f"got an input of shape {list(x.shape)}; pass images as [N, C, H, W] "
                f"or build with in_chans={x.shape[1]}"
            )
        maps = []
        x = self.patch_embed(x)
        for stage in self.layers:
            x = stage(x)
            maps.append(x)
            if stage.downsample is not None:
                x = stage.downsample(x)
        return maps

    def forward_stages(self, x):
        """Stage maps for dense prediction, `[N, C, H, W]` each, at strides 4, 8, 16, 32."""
        return [as_map(x.flatten(1, 2), x.shape[1:3]) for x in self.stage_maps(x)]


class MixFormer(MixFormerTrunk):
    """MixFormer classifier.

    Args:
        class_num: classes of the head.
        trunk: arguments of `MixFormerTrunk`.

    Raises:
        ValueError: a combination that cannot be built; the message says which and why.
    """

    feature_dim = 1280

    def __init__(self, class_num=1000, **trunk):
        check_positive(class_num=class_num)
        super().__init__(**trunk)
        self.class_num = class_num
        self.norm = nn.LayerNorm(self.stage_dims[-1])
        self.last_proj = Linear(self.stage_dims[-1], self.feature_dim)
        self.head = nn.Linear(self.feature_dim, class_num)
        self.last_proj.apply(init_linear)
        self.head.apply(init_linear)

    def forward_features(self, x):
        """`[N, in_chans, H, W]` to the pooled features that enter the head, `[N, 1280]`."""
        last = self.stage_maps(x)[-1]
        return F.gelu(self.last_proj(self.norm(last.flatten(1, 2)))).mean(1)

    def forward_head(self, features):
        """Pooled features `[N, 1280]` to logits `[N, class_num]`."""
        return self.head(features)

    def forward(self, x):
        """`[N, in_chans, H, W]` to logits `[N, class_num]`."""
        return self.forward_head(self.forward_features(x))


def linear_rates(last, count):
    """`count` rates from 0 to `last` in equal steps."""
    return [last * i / max(count - 1, 1) for i in range(count)]


def init_linear(layer):
    """Truncated normal of std 0.02 and zero bias for linear layers; others keep Paddle's."""
    if isinstance(layer, nn.Linear):
        TruncatedNormal(std=0.02)(layer.weight)
        Constant(0.0)(layer.bias)


def check_positive(**values):
    """Raises a ValueError that names the first value that is not a positive integer."""
    for name, value in values.items():
        if not isinstance(value, int) or value < 1:
            raise ValueError(f"{name} must be a positive integer, got {value!r}")


def check_arguments(
    in_chans, embed_dim, depths, num_heads, window_size, mlp_ratio, drop_path_rate, recompute
):
    """Raises a ValueError that names the first argument of `MixFormerTrunk` that cannot be built."""
    check_positive(in_chans=in_chans, window_size=window_size)
    check_positive(**{f"depths[{i}]": depth for i, depth in enumerate(depths)})
    check_positive(**{f"num_heads[{i}]": heads for i, heads in enumerate(num_heads)})
    if not isinstance(embed_dim, int) or embed_dim < 16 or embed_dim % 2:
        raise ValueError(
            "embed_dim must be an even integer of at least 16, since the branches work on 1/2 "
            f"and 1/16 of it, got {embed_dim!r}"
        )
    if not depths or len(depths) != len(num_heads):
        raise ValueError(
            "depths and num_heads must name the same stages, at least one, "
            f"got {len(depths)} and {len(num_heads)}"
        )
    for stage, heads in enumerate(num_heads):
        half = embed_dim * 2**stage // 2
        if half % heads:
            raise ValueError(
                f"num_heads[{stage}]={heads} does not divide {half}, the attention width of "
                f"stage {stage} (half of its {2 * half} channels)"
            )
    if not mlp_ratio * embed_dim >= 1:
        raise ValueError(f"mlp_ratio must give at least one hidden channel, got {mlp_ratio!r}")
    if not 0.0 <= drop_path_rate < 1.0:
        raise ValueError(f"drop_path_rate must be in [0, 1), got {drop_path_rate!r}")
    if not isinstance(recompute, bool):
        raise ValueError(f"recompute must be True or False, got {recompute!r}")
