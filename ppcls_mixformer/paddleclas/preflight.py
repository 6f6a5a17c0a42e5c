"""Checks what PaddleClas would ignore silently or crash on, before anything is built."""

import logging
from pathlib import Path
from typing import NamedTuple, Optional

import ppcls.arch
from ppcls.utils.ema import ExponentialMovingAverage

from ppcls_mixformer import zoo
from ppcls_mixformer.hosting import onnx
from ppcls_mixformer.hosting.advice import has_gpu, nearest
from ppcls_mixformer.hosting.errors import UserError
from ppcls_mixformer.paddleclas import lists, names, weights
from ppcls_mixformer.paddleclas.backbone import ARCH_KEYS, backbone_section

logger = logging.getLogger(__name__)

LISTED = ("ImageNetDataset", "MultiLabelDataset")  # whose list files are read here


def check(settings, mode):
    """Checks all that `mode` (train, eval, infer, export) needs before anything is built.

    Raises:
        UserError: names the key, the value and what to do.
    """
    flags, config = settings
    if mode == "export" and flags.onnx:
        onnx.require("--onnx")
    check_device(config["Global"].get("device"))
    check_options(config)
    settle_class_count(config)
    check_arch(config["Arch"])
    names.check(config)
    weights.check(config, mode, mode != "train" and flags.random_weights)
    for split in {"train": ("Train", "Eval"), "eval": ("Eval",)}.get(mode, ()):
        if split == "Eval" and mode == "train" and not config["Global"].get("eval_during_train"):
            continue
        if not config["DataLoader"].get(split):
            raise UserError(f"the config has no DataLoader.{split}, which {mode} needs")
        classes = Classes.of(config["Arch"])
        if split == "Eval" and config["Global"].get("eval_mode") == "retrieval":
            classes = Classes("", None)  # pictures are compared with others, not with classes
        check_data(config["DataLoader"][split], f"DataLoader.{split}", classes)
    if mode == "infer":
        check_infer(config)


class Classes(NamedTuple):
    """How many classes the head has, None where the config does not say, and the key that says it."""

    key: str
    number: Optional[int]

    @classmethod
    def of(cls, arch):
        """Those of the section `Arch`; RecModel has them in its head."""
        if arch.get("name") == "RecModel":
            return cls("Arch.Head.class_num", (arch.get("Head") or {}).get("class_num"))
        return cls("Arch.class_num", arch.get("class_num"))


def settle_class_count(config):
    """Takes Global.class_num as Arch.class_num, which it was before, where that is missing.

    PaddleClas 2.3 builds 1000 classes in silence.
    """
    section, arch = config["Global"], config["Arch"]
    number = section.pop("class_num", None)
    if number is None or "models" in arch or arch.get("name") == "RecModel":
        return
    if arch.setdefault("class_num", number) != number:
        raise UserError(
            f"Global.class_num is {number} and Arch.class_num {arch['class_num']}: leave the former out"
        )
    logger.warning("Global.class_num: taken as Arch.class_num=%s, where PaddleClas reads it", number)


def check_device(device):
    """Refuses `gpu` on a machine or a Paddle without one."""
    if device == "gpu" and not has_gpu():
        raise UserError(
            "Global.device is gpu, but this machine or this Paddle has no GPU: "
            "add -o Global.device=cpu, or install paddlepaddle-gpu"
        )


def check_options(config):
    """Turns off, with a warning, what this PaddleClas or this device cannot do."""
    arch, amp = config["Arch"], config.get("AMP")
    if amp is not None and not amp.get("use_amp", True):
        del config["AMP"]  # before 2.6 its presence turns AMP on
    if "EMA" in config and not hasattr(ExponentialMovingAverage, "_update"):
        logger.warning(
            "section EMA: this PaddleClas does not read it, 2.5 and later do; training without EMA"
        )
    if arch.get("use_sync_bn") and config["Global"].get("device") != "gpu":
        del arch["use_sync_bn"]  # 2.5 and later ignore it by themselves
        logger.warning("Arch.use_sync_bn: synchronized batch norm needs device gpu; training without it")


def check_arch(arch):
    """Refuses an unknown backbone, and for MixFormer an unknown or impossible argument."""
    section, arch = backbone_section(arch)
    name = arch.get("name")
    if not name or not hasattr(ppcls.arch, name):
        near = nearest(name, dir(ppcls.arch))
        raise UserError(
            f"{section}.name {name} is not a model of this PaddleClas"
            + (f"; did you mean {near}?" if near else "")
        )
    if name not in zoo.VARIANTS:
        return
    try:
        zoo.resolve(name, **{key: value for key, value in arch.items() if key not in ARCH_KEYS})
    except TypeError as error:  # it starts with the key
        raise UserError(f"{section}.{error}") from None
    except ValueError as error:
        raise UserError(f"{section} of {name}: {error}") from None


def check_data(node, key, classes):
    """Refuses a missing image folder, list or picture, and labels that the head has no class for.

    `node` is a split of `DataLoader`, or a dict of such (Query and Gallery).
    """
    if "dataset" not in node:
        for name, value in node.items():
            if isinstance(value, dict):
                check_data(value, f"{key}.{name}", classes)
        return
    dataset = node["dataset"]
    root, listing = dataset.get("image_root"), dataset.get("cls_label_path")
    if root and not Path(root).is_dir():
        raise UserError(f"{key}.dataset.image_root: there is no folder {root}")
    if not listing:
        return
    for path in listing if isinstance(listing, list) else [listing]:
        if not Path(path).is_file():
            raise UserError(f"{key}.dataset.cls_label_path: there is no file {path}")
        if dataset.get("name") in LISTED:
            several = dataset["name"] == "MultiLabelDataset"
            found = lists.read(path, dataset.get("delimiter"), several)
            lists.check_labels(path, found, classes, bool(dataset.get("relabel")))
            lists.check_pictures(path, root or "", found, f"{key}.dataset.image_root")


def check_infer(config):
    """Refuses missing pictures and a missing class-name file."""
    infer = config.get("Infer")
    if not infer:
        raise UserError("the config has no section Infer")
    if not Path(infer["infer_imgs"]).exists():
        raise UserError(f"Infer.infer_imgs: there is no file or folder {infer['infer_imgs']}")
    names = (infer.get("PostProcess") or {}).get("class_id_map_file")
    if names and not Path(names).is_file():
        raise UserError(f"Infer.PostProcess.class_id_map_file: there is no file {names}")
