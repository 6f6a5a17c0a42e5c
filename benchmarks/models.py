"""The networks that are compared: MixFormer, and peers as the paddleclas wheel has them."""

from importlib import import_module

import ppcls_mixformer

BACKBONES = "paddleclas.ppcls.arch.backbone."
# Where the wheel keeps each peer, and its published ImageNet-1k top-1 (%).
PEERS = {
    "SwinTransformer_tiny": (
        "legendary_models.swin_transformer",
        "SwinTransformer_tiny_patch4_window7_224",
        81.3,
    ),
    "ResNet50": ("legendary_models.resnet", "ResNet50", 76.5),
    "EfficientNetB0": ("model_zoo.efficientnet", "EfficientNetB0", 77.4),
}
NAMES = [*ppcls_mixformer.VARIANTS, *PEERS]


def build(name, size):
    """The network `name` with random weights, for images of `size` by `size`."""
    if name in ppcls_mixformer.VARIANTS:
        return getattr(ppcls_mixformer, name)()
    module, builder, _ = PEERS[name]
    arguments = {"img_size": size} if "Swin" in name else {}
    return getattr(import_module(BACKBONES + module), builder)(**arguments)


def published_top1(name):
    """Published ImageNet-1k accuracy in percent; not measured here."""
    return ppcls_mixformer.VARIANTS[name].top1 if name in ppcls_mixformer.VARIANTS else PEERS[name][2]
