"""Checks what PaddleDetection would ignore silently or crash on, before anything is built."""

import copy
import functools
import importlib.util
import inspect
import logging
import os
from pathlib import Path

from ppdet.data import source, transform

from ppcls_mixformer import zoo
from ppcls_mixformer.hosting import expressions, onnx
from ppcls_mixformer.hosting.advice import did_you_mean, has_gpu
from ppcls_mixformer.hosting.errors import UserError, check_all, gist, placed
from ppcls_mixformer.hosting.folders import check_folder
from ppcls_mixformer.paddledet import boxes, components, joints
from ppcls_mixformer.paddledet.annotations import order_as
from ppcls_mixformer.paddledet.classes import check_names, find_classes, path_of_annotations
from ppcls_mixformer.paddledet.moved_masks import check_masks_move
from ppcls_mixformer.paddledet.splits import check_boxes, check_data, check_together, say_what_is_left_out
from ppcls_mixformer.weights.checkpoint import WeightsError, check_start, read_checkpoint

logger = logging.getLogger(__name__)

SPLITS = {"train": ("TrainDataset", "EvalDataset"), "eval": ("EvalDataset",)}
PICTURES = (".jpg", ".jpeg", ".png", ".bmp")
READERS = ("TrainReader", "EvalReader", "TestReader")
LEVELS = ("O1", "O2", "O0")  # of mixed precision


def check(settings, mode):
    """Checks all that `mode` (train, eval, infer, export) needs before anything is built.

    Raises:
        UserError: names the key, the value and what to do.
    """
    flags, config = settings
    check_all(parts(settings, mode))
    files = check_all(parts_of_data(settings, mode))
    check_files([file for file in files if file], settings, mode)
    if mode == "infer":
        say_what_is_no_picture(flags, find_pictures(flags))
    if mode in ("infer", "export") and config.metric in ("COCO", "LVIS"):
        check_names(config)


def parts(settings, mode):
    """The checks of all but the data that `mode` needs, which are called without arguments."""
    flags, config = settings
    if mode == "export":
        yield functools.partial(check_export, flags, config)
    yield functools.partial(check_output, settings, mode)
    yield functools.partial(check_device, config)
    yield functools.partial(check_flags, settings, mode)
    yield functools.partial(check_network, config, mode)
    yield functools.partial(check_transforms, config)
    if mode == "train":
        yield functools.partial(check_masks_move, config)
    yield functools.partial(check_counts, config)
    yield functools.partial(check_switches, config)
    if mode == "train":
        yield components.check_rate
    for split in splits_of(flags, mode):
        if isinstance(config.get(split), dict) and config[split]:
            yield functools.partial(check_dataset, split, config[split])
    yield functools.partial(check_checkpoints, settings, mode)


def splits_of(flags, mode):
    """The sections of the config whose data `mode` needs."""
    return SPLITS.get(mode, ())[: 1 if mode == "train" and not flags.eval else None]


def parts_of_data(settings, mode):
    """A `check_data` of each section whose data `mode` needs, called without arguments."""
    flags, config = settings
    return [
        functools.partial(check_data, config.get(split), split, config) for split in splits_of(flags, mode)
    ]


def check_files(files, settings, mode):
    """Checks the `Annotations` of a run together, and with the joints and boxes that the config names."""
    flags, config = settings
    trained = find_classes(config, ("TrainDataset",)) if mode == "eval" and files else []
    named = find_names(config, files) if mode == "train" and files else []
    checks = [functools.partial(check_together, files, trained)]
    if "KeyPoint" in config.metric:
        checks.insert(0, functools.partial(check_keypoints, files, [*trained, *named], settings, mode))
    elif mode == "infer" and flags.bbox_file:
        raise UserError("--bbox_file: this network finds boxes itself; one of keypoints takes them")
    else:
        checks += [functools.partial(order_as, file, [*trained, *files][0]) for file in named]
    check_all(checks)
    for file in files:
        say_what_is_left_out(file, config)


def find_names(config, files):
    """The classes of TestDataset, whose names drawings and exports will bear, unless it is one of `files`."""
    path = path_of_annotations(config, "TestDataset")
    is_checked = any(os.path.realpath(path) == os.path.realpath(file.path) for file in files)
    found = [] if is_checked else find_classes(config, ("TestDataset",))
    return [file for file in found if "KeyPoint" not in config.metric or joints.fits(file, config)]


def check_flags(settings, mode):
    """Says that `--amp` is without effect; refuses a level that is none, and what needs a missing package."""
    flags, config = settings
    if flags.amp and config.get("amp_level", LEVELS[0]) not in LEVELS:
        raise UserError(f"amp_level: it is {config.amp_level}, not one of {', '.join(LEVELS)}")
    if flags.amp and not config.use_gpu:
        logger.warning("--amp: use_gpu is false, so all runs in full precision")
    if mode == "eval" and flags.classwise and not importlib.util.find_spec("terminaltables"):
        raise UserError("--classwise needs terminaltables, which is missing: pip install terminaltables")


def check_output(settings, mode):
    """Refuses folders in which checkpoints, drawn pictures or an export could not be written in the end."""
    flags, config = settings
    if mode in ("infer", "export"):
        check_folder("--output_dir", flags.output_dir)
    elif mode == "train" or not config.get("output_eval"):
        folder = config.get("save_dir")
        if not isinstance(folder, str):
            raise UserError(f"save_dir: {folder!r} is no name of a folder; set it with -o save_dir=output")
        check_folder("save_dir", folder)


def check_export(flags, config):
    """Refuses `--onnx` where it cannot be had, and `--full-masks` of another network than MaskRCNN."""
    if flags.full_masks and config.architecture != "MaskRCNN":
        raise UserError(f"--full-masks is for MaskRCNN; this is {config.architecture}")
    if not flags.onnx:
        return
    onnx.require("--onnx")
    if config.architecture == "MaskRCNN":
        if flags.full_masks:
            raise UserError("--onnx: MaskRCNN gives masks in their boxes there, so leave --full-masks out")
    elif "rpn_head" in config[config.architecture]:
        raise UserError(
            f"--onnx: paddle2onnx cannot convert {config.architecture}: it lacks generate_proposals and "
            "distribute_fpn_proposals, which are replaced for MaskRCNN alone. Leave --onnx out, and read the "
            "export with paddle.inference"
        )


def check_device(config):
    """Refuses `use_gpu` on a machine or a Paddle without one."""
    if config.use_gpu and not has_gpu():
        raise UserError(
            "use_gpu is true, but this machine or this Paddle has no GPU: add -o use_gpu=false, "
            "or install paddlepaddle-gpu"
        )


def check_network(config, mode):
    """Refuses a network that cannot be built of its sections, that of the backbone first."""
    check_backbone(config["MixFormer"])
    components.check_network(config, mode)


def check_backbone(section):
    """Refuses an unknown or impossible argument in the section `MixFormer`."""
    unknown = [key for key in section if key not in section.schema]
    if unknown:
        hints = (f"{key} is not an argument{did_you_mean(key, section.schema)}" for key in unknown)
        raise UserError(*(f"MixFormer.{hint}" for hint in hints))
    try:
        arguments = {key: section[key] for key in section.schema if key not in ("arch", "pretrained")}
        zoo.resolve_dense(section["arch"], **arguments)
    except (TypeError, ValueError) as error:
        raise UserError(f"MixFormer: {error}") from None


def check_transforms(config):
    """Refuses a transform of a reader that this PaddleDetection does not have, or cannot make."""
    lists = (
        (f"{reader}.{key}", section[key] or ())
        for reader, section in config.items()
        if isinstance(section, dict)
        for key in ("sample_transforms", "batch_transforms")
        if key in section
    )
    check_all(functools.partial(check_list, key, entries) for key, entries in lists)


def check_list(key, entries):
    """Refuses what is no list of transforms that this PaddleDetection has; `key` names it."""
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise UserError(f"{key}: it is no list of transforms, each a name with its arguments")
    pairs = [pair for entry in entries for pair in entry.items()]
    with placed(key):
        check_all(functools.partial(check_named, name, arguments) for name, arguments in pairs)


def check_named(name, arguments):
    """Refuses a transform that is not known, or as `check_transform`."""
    check_transform(expressions.find(transform, name, ("ppdet",)), name, arguments)


def check_transform(made_by, name, arguments):
    """Refuses the transform `name`, of the class `made_by`, where it cannot be made with `arguments`."""
    if not callable(made_by):
        raise UserError(f"{name} is no transform")
    if not isinstance(arguments, dict):
        raise UserError(f"{name}: its arguments are no mapping: write {{{name}: {{}}}} for none")
    known = inspect.signature(made_by).parameters
    unknown = [argument for argument in arguments if argument not in known]
    if unknown and not any(parameter.kind is parameter.VAR_KEYWORD for parameter in known.values()):
        raise UserError(f"{name}: {unknown[0]} is not an argument{did_you_mean(unknown[0], known)}")
    try:
        made_by(**copy.deepcopy(arguments))
    except Exception as error:  # their constructors raise what they like
        raise UserError(f"{name} cannot be made of its arguments: {gist(error)}") from None


def check_counts(config):
    """Refuses counts that are no whole numbers, or too low; with some of them a run fails after an epoch."""
    least = {"epoch": 1, "snapshot_epoch": 1, "log_iter": 1, "worker_num": 0, "num_classes": 1}
    counts = {key: config.get(key, minimum) for key, minimum in least.items()}
    for reader in READERS:
        counts[f"{reader}.batch_size"] = (config.get(reader) or {}).get("batch_size", 1)
    wrong = [
        f"{key}: it is {count}, not a whole number from {least.get(key, 1)} on"
        for key, count in counts.items()
        if type(count) is not int or count < least.get(key, 1)
    ]
    if wrong:
        raise UserError("; ".join(wrong))


def check_switches(config):
    """Refuses what is neither true nor false in a reader that takes nothing else."""
    wrong = [
        f"{reader}.{key}: it is {section[key]!r}, neither true nor false"
        for reader, section in ((name, config.get(name) or {}) for name in READERS)
        for key in ("shuffle", "drop_last", "collate_batch", "use_shared_memory")
        if key in section and not isinstance(section[key], bool)
    ]
    if wrong:
        raise UserError(*wrong)


def check_dataset(split, section):
    """Refuses a data set that this PaddleDetection does not have, or cannot make of the section `split`."""
    arguments = {**section}
    with placed(f"{split}.name"):
        made_by = expressions.find(source, arguments.pop("name", None), ("ppdet", "ppcls_mixformer"))
    with placed(split):
        check_transform(made_by, made_by.__name__, arguments)
    fields, number = arguments.get("data_fields", []), arguments.get("sample_num", -1)
    wrong = []
    if not isinstance(fields, (list, tuple)):
        wrong.append(f"{split}.data_fields: it is {fields}, not a list of names, such as [image, gt_bbox]")
    if type(number) is not int:
        wrong.append(f"{split}.sample_num: it is {number}, not a whole number; -1 takes all pictures")
    if wrong:
        raise UserError(*wrong)


def check_checkpoints(settings, mode):
    """Refuses a checkpoint that is not there, is damaged or is of another network."""
    flags, config = settings
    if mode != "train":
        if not config.get("weights"):
            raise UserError(f"{mode} needs a checkpoint: -o weights=PATH")
        check_state("weights", config.weights, config)
    elif flags.resume:
        check_state("--resume", flags.resume, config)
        optimizer = Path(str(flags.resume).removesuffix(".pdparams") + ".pdopt")
        if not optimizer.is_file():
            raise UserError(f"--resume {flags.resume}: there is no {optimizer}, which resuming needs")
    else:
        check_start("MixFormer.pretrained", config["MixFormer"]["pretrained"])
        if config.get("pretrain_weights"):
            check_state("pretrain_weights", config.pretrain_weights, config)


def check_state(key, path, config):
    """Refuses the checkpoint at `path`, which `key` names, unless it is whole and of the config's network."""
    if str(path).startswith(("http://", "https://", "ppdet://")):
        return
    try:
        state = read_checkpoint(path)
    except WeightsError as error:
        raise UserError(f"{key}: {error}") from None
    stem = next((name for name in state if name.endswith("patch_embed.proj.weight")), None)
    if stem is None:
        raise UserError(
            f"{key}: {path} has no MixFormer in it (no patch_embed.proj.weight); these commands are for "
            "networks with one, PaddleDetection's own tools for others"
        )
    if stem == "patch_embed.proj.weight" and key != "pretrain_weights":
        raise UserError(
            f"{key}: {path} is of a classifier alone; give it as MixFormer.pretrained to train from"
        )
    arch = config["MixFormer"]["arch"]
    try:
        expected = zoo.find_variant(arch)
    except (TypeError, ValueError):  # `check_backbone` says so
        return
    found = describe_trunk(state, stem.removesuffix("patch_embed.proj.weight"))
    if found != (expected.embed_dim, expected.depths):
        raise UserError(
            f"{key}: {path} is of another variant: it has embed_dim {found[0]} and depths {found[1]}, "
            f"{arch} has {expected.embed_dim} and {expected.depths}"
        )
    check_classes(key, path, state, config)


def describe_trunk(state, prefix):
    """`(embed_dim, depths)` of the MixFormer whose entries in `state` start with `prefix`."""
    places = [name.removeprefix(prefix).split(".") for name in state if name.startswith(f"{prefix}layers.")]
    blocks = {(int(p[1]), int(p[3])) for p in places if p[2] == "blocks"}
    stages = sorted({stage for stage, _ in blocks})
    depths = tuple(sum(stage == s for stage, _ in blocks) for s in stages)
    return state[f"{prefix}patch_embed.proj.weight"].shape[0], depths


def check_classes(key, path, state, config):
    """Refuses a checkpoint that was trained for another number of classes, or of joints."""
    bias = state.get("bbox_head.bbox_score.bias")
    if bias is not None and key != "pretrain_weights" and bias.shape[0] - 1 != config.num_classes:
        raise UserError(
            f"{key}: {path} was trained for {bias.shape[0] - 1} classes, num_classes is {config.num_classes}"
        )
    bias = state.get("final_conv.bias")
    if bias is not None and key != "pretrain_weights" and bias.shape[0] != config.get("num_joints"):
        raise UserError(
            f"{key}: {path} was trained for {bias.shape[0]} joints, num_joints is {config.get('num_joints')}"
        )


def check_keypoints(files, trained, settings, mode):
    """Has the config agree with the joints of the files, or of those that are there; reads files of boxes.

    Args:
        files, trained: as for `splits.check_together`.
    """
    flags, config = settings
    if files:
        joints.settle(config, files, trained, mode == "eval" or flags.eval)
        for file in files:
            check_boxes(file, config)
        return
    classes = joints.settle_without_data(config)
    if mode == "infer":
        config["boxes"] = flags.bbox_file and boxes.for_drawing(
            flags.bbox_file, find_pictures(flags), classes, config, flags.draw_threshold
        )


def say_what_is_no_picture(flags, pictures):
    """Warns of what else is in `--infer_dir`, such as pictures of other endings and folders."""
    entries = Path(flags.infer_dir).glob("[!.]*") if flags.infer_dir and not flags.infer_img else ()
    others = sorted({entry.name for entry in entries} - {Path(picture).name for picture in pictures})
    if others:
        logger.warning(
            "--infer_dir: %d entries of %s do not end as a picture does (%s), and are left out, first %s",
            *(len(others), flags.infer_dir, ", ".join(PICTURES), others[0]),
        )


def find_pictures(flags):
    """Paths of the pictures that `--infer_img` and `--infer_dir` name.

    Raises:
        UserError: there are none.
    """
    if flags.infer_img:
        if not Path(flags.infer_img).is_file():
            raise UserError(f"--infer_img: there is no file {flags.infer_img}")
        return [flags.infer_img]
    if not flags.infer_dir:
        raise UserError("name a picture, --infer_img PATH, or a folder of pictures, --infer_dir PATH")
    found = sorted(str(p) for p in Path(flags.infer_dir).glob("*") if p.suffix.lower() in PICTURES)
    if not found:
        raise UserError(
            f"--infer_dir: there is no folder {flags.infer_dir} with pictures ({', '.join(PICTURES)})"
        )
    return found
