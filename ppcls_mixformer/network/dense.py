"""MixFormer as the backbone of a dense predictor: several maps instead of one vector."""

from paddle import nn

from ppcls_mixformer.network import ops
from ppcls_mixformer.network.checks import check_stages
from ppcls_mixformer.network.fine_tuning import hold
from ppcls_mixformer.network.layers import is_batch_norm
from ppcls_mixformer.network.mixformer import MixFormerTrunk


class DenseMixFormer(MixFormerTrunk):
    """MixFormer without its head; a LayerNorm on each output map, as in Swin (arXiv 2103.14030).

    Args:
        out_indices: stages whose maps are the output, rising; 0 is the finest (stride 4).
        frozen_stages: parts that do not learn: -1 none, 0 the stem, n the stem and the first n stages.
        norm_eval: keep the running statistics of the batch norms in training, for batches too small
            to measure them.
        in_chans, embed_dim, depths, num_heads, window_size, mlp_ratio, drop_path_rate, recompute: see
            `MixFormerTrunk`.

    Raises:
        ValueError: a combination that cannot be built; the message says which and why.
    """

    def __init__(
        self,
        out_indices=(0, 1, 2, 3),
        frozen_stages=-1,
        norm_eval=False,
        in_chans=3,
        embed_dim=24,
        depths=(1, 2, 6, 6),
        num_heads=(3, 6, 12, 24),
        window_size=7,
        mlp_ratio=4.0,
        drop_path_rate=0.0,
        recompute=False,
    ):
        super().__init__(
            in_chans, embed_dim, depths, num_heads, window_size, mlp_ratio, drop_path_rate, recompute
        )
        check_stages(out_indices, frozen_stages, len(self.layers))
        self.out_indices = tuple(out_indices)
        self.out_dims = [self.stage_dims[i] for i in out_indices]
        self.out_strides = [4 * 2**i for i in out_indices]
        for i in out_indices:
            setattr(self, f"norm{i}", nn.LayerNorm(self.stage_dims[i]))
        self.freeze(frozen_stages)
        self.norm_eval = norm_eval

    def forward_maps(self, x):
        """`[N, in_chans, H, W]` to maps `[N, C, H, W]`, one for each of `out_indices`."""
        if self.training and self.norm_eval:
            hold(layer for layer in self.sublayers() if is_batch_norm(layer))
        stages = self.stages(x)
        return [self.normalized_map(i, *stages[i]) for i in self.out_indices]

    def normalized_map(self, stage, tokens, size):
        """The map of a stage, `[N, C, H, W]`, behind the norm that belongs to it."""
        return ops.tokens_to_map(getattr(self, f"norm{stage}")(tokens), size)

    def forward(self, x):
        """As `forward_maps`; a host whose backbones take something else overrides it."""
        return self.forward_maps(x)
