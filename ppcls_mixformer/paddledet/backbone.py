"""MixFormer as a PaddleDetection backbone."""

from ppdet.core.workspace import register, serializable
from ppdet.modeling.shape_spec import ShapeSpec

from ppcls_mixformer import zoo
from ppcls_mixformer.network.dense import DenseMixFormer


@register
@serializable
class MixFormer(DenseMixFormer):
    """MixFormer for detectors and keypoint networks.

    Args:
        arch: `MixFormer_B0` … `MixFormer_B6`.
        out_indices, frozen_stages, norm_eval: see `DenseMixFormer`.
        drop_path_rate: stochastic depth of the last block; None for the classifier's.
        recompute: less memory and more time in training, see `MixFormerTrunk`.
        pretrained: True for the published ImageNet-1k weights, or the path of a classifier's
            checkpoint.

    Raises:
        ValueError: an unknown `arch`, or arguments that cannot be built together.
        ppcls_mixformer.WeightsError: weights that are not there or do not fit.
    """

    def __init__(
        self,
        arch="MixFormer_B1",
        out_indices=(0, 1, 2, 3),
        frozen_stages=-1,
        norm_eval=False,
        drop_path_rate=None,
        recompute=False,
        pretrained=None,
    ):
        arguments = zoo.resolve_dense(
            arch,
            drop_path_rate=drop_path_rate,
            out_indices=out_indices,
            frozen_stages=frozen_stages,
            norm_eval=norm_eval,
            recompute=recompute,
        )
        super().__init__(**arguments)
        zoo.load_dense(self, arch, pretrained)

    def forward(self, inputs):
        """`inputs["image"]`, `[N, 3, H, W]`, to maps `[N, C, H, W]`, one for each of `out_indices`."""
        return self.forward_maps(inputs["image"])

    @property
    def out_shape(self):
        """Channels and stride of each map, as PaddleDetection's necks and heads ask for them."""
        return [
            ShapeSpec(channels=channels, stride=stride)
            for channels, stride in zip(self.out_dims, self.out_strides)
        ]
