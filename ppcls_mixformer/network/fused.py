"""Stages for inference alone: what `mixformer` computes, in fewer and larger operators.

Tokens are rows `[N * L, C]` here, so that a product and its bias become one operator in most readers of an
export. `fuse` puts these layers in the place of trained ones.
"""

import paddle
import paddle.nn.functional as F
from paddle import nn

from ppcls_mixformer.network import ops
from ppcls_mixformer.network.windows import window_grid


class FusedStage(nn.Layer):
    """A `Stage` for inference.

    Args:
        stage: the trained one, its batch norms folded but for `downsample`'s; this one takes its layers over.
    """

    def __init__(self, stage):
        super().__init__()
        self.num_heads, self.window_size = stage.num_heads, stage.window_size
        self.blocks = nn.LayerList(FusedBlock(block) for block in stage.blocks)
        self.downsample = stage.downsample
        if self.downsample is not None:
            self.downsample.reduction = linear_of_patches(self.downsample.reduction)

    def forward(self, x, size):
        """`[N, L, C]` of a map of `size` to `[N, L, C]`."""
        grid = window_grid(size, self.window_size, self.num_heads)
        shape = [-1, size[0] * size[1], x.shape[-1]]
        x = rows(x)
        for block in self.blocks:
            x = block(x, grid)
        return x.reshape(shape)


class FusedBlock(nn.Layer):
    """A `MixingBlock` for inference: `MixingAttention` and `Mlp` in one.

    Args:
        block: the trained one, `conv_norm` and the norms of its interactions folded.
    """

    def __init__(self, block):
        super().__init__()
        attention = block.attn
        self.norm1, self.norm2 = block.norm1, block.norm2
        self.proj_attn, self.proj_attn_norm = linear(attention.proj_attn), attention.proj_attn_norm
        self.proj_cnn, self.proj_cnn_norm = linear(attention.proj_cnn), attention.proj_cnn_norm
        self.qkv = linear_of_scaled_queries(attention.qkv, attention.scale)
        self.register_buffer("position_bias", attention.position_bias().contiguous())
        self.dwconv3x3 = attention.dwconv3x3[0]
        self.projection = linear_of_pointwise(attention.projection)
        self.channel_gate = gate(attention.channel_interaction)
        self.spatial_gate = gate(attention.spatial_interaction)
        self.attn_norm = attention.attn_norm
        self.proj = linear(attention.proj)
        self.mlp = nn.Sequential(linear(block.mlp.fc1), nn.GELU(), linear(block.mlp.fc2))

    def forward(self, x, grid):
        """Rows `[N * L, C]` of the map of `grid` to rows `[N * L, C]`."""
        padded = grid.pad_rows(self.norm1(x))
        local = F.gelu(self.dwconv3x3(rows_to_map(self.proj_cnn_norm(self.proj_cnn(padded)), grid.padded)))
        pooled = F.adaptive_avg_pool2d(local, 1).reshape([-1, local.shape[1]])
        attention = self.attend(self.proj_attn_norm(self.proj_attn(padded)), grid)
        attention = rows(attention * self.channel_gate(pooled).unsqueeze(1))
        local = self.projection(rows(local.transpose([0, 2, 3, 1]))) * self.spatial_gate(attention)
        x = x + self.proj(grid.crop_rows(paddle.concat([self.attn_norm(attention), local], axis=-1)))
        return x + self.mlp(self.norm2(x))

    def attend(self, x, grid):
        """Self-attention within each window of the padded map, rows `[N * L, C/2]` to `[N, L, C/2]`."""
        q, k, v = grid.split(self.qkv(x))
        logits = paddle.matmul(q, k, transpose_y=True) + self.position_bias
        return grid.merge(paddle.matmul(F.softmax(logits), v))


def rows(x):
    """`[..., C]` to rows `[M, C]`."""
    return x.reshape([-1, x.shape[-1]])


def rows_to_map(x, size):
    """Rows `[N * L, C]` of maps of `size` to `[N, C, H, W]`."""
    return x.reshape([-1, *size, x.shape[-1]]).transpose([0, 3, 1, 2])


def gate(interaction):
    """An interaction, its norm folded, with the sigmoid behind it, on rows."""
    first, _, _, second = interaction
    return nn.Sequential(linear_of_pointwise(first), nn.GELU(), linear_of_pointwise(second), nn.Sigmoid())


def linear(layer):
    """A linear layer as Paddle's own."""
    return linear_from(layer.weight, layer.bias)


def linear_of_pointwise(conv):
    """A 1×1 convolution as a linear layer."""
    return linear_from(ops.transpose(conv.weight.flatten(1).unsqueeze(0)).squeeze(0), conv.bias)


def linear_of_patches(conv):
    """A `PatchConv` as a linear layer of patches `[..., 4 * C_in]`: position first, channel second."""
    weight = ops.transpose(conv.weight.flatten(2)).flatten(1)
    return linear_from(ops.transpose(weight.unsqueeze(0)).squeeze(0), conv.bias)


def linear_of_scaled_queries(qkv, scale):
    """The linear layer in front of attention, with the scale of its logits in its first third."""
    width = qkv.weight.shape[0]
    factor = paddle.concat([paddle.full([width], scale), paddle.ones([2 * width])])
    return linear_from(qkv.weight * factor, qkv.bias * factor)


def linear_from(weight, bias):
    """A linear layer of `weight`, `[C_in, C_out]`, and `bias`, `[C_out]`."""
    layer = nn.Linear(*weight.shape)
    layer.weight.set_value(weight)
    layer.bias.set_value(bias)
    return layer
