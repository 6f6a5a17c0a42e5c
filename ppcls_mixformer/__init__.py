"""MixFormer backbones (CVPR 2022) for PaddlePaddle, PaddleClas, PaddleDetection and PaddleSeg.

What needs Paddle is imported once it is asked for, so that an exported model can be read without Paddle.
"""

# paddlepaddle 2.6.2 exports its own zlib: unless Python's is loaded first, reading a PNG dies.
import zlib  # noqa: F401  isort: skip

import importlib

from ppcls_mixformer.hosting.errors import needs_paddle

__version__ = "0.1.0"

MODULE_OF = {
    "Classifier": "predict.classifier",
    "VARIANTS": "variants",
    "MixFormer": "network.mixformer",
    "MixFormer_B0": "zoo",
    "MixFormer_B1": "zoo",
    "MixFormer_B2": "zoo",
    "MixFormer_B3": "zoo",
    "MixFormer_B4": "zoo",
    "MixFormer_B5": "zoo",
    "MixFormer_B6": "zoo",
    "WeightsError": "weights.errors",
}

__all__ = list(MODULE_OF)


def __getattr__(name):
    """Imports what `MODULE_OF` lists, and keeps it.

    Raises:
        ModuleNotFoundError: it needs Paddle, and there is none.
    """
    if name not in MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        module = importlib.import_module(f"{__name__}.{MODULE_OF[name]}")
    except ModuleNotFoundError as error:
        if error.name != "paddle":
            raise
        raise ModuleNotFoundError(needs_paddle(f"{__name__}.{name}"), name="paddle") from None
    globals()[name] = getattr(module, name)
    return globals()[name]


def __dir__():
    return sorted({*globals(), *__all__})
