"""Checks what PaddleDetection would ignore silently or crash on, before anything is built."""

import importlib.util
import logging
import os
from pathlib import Path

from ppdet.data import transform

from ppcls_mixformer import zoo
from ppcls_mixformer.hosting import expressions, onnx
from ppcls_mixformer.hosting.advice import did_you_mean, has_gpu
from ppcls_mixformer.hosting.errors import UserError
from ppcls_mixformer.paddledet import annotations, boxes, joints
from ppcls_mixformer.paddledet.classes import check_names, count_of_classes, find_classes, options_of
from ppcls_mixformer.paddledet.lvis_data import name_in_coco
from ppcls_mixformer.weights.checkpoint import WeightsError, read_checkpoint

logger = logging.getLogger(__name__)

SPLITS = {"train": ("TrainDataset", "EvalDataset"), "eval": ("EvalDataset",)}
CROWDS = {
    "TrainDataset": "%s: %d crowds are not trained on",
    "EvalDataset": "%s: %d crowds count neither way: what is found in them is no mistake",
}
PICTURES = (".jpg", ".jpeg", ".png", ".bmp")


def check(settings, mode):
    """Checks all that `mode` (train, eval, infer, export) needs before anything is built.

    Raises:
        UserError: names the key, the value and what to do.
    """
    flags, config = settings
    if mode == "export":
        check_export(flags, config)
    check_device(config)
    if flags.amp and not config.use_gpu:
        logger.warning("--amp: use_gpu is false, so all runs in full precision")
    check_backbone(config["MixFormer"])
    check_transforms(config)
    check_counts(config)
    check_checkpoints(settings, mode)
    if mode == "eval" and flags.classwise and not importlib.util.find_spec("terminaltables"):
        raise UserError("--classwise needs terminaltables, which is missing: pip install terminaltables")
    splits = SPLITS.get(mode, ())
    if mode == "train" and not flags.eval:
        splits = ("TrainDataset",)
    files = [check_data(config[split], split, config) for split in splits]
    files = [file for file in files if file]
    trained = find_classes(config, ("TrainDataset",)) if mode == "eval" and files else []
    if "KeyPoint" in config.metric:
        check_keypoints(files, trained, settings, mode)
    elif mode == "infer" and flags.bbox_file:
        raise UserError("--bbox_file: this network finds boxes itself; one of keypoints takes them")
    check_together(files, trained)
    for file in files:
        say_what_is_left_out(file, config)
    if mode == "infer":
        say_what_is_no_picture(flags, find_pictures(flags))
    if mode in ("infer", "export") and config.metric in ("COCO", "LVIS"):
        check_names(config)


def check_export(flags, config):
    """Refuses `--onnx` where it cannot be had, and `--small-masks` of a network without masks."""
    if flags.small_masks and config.architecture != "MaskRCNN":
        raise UserError(f"--small-masks is for MaskRCNN; this is {config.architecture}")
    if not flags.onnx:
        return
    onnx.require("--onnx")
    if config.architecture == "MaskRCNN":
        if not flags.small_masks:
            raise UserError("--onnx: MaskRCNN gives masks in their boxes there, so add --small-masks")
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


def check_backbone(section):
    """Refuses an unknown or impossible argument in the section `MixFormer`."""
    for key in section:
        if key not in section.schema:
            raise UserError(f"MixFormer.{key} is not an argument{did_you_mean(key, section.schema)}")
    try:
        arguments = {key: section[key] for key in section.schema if key not in ("arch", "pretrained")}
        zoo.resolve_dense(section["arch"], **arguments)
    except (TypeError, ValueError) as error:
        raise UserError(f"MixFormer: {error}") from None


def check_transforms(config):
    """Refuses a transform of a reader that this PaddleDetection does not have."""
    lists = (
        (f"{reader}.{key}", section[key] or ())
        for reader, section in config.items()
        if isinstance(section, dict)
        for key in ("sample_transforms", "batch_transforms")
        if key in section
    )
    for key, entries in lists:
        for name in (name for entry in entries for name in entry):
            try:
                expressions.find(transform, name, ("ppdet",))
            except UserError as error:
                raise UserError(f"{key}: {error}") from None


def check_counts(config):
    """Refuses counts that are no whole numbers, or too low; with some of them a run fails after an epoch."""
    least = {"epoch": 1, "snapshot_epoch": 1, "log_iter": 1, "worker_num": 0}
    counts = {key: config.get(key, minimum) for key, minimum in least.items()}
    for reader in ("TrainReader", "EvalReader", "TestReader"):
        counts[f"{reader}.batch_size"] = (config.get(reader) or {}).get("batch_size", 1)
    for key, count in counts.items():
        if type(count) is not int or count < least.get(key, 1):
            raise UserError(f"{key}: it is {count}, not a whole number from {least.get(key, 1)} on")


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
    elif config.get("pretrain_weights"):
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
        raise UserError(f"{key}: {path} has no MixFormer in it (no patch_embed.proj.weight)")
    if stem == "patch_embed.proj.weight" and key != "pretrain_weights":
        raise UserError(
            f"{key}: {path} is of a classifier alone; give it as MixFormer.pretrained to train from"
        )
    arch = config["MixFormer"]["arch"]
    expected = zoo.find_variant(arch)
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


def check_data(dataset, key, config):
    """The annotations of a data set, None where this package cannot read them.

    Raises:
        UserError: a missing folder or file, or annotations that the config cannot be used with.
    """
    options = options_of(dataset)
    folder, name = options.get("dataset_dir") or "", options.get("anno_path") or ""
    if not Path(folder).is_dir():
        raise UserError(
            f"{key}.dataset_dir: there is no folder {folder}; put the data there or point to it with "
            f"-o {key}.dataset_dir=PATH"
        )
    pictures = os.path.join(folder, options.get("image_dir") or "")
    if not Path(pictures).is_dir():
        raise UserError(f"{key}.image_dir: there is no folder {pictures}")
    path = os.path.join(folder, name)
    if not name or not Path(path).is_file():
        raise UserError(f"{key}.anno_path: there is no file {path}")
    file = read_annotations(path, f"{key}.anno_path", config, pictures)
    detected = os.path.join(folder, options.get("bbox_file") or "")
    if options.get("use_gt_bbox") is False and not Path(detected).is_file():
        raise UserError(f"{key}.bbox_file: there is no file {detected}, which use_gt_bbox: false asks for")
    return file


def read_annotations(path, key, config, pictures):
    """The annotations in a file, repaired; None for a metric of which this package has no config.

    Raises:
        UserError: it does not hold what the metric is for, or a number of classes other than the config's.
    """
    if not any(part in config.metric for part in annotations.KINDS):
        logger.warning(
            "metric: %s is none that is known here, so %s is not checked (%s)", config.metric, path, key
        )
        return None
    if not path.endswith(".json"):
        raise UserError(f"{key}: PaddleDetection reads annotations from .json files only, not from {path}")
    with_masks = "gt_poly" in (options_of(config.TrainDataset).get("data_fields") or ())
    name = name_in_coco if config.metric == "LVIS" else (lambda image: image["file_name"])
    file = annotations.read(
        path, key, config.metric, with_masks, lambda image: os.path.join(pictures, name(image))
    )
    if len(file.content["categories"]) != config.num_classes and not key.startswith("TrainDataset"):
        for trained in find_classes(config, ("TrainDataset",)):
            annotations.add_missing_classes(file, trained)
            annotations.order_as(file, trained)
    classes = len(file.content["categories"])
    if classes != config.num_classes:
        raise UserError(f"{count_of_classes(file, config)}: set -o num_classes={classes}")
    return file


def check_keypoints(files, trained, settings, mode):
    """Has the config agree with the joints of the files, or of those that are there; reads files of boxes.

    Args:
        files, trained: as for `check_together`.
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


def check_boxes(file, config):
    """Reads the boxes of a detector where a data set is told to take them."""
    split = file.key.split(".")[0]
    options = options_of(config[split])
    if options.get("use_gt_bbox") is not False:
        return
    if split == "TrainDataset":
        raise UserError(
            "TrainDataset.use_gt_bbox: a detector's boxes have no keypoints to learn: set it to true"
        )
    path = os.path.join(options.get("dataset_dir") or "", options.get("bbox_file") or "")
    boxes.for_evaluation(file, options, path, config)


def check_together(files, trained=()):
    """Has the files of a run name the same classes in one order, says what is in them, and holds them.

    Args:
        files: of the run; where there are none `trained`, the first one's order is taken.
        trained: files of the same classes in the order of training, of `find_classes`.
    """
    for file in files:
        annotations.order_as(file, [*trained, *files][0])
        logger.info("%s: %s has %s", file.key, file.path, annotations.summary(file))
        for note in file.notes:
            logger.warning("%s: %s: %s", file.key, file.path, note)
        annotations.hold(file)


def say_what_is_left_out(file, config):
    """Says how many crowds there are, and pictures without objects, and what becomes of them."""
    split = file.key.split(".")[0]
    crowds = annotations.number_of_crowds(file.content)
    if crowds:
        logger.info(CROWDS[split], split, crowds)
    if "KeyPoint" not in config.metric:  # a person's keypoints are found, not the person
        say_of_empty_pictures(file, split, options_of(config[split]).get("allow_empty"))


def say_of_empty_pictures(file, split, are_taken):
    """Says whether pictures without objects are samples of `split`, and how many they are.

    Left out of evaluation they hide what is found there by mistake: PaddleDetection does so by default.
    """
    count = annotations.number_of_empty(file.content)
    if not count:
        return
    pictures = f"{split}: {count} of {len(file.content['images'])} pictures without objects"
    if are_taken:
        logger.info("%s are among its samples", pictures)
    elif split == "TrainDataset":
        logger.info("%s are left out of training, as allow_empty is not set", pictures)
    else:
        logger.warning(
            "%s are left out of evaluation, which hides false alarms there: "
            "-o EvalDataset.allow_empty=true evaluates them",
            pictures,
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
