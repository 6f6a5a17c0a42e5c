"""MixFormer: Mixing Features across Windows and Dimensions (CVPR 2022, arXiv 2204.02557).

The Mixing Block, section 3.1 of the paper, is `MixingAttention` and `MixingBlock`; the network around it,
section 3.2, is everything from `PatchEmbed` on. After the stem a map is passed on as tokens `[N, L, C]`,
L = height · width in row order, together with its size `(height, width)`. The state dict has the names of
the published checkpoints.
"""

import paddle
import paddle.nn.functional as F
from paddle import nn
from paddle.nn.initializer import Constant, TruncatedNormal

from ppcls_mixformer.network import ops
from ppcls_mixformer.network.checks import check_arguments, check_fine_tuning, check_positive
from ppcls_mixformer.network.fine_tuning import decay_learning_rates, freeze, hold
from ppcls_mixformer.network.layers import (
    ConvNormAct,
    DropPath,
    Linear,
    MapToTokensConv,
    PatchConv,
    PointwiseConv,
    TokenBatchNorm,
    drop_masks_of,
)
from ppcls_mixformer.network.recompute import recomputed
from ppcls_mixformer.network.windows import patches, window_grid


class MixingAttention(nn.Layer):
    """Window attention beside a depth-wise convolution, each gating the other.

    Args:
        dim: channels C of the map; the attention branch works on C/2 of them.
        num_heads: attention heads; must divide C/2.
        window_size: side of a window, in positions of the map.
    """

    def __init__(self, dim, num_heads, window_size):
        super().__init__()
        half = dim // 2
        self.num_heads = num_heads
        self.scale = (half // num_heads) ** -0.5

        self.proj_attn = Linear(dim, half)
        self.proj_attn_norm = nn.LayerNorm(half)
        self.proj_cnn = Linear(dim, dim)
        self.proj_cnn_norm = nn.LayerNorm(dim)

        self.dwconv3x3 = ConvNormAct(
            nn.Conv2D(dim, dim, 3, padding=1, groups=dim),
            nn.BatchNorm2D(dim),
            nn.GELU(),
        )
        self.channel_interaction = interaction(dim, dim // 8, half)
        self.projection = MapToTokensConv(dim, half)
        self.conv_norm = TokenBatchNorm(half)

        self.qkv = Linear(half, half * 3)
        self.relative_position_bias_table = self.create_parameter(
            [(2 * window_size - 1) ** 2, num_heads], default_initializer=TruncatedNormal(std=0.02)
        )
        self.register_buffer("relative_position_index", relative_position_index(window_size))
        self.spatial_interaction = interaction(half, dim // 16, 1)
        self.attn_norm = nn.LayerNorm(half)
        self.proj = Linear(dim, dim)

    def forward(self, x, grid):
        """`[N, L, C]` of the map of `grid` to `[N, L, C]`."""
        x = grid.pad(x)
        local = ops.tokens_to_map(self.proj_cnn_norm(self.proj_cnn(x)), grid.padded)
        local = self.dwconv3x3(local)
        attention = self.attend(self.proj_attn_norm(self.proj_attn(x)), grid)

        # The paper gates the values; attention is linear in them, so its output can be gated instead.
        pooled = F.adaptive_avg_pool2d(local, 1).reshape([-1, 1, local.shape[1]])
        attention = attention * F.sigmoid(self.channel_interaction(pooled))
        local = self.projection(local) * F.sigmoid(self.spatial_interaction(attention))

        mixed = paddle.concat([self.attn_norm(attention), self.conv_norm(local)], axis=-1)
        return self.proj(grid.crop(mixed))

    def attend(self, x, grid):
        """Self-attention within each window of the padded map, `[N, L, C/2]` to `[N, L, C/2]`."""
        q, k, v = grid.split(self.qkv(x))
        logits = paddle.matmul(q * self.scale, k, transpose_y=True)
        logits = ops.add(logits, ops.cast(self.position_bias(), logits.dtype))  # no float32 in AMP
        return grid.merge(paddle.matmul(ops.softmax(logits), v))

    def position_bias(self):
        """Relative position bias, `[heads, window², window²]`."""
        return ops.last_axis_first(
            F.embedding(self.relative_position_index, self.relative_position_bias_table)
        )


def interaction(in_dim, hidden_dim, out_dim):
    """Layers whose sigmoid gates the other branch, `[N, L, in_dim]` to `[N, L, out_dim]`."""
    return nn.Sequential(
        PointwiseConv(in_dim, hidden_dim),
        TokenBatchNorm(hidden_dim),
        nn.GELU(),
        PointwiseConv(hidden_dim, out_dim),
    )


def relative_position_index(size):
    """Row of the bias table for each (query, key) pair of a window, `[size², size²]` int64."""
    axis = paddle.arange(size)
    rows, columns = (t.flatten() for t in paddle.meshgrid(axis, axis))
    row_offset = rows.unsqueeze(1) - rows.unsqueeze(0) + size - 1
    column_offset = columns.unsqueeze(1) - columns.unsqueeze(0) + size - 1
    return row_offset * (2 * size - 1) + column_offset


class Mlp(nn.Layer):
    """Two linear layers with a GELU between, `[N, L, C]` to `[N, L, C]`."""

    def __init__(self, dim, hidden_dim):
        super().__init__()
        self.fc1 = Linear(dim, hidden_dim)
        self.act = nn.GELU()
        self.fc2 = Linear(hidden_dim, dim)

    def forward(self, x):
        return self.fc2(self.act(self.fc1(x)))


class MixingBlock(nn.Layer):
    """Mixing attention and an MLP, each behind a norm and with a residual."""

    def __init__(self, dim, num_heads, window_size, mlp_ratio, drop_path_rate):
        super().__init__()
        self.norm1 = nn.LayerNorm(dim)
        self.attn = MixingAttention(dim, num_heads, window_size)
        self.drop_path = DropPath(drop_path_rate)
        self.norm2 = nn.LayerNorm(dim)
        self.mlp = Mlp(dim, int(dim * mlp_ratio))

    def forward(self, x, grid, masks=(None, None)):
        """`[N, L, C]` of the map of `grid` to `[N, L, C]`; `masks` are those of stochastic depth."""
        x = x + self.drop_path(self.attn(self.norm1(x), grid), masks[0])
        return x + self.drop_path(self.mlp(self.norm2(x)), masks[1])


class PatchEmbed(nn.Layer):
    """Convolutional stem of stride 4; pads images to a multiple of that."""

    def __init__(self, in_chans, embed_dim):
        super().__init__()
        width = embed_dim // 2
        self.stem = ConvNormAct(
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
        """`[N, in_chans, H, W]` to `[N, L, embed_dim]` and the size of that map."""
        x = ops.pad_map(x, bottom=-x.shape[2] % 4, right=-x.shape[3] % 4)
        x = self.proj(self.stem(x))
        return self.norm(ops.map_to_tokens(x)), x.shape[2:]


class Downsample(nn.Layer):
    """Batch norm and a 2×2 convolution of stride 2, from C to 2C channels; pads odd maps."""

    def __init__(self, dim):
        super().__init__()
        self.norm = TokenBatchNorm(dim)
        self.reduction = PatchConv(dim, 2 * dim)

    def forward(self, x, size):
        """`[N, L, C]` of a map of `size` to `[N, ceil(L / 4), 2C]` and the new size."""
        even = [side + side % 2 for side in size]
        x = ops.pad_tokens(self.norm(x), size, even)
        return self.reduction(patches(x, even)), [side // 2 for side in even]


class Stage(nn.Layer):
    """Mixing Blocks at one resolution.

    `downsample`, None in the last stage, is called by the trunk; the published checkpoints have it here.
    """

    def __init__(self, blocks, num_heads, window_size, downsample, recompute):
        super().__init__()
        self.num_heads = num_heads
        self.window_size = window_size
        self.recompute = recompute
        self.blocks = nn.LayerList(blocks)
        self.downsample = downsample

    def forward(self, x, size):
        """`[N, L, C]` of a map of `size` to `[N, L, C]`."""
        grid = window_grid(size, self.window_size, self.num_heads)
        recompute = self.recompute and self.training
        for block, masks in zip(self.blocks, drop_masks_of(self.blocks, x)):
            x = recomputed(block, x, grid, masks) if recompute else block(x, grid, masks)
        return x


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
            instead of keeping them: less memory, more time, the same results.

    Raises:
        ValueError: a combination that cannot be built; the message says which and why.
    """

    def __init__(
        self, in_chans, embed_dim, depths, num_heads, window_size, mlp_ratio, drop_path_rate, recompute
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
        self.frozen = []

    def freeze(self, frozen_stages):
        """Ends the learning of the stem, 0, or of the stem and the first n stages; -1 ends none."""
        self.frozen = [self.patch_embed, *self.layers][: frozen_stages + 1]
        freeze(self.frozen)

    def stages(self, x):
        """The output of each stage for images `[N, in_chans, H, W]`: `(tokens, size)`, finest first."""
        if x.ndim != 4 or x.shape[1] != self.in_chans:
            raise ValueError(
                f"MixFormer was built for {self.in_chans} input channels and takes images [N, C, H, W], "
                f"got an input of shape {list(x.shape)}; see in_chans"
            )
        hold(self.frozen)
        outputs = []
        x, size = self.patch_embed(x)
        for stage in self.layers:
            x = stage(x, size)
            outputs.append((x, size))
            if stage.downsample is not None:
                x, size = stage.downsample(x, size)
        return outputs

    def forward_stages(self, x):
        """`[N, in_chans, H, W]` to the map of each stage, `[N, C, H, W]` at strides 4, 8, 16, 32."""
        return [ops.tokens_to_map(tokens, size) for tokens, size in self.stages(x)]


class MixFormer(MixFormerTrunk):
    """MixFormer classifier; the defaults are those of MixFormer-B0.

    Args:
        class_num: classes of the head.
        frozen_stages: parts that do not learn: -1 none, 0 the stem, n the stem and the first n stages.
        layer_decay: learning rate of each stage, and of the stem, over that of what comes next; the head
            learns at the optimizer's.
        in_chans, embed_dim, depths, num_heads, window_size, mlp_ratio, drop_path_rate, recompute: see
            `MixFormerTrunk`.

    Raises:
        ValueError: a combination that cannot be built; the message says which and why.
    """

    feature_dim = 1280

    def __init__(
        self,
        class_num=1000,
        in_chans=3,
        embed_dim=24,
        depths=(1, 2, 6, 6),
        num_heads=(3, 6, 12, 24),
        window_size=7,
        mlp_ratio=4.0,
        drop_path_rate=0.0,
        recompute=False,
        frozen_stages=-1,
        layer_decay=1.0,
    ):
        check_positive(class_num=class_num)
        super().__init__(
            in_chans, embed_dim, depths, num_heads, window_size, mlp_ratio, drop_path_rate, recompute
        )
        self.class_num = class_num
        self.norm = nn.LayerNorm(self.stage_dims[-1])
        self.last_proj = Linear(self.stage_dims[-1], self.feature_dim)
        self.head = nn.Linear(self.feature_dim, class_num)
        self.last_proj.apply(init_linear)
        self.head.apply(init_linear)
        check_fine_tuning(frozen_stages, layer_decay, len(self.layers))
        self.freeze(frozen_stages)
        head = [self.norm, self.last_proj, self.head]
        decay_learning_rates([[self.patch_embed], *([stage] for stage in self.layers), head], layer_decay)

    def forward_features(self, x):
        """`[N, in_chans, H, W]` to the pooled features that enter the head, `[N, 1280]`."""
        tokens, _ = self.stages(x)[-1]
        return F.gelu(self.last_proj(self.norm(tokens))).mean(1)

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
