"""Checks what PaddleClas would ignore silently or crash on, before anything is built."""

import importlib.util
import inspect
import logging
from pathlib import Path
from typing import NamedTuple, Optional

import ppcls.arch
import ppcls.data

from ppcls_mixformer import zoo
from ppcls_mixformer.hosting import onnx
from ppcls_mixformer.hosting.advice import has_gpu, hint
from ppcls_mixformer.hosting.errors import UserError
from ppcls_mixformer.paddleclas import fields, history, labels, lists, names, precision, schema, weights
from ppcls_mixformer.paddleclas.adjust import CLASSES, adjust, settle_class_count
from ppcls_mixformer.paddleclas.backbone import ARCH_KEYS, backbone_section, networks
from ppcls_mixformer.paddleclas.flags import host_mode
from ppcls_mixformer.predict.sources import SCHEMES

logger = logging.getLogger(__name__)

GIVE_FLOATS = ("Normalize", "Tensor")  # parts of names of transforms


def check(settings, mode, said=()):
    """Checks all that `mode` (train, eval, infer, explain, report, export) needs before anything is built.

    Args:
        said: dotted keys of which there was a warning already.

    Raises:
        UserError: names the key, the value and what to do.
    """
    flags, config = settings
    command, mode = mode, host_mode(mode)
    if mode == "export":
        if flags.fp16 and not flags.onnx and not flags.web:
            raise UserError("--fp16 halves what --onnx writes: give both; or what --web writes")
        if flags.onnx or flags.web:
            onnx.require("--onnx" if flags.onnx else "--web")
    if command == "eval":
        check_report(flags)
    check_arch(config["Arch"])
    settle_class_count(config)
    precision.settle(config)
    labels.check_renamed(config)
    schema.check(config, mode, said)
    if mode == "train":
        history.check(config)
    check_device(config["Global"]["device"])
    check_slim(config.get("Slim"))
    check_channels(config, mode)
    adjust(config, mode)
    labels.check(config, mode)
    exported = getattr(flags, "inference_dir", None)
    weights.check(config, command, mode != "train" and flags.random_weights, optional=exported is not None)
    for split in schema.splits_of(config, mode):
        classes = Classes.of(config["Arch"])
        if split == "Eval" and config["Global"].get("eval_mode") == "retrieval":
            classes = Classes("", None)  # pictures are compared with others, not with classes
        check_data(config["DataLoader"][split], f"DataLoader.{split}", classes)
    if mode == "infer":
        check_infer(config, "--image" if command == "explain" else "Infer.infer_imgs")


def check_report(flags):
    """Refuses flags of `eval` that say something of a report where there is none, or none of a checkpoint.

    Raises:
        UserError: names the flag.
    """
    said = {"log": flags.log, "beside": flags.beside, "title": flags.title, "mistakes": flags.mistakes}
    given = [f"--{name}" for name, value in said.items() if value not in (None, [])]
    if flags.report is None and given:
        raise UserError(f"{given[0]} is of a report: name its folder with --report")
    if flags.report is not None and flags.inference_dir is not None:
        raise UserError("--report is of a checkpoint, and --inference_dir of an export: give one of them")
    if flags.report is not None and flags.engine:
        raise UserError("--engine is for an export, and --report of a checkpoint: give one of them")


class Classes(NamedTuple):
    """How many classes the head has, None where there is none; the key that says it, and whether it does."""

    key: str
    number: Optional[int]
    is_said: bool = True

    @classmethod
    def of(cls, arch):
        """Those of the section `Arch`; RecModel has them in its head, DistillationModel in each network.

        Raises:
            UserError: the number is none.
        """
        where, section = networks(arch)[0] if "models" in arch else ("Arch", arch)
        if arch.get("name") == "RecModel":
            where, section = "Arch.Head", arch.get("Head") or {}
        key, number = f"{where}.class_num", section.get("class_num")
        if number is None:
            return cls(key, None if where == "Arch.Head" else CLASSES, False)
        if not fields.COUNT.holds(number):
            raise UserError(f"{key} is {number!r}; it takes {fields.COUNT.words}")
        return cls(key, number)


def check_device(device):
    """Refuses `gpu` on a machine or a Paddle without one."""
    if device == "gpu" and not has_gpu():
        raise UserError(
            "Global.device is gpu, but this machine or this Paddle has no GPU: "
            "add -o Global.device=cpu, or install paddlepaddle-gpu"
        )


def check_slim(slim):
    """Refuses pruning and quantization where the package that does it is missing."""
    asked = next((key for key in ("prune", "quant") if isinstance(slim, dict) and slim.get(key)), None)
    if asked and importlib.util.find_spec("paddleslim") is None:
        raise UserError(
            f"Slim.{asked} needs paddleslim, which is not installed: install it, or leave Slim out"
        )


def check_channels(config, mode):
    """Refuses a MixFormer that does not take the pictures that arrive: whole numbers, or other channels.

    PaddleClas decodes every picture to 3 channels of bytes; NormalizeImage makes floats of these, and can add
    an empty fourth channel.
    """
    where, arch = backbone_section(config["Arch"])
    channels = arch.get("in_chans", 3) if arch.get("name") in zoo.VARIANTS else None
    if mode == "export" and channels not in (None, config["Global"]["image_shape"][0]):
        raise UserError(
            f"{where}.in_chans is {channels}, Global.image_shape {config['Global']['image_shape']}: "
            "its first number is that of the channels"
        )
    for key, operators in transforms_of(config, mode) if channels else ():
        if not any(part in name for entry in operators for name in entry for part in GIVE_FLOATS):
            raise UserError(
                f"{key} has no NormalizeImage: pictures would arrive as whole numbers, of which the network "
                "takes none; add that of the package's configs"
            )
        arrive = [entry["NormalizeImage"] or {} for entry in operators if "NormalizeImage" in entry]
        found = arrive[-1].get("channel_num", 3) if arrive else 3
        if found != channels:
            raise UserError(
                f"{where}.in_chans is {channels}, but the pictures of {key} arrive with {found} channels, "
                f"grey ones too: leave in_chans at {found}"
            )


def transforms_of(config, mode):
    """`(key, operators)` of the pictures that `mode` reads."""
    if mode == "infer":
        yield "Infer.transforms", config["Infer"]["transforms"]
    read = tuple(f"DataLoader.{split}" for split in schema.splits_of(config, mode))
    for key, node in names.splits(config):
        if read and key.startswith(read) and "transform_ops" in node["dataset"]:
            yield f"{key}.dataset.transform_ops", node["dataset"]["transform_ops"]


def check_arch(arch):
    """Refuses an unknown backbone, and for MixFormer an unknown or impossible argument."""
    for part in ("Backbone", "Neck", "Head") if arch.get("name") == "RecModel" else ():
        if not isinstance(arch.get(part, {}), dict):
            raise UserError(f"Arch.{part} is {arch[part]!r}; it takes a section")
    section, arch = backbone_section(arch)
    name = arch.get("name")
    if not isinstance(name, str) or not hasattr(ppcls.arch, name):
        raise UserError(
            f"{section}.name {name} is not a model of this PaddleClas{hint(name, dir(ppcls.arch))}"
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
    check_dataset(node["dataset"], f"{key}.dataset", classes)


def check_dataset(dataset, key, classes):
    """The same of the section `dataset`, or of those that MixDataset has in a list."""
    mixed = dataset.get("datasets_config")
    for index, part in enumerate(mixed if isinstance(mixed, list) else ()):
        if isinstance(part, dict):
            check_dataset(part, f"{key}.datasets_config.{index}", classes)
    root, listing = dataset.get("image_root"), dataset.get("cls_label_path")
    if root and not Path(root).is_dir():
        raise UserError(f"{key}.image_root: there is no folder {root}")
    if not listing:
        return
    for path in listing if isinstance(listing, list) else [listing]:
        if not Path(path).is_file():
            raise UserError(f"{key}.cls_label_path: there is no file {path}")
        name = dataset.get("name")
        if name in lists.DATASETS or name in lists.COLUMNS:
            several = name == "MultiLabelDataset"
            found = lists.read(path, dataset.get("delimiter"), several, columns_of(name))
            lists.check_labels(path, found, classes, bool(dataset.get("relabel")))
            _hint_at_classes(path, found, classes)
            lists.check_pictures(path, root or "", found, f"{key}.image_root")


def columns_of(name):
    """The columns of the lists of the dataset class `name`, None for an image and its labels."""
    columns = lists.COLUMNS.get(name)
    if name == "VeriWild" and "has_camera" not in inspect.getsource(ppcls.data.VeriWild):
        return columns._replace(needed=3)  # since 2.5 there may be no camera
    return columns


def _hint_at_classes(path, listing, classes):
    """Warns of a head that is as large as it is because nothing was said."""
    highest = 0 if isinstance(listing.labels[0], tuple) else max(listing.labels)
    if classes.number and not classes.is_said and highest + 1 != classes.number:
        logger.warning("%s is not set, so it is %d; the labels of %s go to %d", *classes[:2], path, highest)


def check_infer(config, key):
    """Refuses missing pictures, which `key` names, and a missing class-name file."""
    place = str(config["Infer"]["infer_imgs"])
    if not place.startswith(SCHEMES) and not Path(place).exists():
        raise UserError(f"{key}: there is no file or folder {place}")
    eval_mode = config["Global"].get("eval_mode", "classification")
    if eval_mode != "classification":
        raise UserError(f"Global.eval_mode is {eval_mode}, but this command shows classes")
    names = config["Infer"]["PostProcess"].get("class_id_map_file")
    if names and not Path(names).is_file():
        raise UserError(f"Infer.PostProcess.class_id_map_file: there is no file {names}")
