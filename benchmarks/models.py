"""The networks that are compared: MixFormer, and peers as the paddleclas wheel has them."""

from importlib import import_module
from typing import NamedTuple

import ppcls_mixformer

BACKBONES = "paddleclas.ppcls.arch.backbone."
MIXFORMER = "MixFormer"


class Peer(NamedTuple):
    """A network of others.

    Attributes:
        module: where the wheel keeps it.
        builder: its function there.
        top1: published ImageNet-1k accuracy, %.
        family: networks of one design.
        label: what a chart calls it.
    """

    module: str
    builder: str
    top1: float
    family: str
    label: str


# Accuracies of the weights that PaddleClas publishes, from docs/zh_CN/models/ImageNet1k/ in its tree
# d178931f (develop, October 2024): SwinTransformer.md, ConvNeXt.md, Twins.md, TNT.md, PP-HGNet.md,
# PP-HGNetV2.md, PP-LCNet.md, MobileNetV3.md and, of ResNet50 and EfficientNetB0, README.md. PP-HGNetV2 was
# distilled from a larger network (SSLD); the others and MixFormer were trained on ImageNet-1k alone.
PEERS = {
    "SwinTransformer_tiny": Peer(
        "legendary_models.swin_transformer", "SwinTransformer_tiny_patch4_window7_224", 81.1, "Swin", "Swin-T"
    ),
    "SwinTransformer_small": Peer(
        "legendary_models.swin_transformer",
        "SwinTransformer_small_patch4_window7_224",
        83.2,
        "Swin",
        "Swin-S",
    ),
    "ConvNeXt_tiny": Peer("model_zoo.convnext", "ConvNeXt_tiny", 82.0, "ConvNeXt", "ConvNeXt-T"),
    "Twins_PCPVT_small": Peer("model_zoo.twins", "pcpvt_small", 81.2, "Twins", "Twins-PCPVT-S"),
    "Twins_SVT_small": Peer("model_zoo.twins", "alt_gvt_small", 81.8, "Twins", "Twins-SVT-S"),
    "TNT_small": Peer("model_zoo.tnt", "TNT_small", 81.5, "TNT", "TNT-S"),
    "ResNet50": Peer("legendary_models.resnet", "ResNet50", 76.5, "ResNet", "ResNet50"),
    "PPHGNet_tiny": Peer("legendary_models.pp_hgnet", "PPHGNet_tiny", 79.8, "PP-HGNet", "PP-HGNet-T"),
    "PPHGNet_small": Peer("legendary_models.pp_hgnet", "PPHGNet_small", 81.5, "PP-HGNet", "PP-HGNet-S"),
    "PPHGNetV2_B0": Peer("legendary_models.pp_hgnet_v2", "PPHGNetV2_B0", 77.8, "PP-HGNetV2", "HGNetV2-B0*"),
    "PPHGNetV2_B2": Peer("legendary_models.pp_hgnet_v2", "PPHGNetV2_B2", 81.7, "PP-HGNetV2", "HGNetV2-B2*"),
    "PPHGNetV2_B4": Peer("legendary_models.pp_hgnet_v2", "PPHGNetV2_B4", 83.6, "PP-HGNetV2", "HGNetV2-B4*"),
    "EfficientNetB0": Peer(
        "model_zoo.efficientnet", "EfficientNetB0", 77.4, "EfficientNet", "EfficientNet-B0"
    ),
    "MobileNetV3_large_x1_0": Peer(
        "legendary_models.mobilenet_v3", "MobileNetV3_large_x1_0", 75.3, "MobileNetV3", "MobileNetV3-L"
    ),
    "PPLCNet_x1_0": Peer("legendary_models.pp_lcnet", "PPLCNet_x1_0", 71.3, "PP-LCNet", "PP-LCNet ×1.0"),
    "PPLCNet_x2_5": Peer("legendary_models.pp_lcnet", "PPLCNet_x2_5", 76.6, "PP-LCNet", "PP-LCNet ×2.5"),
}
NAMES = [*ppcls_mixformer.VARIANTS, *PEERS]


def build(name, size):
    """The network `name` with random weights, for images of `size` by `size`."""
    if name in ppcls_mixformer.VARIANTS:
        return getattr(ppcls_mixformer, name)()
    peer = PEERS[name]
    arguments = {"img_size": size} if peer.family in ("Swin", "Twins", "TNT") else {}
    return getattr(import_module(BACKBONES + peer.module), peer.builder)(**arguments)


def published_top1(name):
    """Published ImageNet-1k accuracy in percent; not measured here."""
    return ppcls_mixformer.VARIANTS[name].top1 if name in ppcls_mixformer.VARIANTS else PEERS[name].top1


def family(name):
    """What networks of one design have in common."""
    return MIXFORMER if name in ppcls_mixformer.VARIANTS else PEERS[name].family


def label(name):
    """What a chart calls it."""
    return name.removeprefix(f"{MIXFORMER}_") if name in ppcls_mixformer.VARIANTS else PEERS[name].label
