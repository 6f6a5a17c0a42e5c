"""The predict command: an export, and the flags of the `paddleclas` command."""

import argparse
import logging

from ppcls_mixformer.hosting.errors import UserError, placed
from ppcls_mixformer.predict import description as descriptions
from ppcls_mixformer.predict import names, results
from ppcls_mixformer.predict.classifier import Classifier
from ppcls_mixformer.predict.sources import find

logger = logging.getLogger(__name__)

# Flags for models of PaddleClas's own, which its command downloads and runs.
STOCK_ONLY = ("--model_name", "--build_gallery", "--index_dir", "--data_file", "--predict_type")
# Flags of that command that mean nothing here, and what to do instead.
NOT_TAKEN = {
    "use_tensorrt": "the stock `paddleclas` command has it",
    "gpu_mem": "memory is taken as it is needed",
    "override": "its config is not read here",
    "color_threshold": "it is for models of PaddleClas's own",
    "type_threshold": "it is for models of PaddleClas's own",
    "save_dir": "--save FILE writes the results",
}


def is_for_stock(argv):
    """Whether flags ask for a model that only the `paddleclas` command has."""
    return any(argument.split("=")[0] in STOCK_ONLY for argument in argv)


def parser():
    """The flags."""
    flags = argparse.ArgumentParser(description=__doc__)
    flags.add_argument("--inference_model_dir", required=True, metavar="FOLDER", help="the exported folder")
    flags.add_argument(
        "--infer_imgs",
        required=True,
        metavar="PICTURES",
        help="a picture, a folder, or an address",
    )
    flags.add_argument("--save", metavar="FILE", help="write the results to this .csv or .jsonl file too")
    flags.add_argument("--topk", type=int, help="classes to show, instead of what the export says")
    flags.add_argument("--threshold", type=float, help="probability from which an independent label is shown")
    flags.add_argument("--class_id_map_file", metavar="FILE", help="names of classes, not the export's")
    flags.add_argument("--resize_short", type=int, help="short side, instead of the export's")
    flags.add_argument("--crop_size", type=int, help="size of the crop, instead of the export's")
    flags.add_argument("--batch_size", type=int, default=1, help="pictures at once (1)")
    flags.add_argument("--tta", default="", metavar="VIEWS", help="average over views, such as flip,1.15")
    flags.add_argument("--engine", help="paddle or onnxruntime; else the first that is there")
    flags.add_argument("--use_gpu", type=_truth, help="True or False; else a GPU where there is one")
    flags.add_argument("--use_fp16", type=_truth, default=False, help="read inference_fp16.onnx (False)")
    flags.add_argument("--enable_mkldnn", type=_truth, default=True, help="oneDNN's kernels on a CPU (True)")
    flags.add_argument("--cpu_num_threads", type=int, help="threads on a CPU")
    for name in NOT_TAKEN:
        short = ["-o"] if name == "override" else []
        flags.add_argument(*short, f"--{name}", action="append", help=argparse.SUPPRESS)
    return flags


def _truth(text):
    values = {"true": True, "t": True, "1": True, "false": False, "f": False, "0": False}
    if text.lower() not in values:
        raise argparse.ArgumentTypeError(f"{text!r} is neither True nor False")
    return values[text.lower()]


def run(argv):
    """Prints the classes of each picture, and saves them where a flag says so.

    Raises:
        UserError: something about a file or a flag that a user can fix; pictures that cannot be read, after
            all others.
    """
    flags = parser().parse_args(argv)
    for name, instead in NOT_TAKEN.items():
        if getattr(flags, name) is not None:
            logger.warning("--%s does nothing here: %s", name, instead)
    for name in ("topk", "batch_size", "resize_short", "crop_size", "cpu_num_threads"):
        value = getattr(flags, name)
        if value is not None and value < 1:
            raise UserError(f"--{name} is {value}; it takes a whole number above 0")
    if flags.save is not None:
        results.check_path(flags.save)
    with placed("--infer_imgs"):
        sources = find(flags.infer_imgs)
    with placed("--inference_model_dir"):
        described = descriptions.read(flags.inference_model_dir)
    classifier = Classifier(
        flags.inference_model_dir,
        flags.engine,
        topk=flags.topk,
        threshold=flags.threshold,
        label_names=_names(flags.class_id_map_file, described),
        description=described._replace(transform_ops=_transform_ops(flags, described)),
        tta=flags.tta,
        use_gpu=flags.use_gpu,
        threads=flags.cpu_num_threads,
        onednn=flags.enable_mkldnn,
        use_fp16=flags.use_fp16,
    )
    results.hand_out(classifier.stream(sources, flags.batch_size), results.shown, flags.save)


def _names(path, described):
    """Names of classes from the file that a flag names; None without one. Says whose they replace."""
    if path is None:
        return None
    with placed("--class_id_map_file"):
        found = names.read(path)
    if described.label_names not in (None, [found[number] for number in range(len(found))]):
        logger.warning("--class_id_map_file: its names replace those of the export")
    return found


def _transform_ops(flags, described):
    """The export's transforms, with the sizes that flags give."""
    operators = [dict(entry) for entry in described.transform_ops or []]
    if flags.resize_short is not None:
        _replace(operators, "ResizeImage", "resize_short", flags.resize_short, "--resize_short")
    if flags.crop_size is not None:
        _replace(operators, "CropImage", "size", flags.crop_size, "--crop_size")
    return operators


def _replace(operators, name, key, value, flag):
    """Gives the operator `name` among `operators` another argument, and says so."""
    for entry in operators:
        if name in entry:
            before = (entry[name] or {}).get(key)
            if before not in (value, [value, value]):
                logger.warning("%s: %s.%s is %d, %s in the export", flag, name, key, value, before)
            kept = {k: v for k, v in (entry[name] or {}).items() if k not in ("size", "resize_short")}
            entry[name] = {**kept, key: value}
            return
    raise UserError(f"{flag}: the export's preprocessing has no {name}")
