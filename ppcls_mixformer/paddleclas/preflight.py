"""What PaddleClas would swallow or die of, said in one line before anything is built."""

import difflib
import logging
from pathlib import Path

import paddle
import ppcls.arch
from ppcls.utils.ema import ExponentialMovingAverage

from ppcls_mixformer import zoo
from ppcls_mixformer.hosting.errors import HostError
from ppcls_mixformer.network import mixformer
from ppcls_mixformer.paddleclas.config import ARCH_KEYS
from ppcls_mixformer.weights.checkpoint import read_checkpoint, read_file

logger = logging.getLogger(__name__)


def check(config, mode):
    """Checks all that `mode` (train, eval, infer, export) needs before anything is built.

    Raises:
        HostError: names the key, the value and what to do.
    """
    check_device(config["Global"].get("device"))
    check_options(config)
    check_arch(config["Arch"])
    check_weights(config, mode)
    for split in {"train": ("Train", "Eval"), "eval": ("Eval",)}.get(mode, ()):
        if split == "Eval" and mode == "train" and not config["Global"].get("eval_during_train"):
            continue
        if not config["DataLoader"].get(split):
            raise HostError(f"the config has no DataLoader.{split}, which {mode} needs")
        check_data(config["DataLoader"][split], f"DataLoader.{split}", config["Arch"].get("class_num"))
    if mode == "infer":
        check_infer(config)


def check_device(device):
    """Refuses `gpu` on a machine or a Paddle without one."""
    if device == "gpu" and not (paddle.is_compiled_with_cuda() and paddle.device.cuda.device_count() > 0):
        raise HostError(
            "Global.device is gpu, but this machine or this Paddle has none: "
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
    name = arch.get("name")
    if name == "RecModel":
        arch = arch.get("Backbone") or {}
        name = arch.get("name")
    if not name or not hasattr(ppcls.arch, name):
        near = difflib.get_close_matches(str(name), dir(ppcls.arch), n=1)
        raise HostError(
            f"Arch.name {name} is not a model of this PaddleClas"
            + (f"; did you mean {near[0]}?" if near else "")
        )
    if name not in zoo.VARIANTS:
        return
    known = zoo.arguments_of(mixformer.MixFormer)
    arguments = {key: value for key, value in arch.items() if key not in ARCH_KEYS}
    for key in arguments:
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1)
            raise HostError(
                f"Arch.{key} is not an argument of {name}"
                + (f"; did you mean {near[0]}?" if near else f": {', '.join(known)}")
            )
    arguments = {**known, **zoo.VARIANTS[name].architecture(), **arguments}
    try:
        mixformer.check_positive(class_num=arguments.pop("class_num"))
        mixformer.check_arguments(**arguments)
    except (TypeError, ValueError) as error:
        raise HostError(f"Arch of {name}: {error}") from None


def check_weights(config, mode):
    """Refuses weights that are not there or are damaged; drops PaddleClas's optional suffix."""
    section = config["Global"]
    for key in ("pretrained_model", "checkpoints"):
        value = section.get(key)
        if value and not str(value).startswith("http"):
            section[key] = str(value)[: -len(".pdparams")] if str(value).endswith(".pdparams") else value
            _read(read_checkpoint, section[key] + ".pdparams", f"Global.{key}")
    pretrained = config["Arch"].get("pretrained")
    if isinstance(pretrained, str) and pretrained:
        _read(read_checkpoint, pretrained, "Arch.pretrained")
    if mode == "train" and section.get("checkpoints"):
        for suffix in (".pdopt", ".pdstates"):
            _read(read_file, section["checkpoints"] + suffix, "Global.checkpoints")


def _read(reader, path, key):
    try:
        reader(path)
    except ValueError as error:
        raise HostError(f"{key}: {error}") from None


def check_data(node, key, class_num):
    """Refuses a missing image folder or list, and labels that the head has no class for.

    `node` is a split of `DataLoader`, or a dict of such (Query and Gallery).
    """
    if "dataset" not in node:
        for name, value in node.items():
            if isinstance(value, dict):
                check_data(value, f"{key}.{name}", class_num)
        return
    dataset = node["dataset"]
    root, listing = dataset.get("image_root"), dataset.get("cls_label_path")
    if root and not Path(root).is_dir():
        raise HostError(f"{key}.dataset.image_root: there is no folder {root}")
    if not listing:
        return
    for path in listing if isinstance(listing, list) else [listing]:
        if not Path(path).is_file():
            raise HostError(f"{key}.dataset.cls_label_path: there is no file {path}")
        if dataset.get("name") == "ImageNetDataset":
            check_list(path, root, dataset.get("delimiter") or " ", class_num)


def check_list(path, root, delimiter, class_num):
    """Refuses an empty list, a line that is not `image label`, and a label of no class."""
    with open(path, encoding="utf-8") as file:
        lines = [line.strip() for line in file]
    if not any(lines):
        raise HostError(f"{path} lists no images")
    for number, line in enumerate(lines, 1):
        image, _, label = line.partition(delimiter)
        if not label.strip().isdigit():
            raise HostError(f"{path}, line {number}: expected `image{delimiter}label`, got {line!r}")
        if class_num and int(label) >= class_num:
            raise HostError(
                f"{path}, line {number}: label {label} needs Arch.class_num of at least "
                f"{int(label) + 1}, it is {class_num}"
            )
    if root and not (Path(root) / lines[0].partition(delimiter)[0]).is_file():
        raise HostError(
            f"{path}, line 1: there is no {lines[0].partition(delimiter)[0]} in {root}; "
            "image paths are taken from DataLoader's image_root"
        )


def check_infer(config):
    """Refuses missing pictures and a missing class-name file."""
    infer = config.get("Infer")
    if not infer:
        raise HostError("the config has no section Infer")
    if not Path(infer["infer_imgs"]).exists():
        raise HostError(f"Infer.infer_imgs: there is no file or folder {infer['infer_imgs']}")
    names = (infer.get("PostProcess") or {}).get("class_id_map_file")
    if names and not Path(names).is_file():
        raise HostError(f"Infer.PostProcess.class_id_map_file: there is no file {names}")
