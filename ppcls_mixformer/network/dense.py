"""MixFormer as the backbone of a dense predictor: several maps instead of one vector."""

from paddle import nn

from ppcls_mixformer.network.mixformer import MixFormerTrunk, as_map


class DenseMixFormer(MixFormerTrunk):
    """MixFormer without its head; a LayerNorm on each map that goes out, as in Swin (arXiv 2103.14030).

    Args:
        out_indices: stages whose maps go out, rising, 0 the finest (stride 4).
        frozen_stages: parts that do not learn: -1 none, 0 the stem, n the stem and the first n stages.
        norm_eval: keep the running statistics of the batch norms in training, for batches too small
            to measure them.
        trunk: arguments of `MixFormerTrunk`.

    Raises:
        ValueError: a combination that cannot be built; the message says which and why.
    """

    def __init__(self, out_indices=(0, 1, 2, 3), frozen_stages=-1, norm_eval=False, **trunk):
        super().__init__(**trunk)
        check_stages(out_indices, frozen_stages, len(self.layers))
        self.out_indices = tuple(out_indices)
        self.out_dims = [self.stage_dims[i] for i in out_indices]
        self.out_strides = [4 * 2**i for i in out_indices]
        for i in out_indices:
            setattr(self, f"norm{i}", nn.LayerNorm(self.stage_dims[i]))
        self.frozen = [self.patch_embed, *self.layers][: frozen_stages + 1]
        for layer in self.frozen:
            for parameter in layer.parameters():
                parameter.stop_gradient = True
        self.norm_eval = norm_eval

    def hold(self):
        """Puts what must not learn into evaluation mode, which `train()` of the whole model undoes."""
        for layer in self.frozen:
            layer.eval()
        if self.norm_eval:
            for norm in self.sublayers():
                if hasattr(norm, "_momentum"):
                    norm.eval()

    def forward_maps(self, x):
        """`[N, in_chans, H, W]` to maps `[N, C, H, W]`, one for each of `out_indices`."""
        if self.training:
            self.hold()
        maps = self.stage_maps(x)
        return [
            as_map(getattr(self, f"norm{i}")(maps[i].flatten(1, 2)), maps[i].shape[1:3])
            for i in self.out_indices
        ]

    def forward(self, x):
        """As `forward_maps`; a host whose backbones take something else overrides it."""
        return self.forward_maps(x)


def check_stages(out_indices, frozen_stages, count):
    """Raises a ValueError where the stages asked for are not among `count`."""
    if list(out_indices) != sorted(set(out_indices) & set(range(count))) or not out_indices:
        raise ValueError(f"out_indices must be rising stages of 0 to {count - 1}, got {out_indices!r}")
    if frozen_stages not in range(-1, count + 1):
        raise ValueError(f"frozen_stages must be -1 to {count}, got {frozen_stages!r}")
