"""The flags of PaddleDetection's tools, with the same names and meaning."""

import ast
from argparse import ArgumentParser


def parser(mode):
    """The flags of a command, which `mode` names: train, eval, infer or export."""
    add_flags = {
        "train": add_train_flags,
        "eval": add_eval_flags,
        "infer": add_infer_flags,
        "export": add_export_flags,
    }
    flags = ArgumentParser()
    flags.add_argument(
        "-c", "--config", required=True, help="config file, or the name of one that comes with the package"
    )
    flags.add_argument(
        "-o",
        "--opt",
        nargs="*",
        action="extend",
        default=[],
        metavar="key=value",
        help="replaces values of the config",
    )
    flags.add_argument("--amp", action="store_true", help="mixed precision; its level is the key amp_level")
    add_flags[mode](flags)
    return flags


def add_train_flags(flags):
    """Adds what only training takes."""
    flags.add_argument("--eval", action="store_true", help="evaluate at every snapshot and keep the best")
    flags.add_argument("-r", "--resume", help="checkpoint to go on from, with its .pdopt beside it")
    flags.add_argument("--seed", type=int, help="seed of every random number")
    flags.add_argument("--fleet", action="store_true", help="train through paddle.distributed.fleet")
    flags.add_argument("--to_static", action="store_true", help="train a static graph")
    flags.add_argument("--use_vdl", type=ast.literal_eval, default=False, help="log for VisualDL")
    flags.add_argument("--vdl_log_dir", default="vdl_log_dir/scalar", help="folder of that log")


def add_eval_flags(flags):
    """Adds what only evaluation takes."""
    flags.add_argument("--classwise", action="store_true", help="also the AP of each class")
    flags.add_argument("--output_eval", help="folder for the result files")
    flags.add_argument("--save_prediction_only", action="store_true", help="write results, compute no AP")


def add_infer_flags(flags):
    """Adds what only inference takes."""
    flags.add_argument("--infer_img", help="a picture")
    flags.add_argument("--infer_dir", help="or a folder of pictures")
    flags.add_argument("--output_dir", default="output", help="folder for the drawn pictures")
    flags.add_argument("--draw_threshold", type=float, default=0.5, help="least score of what is drawn")
    flags.add_argument("--save_results", action="store_true", help="write the results as JSON as well")
    flags.add_argument("--bbox_file", help="keypoints: boxes of persons, a detector's result file")


def add_export_flags(flags):
    """Adds what only the export takes."""
    flags.add_argument(
        "--output_dir",
        default="output_inference",
        help="the export goes into a folder in it, named as the config",
    )
    flags.add_argument("--onnx", action="store_true", help="write model.onnx as well")
    flags.add_argument(
        "--full-masks",
        action="store_true",
        help="Mask R-CNN: masks of whole pictures, for PaddleDetection's own reader, 4 bytes a pixel and "
        "object, 4.8 GB for 100 of 12 megapixels; without it, masks of 28×28 in their boxes",
    )
    flags.add_argument("--no-fuse", dest="fuse", action="store_false", help="leave the norms as they are")
