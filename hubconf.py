"""Lets `paddle.hub.load(<checkout>, "MixFormer_B2", source="local")` build the classifiers."""

from ppcls_mixformer import (
    MixFormer_B0,
    MixFormer_B1,
    MixFormer_B2,
    MixFormer_B3,
    MixFormer_B4,
    MixFormer_B5,
    MixFormer_B6,
)

dependencies = ["numpy", "paddle"]

__all__ = [
    "MixFormer_B0",
    "MixFormer_B1",
    "MixFormer_B2",
    "MixFormer_B3",
    "MixFormer_B4",
    "MixFormer_B5",
    "MixFormer_B6",
]
