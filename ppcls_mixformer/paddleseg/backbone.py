"""MixFormer as a PaddleSeg backbone."""

from paddleseg.cvlibs import manager

from ppcls_mixformer import zoo
from ppcls_mixformer.network.dense import DenseMixFormer


@manager.BACKBONES.add_component
class MixFormer(DenseMixFormer):
    """MixFormer for segmentation networks: `[N, C, H, W]` to a list of maps `[N, C, H, W]`.

    `feat_channels` holds the channels of each map, as PaddleSeg's models ask for them.

    Args:
        arch: `MixFormer_B0` … `MixFormer_B6`.
        in_channels: channels of the input image.
        out_indices, frozen_stages, norm_eval: see `DenseMixFormer`.
        drop_path_rate: stochastic depth of the last block; None for the classifier's.
        recompute: less memory and more time in training, see `MixFormerTrunk`.
        pretrained: True for the published ImageNet-1k weights, the path of a classifier's
            checkpoint, or None.

    Raises:
        ValueError: an unknown `arch`, or arguments that cannot be built together.
        ppcls_mixformer.WeightsError: weights that are not there or do not fit.
    """

    def __init__(
        self,
        arch="MixFormer_B1",
        in_channels=3,
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
            in_chans=in_channels,
            out_indices=out_indices,
            frozen_stages=frozen_stages,
            norm_eval=norm_eval,
            recompute=recompute,
        )
        super().__init__(**arguments)
        self.feat_channels = self.out_dims
        zoo.load_dense(self, arch, pretrained)
