"""MixFormer backbones (CVPR 2022) for PaddlePaddle, PaddleClas, PaddleDetection and PaddleSeg."""

# paddlepaddle 2.6.2 exports its own zlib: unless Python's is loaded first, reading a PNG dies.
import zlib  # noqa: F401  isort: skip

from ppcls_mixformer.network.mixformer import MixFormer
from ppcls_mixformer.weights.checkpoint import WeightsError
from ppcls_mixformer.zoo import (
    VARIANTS,
    MixFormer_B0,
    MixFormer_B1,
    MixFormer_B2,
    MixFormer_B3,
    MixFormer_B4,
    MixFormer_B5,
    MixFormer_B6,
)

__version__ = "0.1.0"

__all__ = [
    "VARIANTS",
    "MixFormer",
    "MixFormer_B0",
    "MixFormer_B1",
    "MixFormer_B2",
    "MixFormer_B3",
    "MixFormer_B4",
    "MixFormer_B5",
    "MixFormer_B6",
    "WeightsError",
]
