"""Keypoints: deconvolutions on the last map, under PaddleDetection's top-down head."""

from paddle import nn
from ppdet.core.workspace import create, register


@register
class SimpleBaseline(nn.Layer):
    """A backbone and three deconvolutions that bring its last map to stride 4 (arXiv 1804.06208).

    It is the backbone of PaddleDetection's `TopDownHRNet`, with `width: 256`, whose own 1×1
    convolution then gives the heat maps.

    Args:
        backbone: its last map goes in.
        width: channels of the deconvolutions.
        count: how many deconvolutions; each doubles the resolution.
    """

    def __init__(self, backbone="MixFormer", width=256, count=3):
        super().__init__()
        self.backbone = backbone
        channels = [backbone.out_shape[-1].channels, *[width] * count]
        self.deconvolutions = nn.Sequential(
            *(layer for c_in, c_out in zip(channels, channels[1:]) for layer in deconvolution(c_in, c_out))
        )

    @classmethod
    def from_config(cls, cfg):
        return {"backbone": create(cfg["backbone"])}

    def forward(self, inputs):
        """`inputs["image"]`, `[N, 3, H, W]`, to `[[N, width, H/4, W/4]]` for three deconvolutions."""
        return [self.deconvolutions(self.backbone(inputs)[-1])]


def deconvolution(c_in, c_out):
    """Transposed convolution 4×4 of stride 2, batch norm and ReLU."""
    weight = nn.initializer.Normal(std=0.001)
    return (
        nn.Conv2DTranspose(c_in, c_out, 4, stride=2, padding=1, weight_attr=weight, bias_attr=False),
        nn.BatchNorm2D(c_out),
        nn.ReLU(),
    )
