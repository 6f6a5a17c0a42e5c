"""The UPerNet of the published table of segmentation: 512 channels everywhere, FCN auxiliary head."""

import paddle
import paddle.nn.functional as F
from paddle import nn
from paddle.nn.initializer import Constant, KaimingNormal, Normal
from paddleseg.cvlibs import manager

# oneDNN, on by default in Paddle inference 3.3, refuses every bilinear interpolation of a map there.
ONEDNN_REFUSES_MAPS = paddle.__version__.startswith("3.3.")


@manager.MODELS.add_component
class UPerNetFCN(nn.Layer):
    """UPerNet (arXiv 1807.10221) with an FCN head on its third map in training.

    It is that of Swin (arXiv 2103.14030, section 4.3). PaddleSeg's `UPerNet` has narrower pooling
    branches, another auxiliary head and a convolution that nothing uses.

    Args:
        num_classes: number of classes.
        backbone: a network that gives four maps, finest first, and has `feat_channels`.
        channels: channels of the pyramid.
        aux_channels: channels of the auxiliary head, which only training uses.
        dropout_prob: share of the channels that are dropped before each classifier.
    """

    def __init__(self, num_classes, backbone, channels=512, aux_channels=256, dropout_prob=0.1):
        super().__init__()
        *finer, coarsest = backbone.feat_channels
        self.backbone = backbone
        self.pooling = PyramidPooling(coarsest, channels)
        self.lateral_convs = nn.LayerList(conv_bn_relu(width, channels, 1) for width in finer)
        self.fpn_convs = nn.LayerList(conv_bn_relu(channels, channels, 3) for _ in finer)
        self.fusion = conv_bn_relu(len(backbone.feat_channels) * channels, channels, 3)
        self.classifier = classifier(channels, num_classes, dropout_prob)
        self.auxiliary = nn.Sequential(
            conv_bn_relu(finer[-1], aux_channels, 3),
            classifier(aux_channels, num_classes, dropout_prob),
        )

    def decode(self, maps):
        """Maps `[N, C, H, W]`, finest first, to features `[N, channels, H, W]` of the finest's size."""
        pyramid = [conv(x) for conv, x in zip(self.lateral_convs, maps)] + [self.pooling(maps[-1])]
        for i in range(len(pyramid) - 1, 0, -1):
            pyramid[i - 1] = pyramid[i - 1] + resize_like(pyramid[i], pyramid[i - 1])
        finer = [conv(x) for conv, x in zip(self.fpn_convs, pyramid)]
        levels = [*finer, pyramid[-1]]
        return self.fusion(paddle.concat([levels[0]] + [resize_like(x, levels[0]) for x in levels[1:]], 1))

    def forward(self, x):
        """`[N, C, H, W]` to logits `[N, num_classes, H, W]`, in training the auxiliary head's too."""
        maps = self.backbone(x)
        logits = [self.classifier(self.decode(maps))]
        if self.training:
            logits.append(self.auxiliary(maps[2]))
        return [resize_like(each, x) for each in logits]


class PyramidPooling(nn.Layer):
    """Averages over grids of each of `bins`, beside the map itself (arXiv 1612.01105)."""

    def __init__(self, in_channels, channels, bins=(1, 2, 3, 6)):
        super().__init__()
        self.bins = bins
        self.convs = nn.LayerList(conv_bn_relu(in_channels, channels, 1) for _ in bins)
        self.bottleneck = conv_bn_relu(in_channels + len(bins) * channels, channels, 3)

    def forward(self, x):
        """`[N, in_channels, H, W]` to `[N, channels, H, W]`."""
        pooled = [conv(F.adaptive_avg_pool2d(x, side)) for side, conv in zip(self.bins, self.convs)]
        return self.bottleneck(paddle.concat([x] + [resize_like(each, x) for each in pooled], 1))


def resize_like(x, other):
    """`x` bilinearly resized to height and width of `other`."""
    return resize(x, other.shape[2:])


def resize(x, size):
    """`x` bilinearly resized to `size`."""
    if ONEDNN_REFUSES_MAPS and not paddle.in_dynamic_mode():
        return resize_by_products(x, size)
    return F.interpolate(x, size, mode="bilinear", align_corners=False)


def resize_by_products(x, size):
    """`x` bilinearly resized to `size` by two matrix products.

    Three dimensions and no transposition, since oneDNN gets others wrong; see docs/en/UpstreamReports.md.
    """
    (height, width), channels = x.shape[2:], x.shape[1]
    rows = paddle.matmul(x.flatten(0, 1), shares(width, size[1], 0))
    return paddle.matmul(shares(height, size[0], 1), rows).reshape([-1, channels, *size])


def shares(old, new, axis):
    """Share of each of `old` positions in each of `new` ones, a matrix with the old ones along `axis`."""
    sources, targets = paddle.arange(old, dtype="float32"), paddle.arange(new, dtype="float32")
    centres = F.relu((targets + 0.5) * (old / new) - 0.5)
    centres = centres * paddle.clip(targets.max(), max=1.0)  # a single new position takes the first
    centres = paddle.minimum(centres, sources.max())
    return F.relu(1 - (centres.unsqueeze(axis) - sources.unsqueeze(1 - axis)).abs())


def conv_bn_relu(in_channels, channels, kernel):
    """Convolution without bias, batch norm and ReLU, at the same resolution."""
    conv = nn.Conv2D(
        in_channels,
        channels,
        kernel,
        padding=kernel // 2,
        weight_attr=KaimingNormal(fan_in=channels * kernel**2),  # fan-out, as in the original
        bias_attr=False,
    )
    return nn.Sequential(conv, nn.BatchNorm2D(channels), nn.ReLU())


def classifier(in_channels, num_classes, dropout_prob):
    """Dropout of whole channels and a 1×1 convolution to logits."""
    conv = nn.Conv2D(
        in_channels,
        num_classes,
        1,
        weight_attr=Normal(std=0.01),
        bias_attr=paddle.ParamAttr(initializer=Constant(0.0)),
    )
    return nn.Sequential(nn.Dropout2D(dropout_prob), conv)
