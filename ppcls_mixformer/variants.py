"""The seven published variants as one table, which needs no Paddle."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Variant:
    """One row of the paper's table 2.

    `params` (M), `gflops` (multiply-adds at 224×224) and `top1` (%) are the authors' published
    values; `has_weights` says whether they published a checkpoint.
    """

    embed_dim: int
    depths: tuple
    num_heads: tuple
    drop_path_rate: float
    params: float
    gflops: float
    top1: float
    has_weights: bool

    def architecture(self):
        """Arguments of `MixFormer` that make this variant."""
        return {
            "embed_dim": self.embed_dim,
            "depths": self.depths,
            "num_heads": self.num_heads,
            "drop_path_rate": self.drop_path_rate,
        }


VARIANTS = {
    "MixFormer_B0": Variant(24, (1, 2, 6, 6), (3, 6, 12, 24), 0.0, 5.1, 0.4, 76.5, False),
    "MixFormer_B1": Variant(32, (1, 2, 6, 6), (2, 4, 8, 16), 0.0, 7.9, 0.7, 78.9, True),
    "MixFormer_B2": Variant(32, (2, 2, 8, 8), (2, 4, 8, 16), 0.05, 9.9, 0.9, 80.0, True),
    "MixFormer_B3": Variant(48, (2, 2, 8, 6), (3, 6, 12, 24), 0.1, 16.8, 1.9, 81.7, True),
    "MixFormer_B4": Variant(64, (2, 2, 8, 8), (4, 8, 16, 32), 0.2, 34.8, 3.6, 83.0, True),
    "MixFormer_B5": Variant(96, (1, 2, 8, 6), (6, 12, 24, 48), 0.3, 61.7, 6.8, 83.5, False),
    "MixFormer_B6": Variant(96, (2, 4, 16, 12), (6, 12, 24, 48), 0.5, 119.6, 12.7, 83.8, True),
}


def find_variant(name):
    """The row of `name` in `VARIANTS`.

    Raises:
        ValueError: there is none.
    """
    if name not in VARIANTS:
        raise ValueError(f"{name} is not a variant of MixFormer; they are {', '.join(VARIANTS)}")
    return VARIANTS[name]
