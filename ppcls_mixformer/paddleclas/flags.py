"""The flags of PaddleClas's tools, with the same names and meaning, and those that `export` adds."""

from argparse import ArgumentParser

HOST_MODES = {
    "explain": "infer",
    "report": "eval",
}  # of the commands that PaddleClas does not have, which of its it is like

OUTPUTS = {"report": "--output", "eval": "--report"}  # the flag that names the folder of a report


def host_mode(mode):
    """The mode of PaddleClas's Engine in which the command `mode` runs."""
    return HOST_MODES.get(mode, mode)


def parser(mode):
    """The flags of a command, which `mode` names: train, eval, infer, export, explain or report."""
    flags = ArgumentParser()
    flags.add_argument(
        "-c", "--config", required=True, help="config file, or the name of one that comes with the package"
    )
    flags.add_argument(
        "-o",
        "--override",
        action="append",
        default=[],
        metavar="key=value",
        help="replaces a value; may be given again",
    )
    flags.add_argument("-p", "--profiler_options", help="options of PaddleClas's profiler")
    if mode != "train":
        flags.add_argument(
            "--random-weights",
            action="store_true",
            help="go on without weights, or with some missing; what comes out is no result",
        )
    if mode in ("train", "eval", "report"):
        flags.add_argument(
            "--skip-unreadable",
            action="store_true",
            help="evaluate without pictures that cannot be read, and say of how many the result is",
        )
    if mode in ("eval", "infer", "report"):
        flags.add_argument(
            "--tta",
            default="",
            metavar="VIEWS",
            help="average over views of each picture: flip, scales such as 1.15, or several, flip,1.15",
        )
    if mode == "eval":
        flags.add_argument(
            "--inference_dir",
            metavar="FOLDER",
            help="evaluate the export in this folder, and the checkpoint beside it where one is named",
        )
        flags.add_argument("--engine", help="what runs it: paddle (the default) or onnxruntime")
    if mode == "infer":
        flags.add_argument("--save", metavar="FILE", help="write the results to this .csv or .jsonl file too")
        flags.add_argument(
            "--features", metavar="FILE", help="write pooled features to this .npz file, instead of classes"
        )
    if mode == "explain":
        flags.add_argument(
            "--image", required=True, metavar="PICTURES", help="a picture, a folder or an address"
        )
        flags.add_argument(
            "--output", required=True, metavar="FOLDER", help="write a sheet for each picture here"
        )
        flags.add_argument(
            "--class",
            dest="classes",
            action="append",
            default=[],
            metavar="CLASS",
            help="draw what speaks for this class, a name or a number; may be given again",
        )
        flags.add_argument(
            "--at",
            metavar="X,Y",
            help="draw the attention of this place, shares of width and height (the default: 0.5,0.5)",
        )
    if mode in OUTPUTS:
        flags.add_argument(
            OUTPUTS[mode],
            dest="report",
            required=mode == "report",
            metavar="FOLDER",
            help="write the report here" if mode == "report" else "write a page of what this says here",
        )
        flags.add_argument("--log", metavar="FILE", help="train.log of the run, where it is not found")
        flags.add_argument(
            "--beside",
            action="append",
            default=[],
            metavar="FOLDER",
            help="compare with the report in this folder; may be given again",
        )
        flags.add_argument("--title", help="heading of the page (the default: network and config)")
        flags.add_argument(
            "--mistakes", type=int, metavar="N", help="show so many of each kind (the default: 12)"
        )
    if mode == "export":
        flags.add_argument("--onnx", action="store_true", help="write inference.onnx as well")
        flags.add_argument(
            "--fp16",
            action="store_true",
            help="beside --onnx: write inference_fp16.onnx, half its size, too; beside --web: for the page",
        )
        flags.add_argument("--no-fuse", dest="fuse", action="store_false", help="leave the norms as they are")
        flags.add_argument(
            "--features", action="store_true", help="let the program give pooled features as well"
        )
        flags.add_argument(
            "--saliency",
            action="store_true",
            help="let the program give the spatial gates of its blocks as well",
        )
        flags.add_argument(
            "--web", action="store_true", help="write a page that classifies pictures in a browser, too"
        )
        flags.add_argument(
            "--check",
            type=int,
            default=0,
            metavar="N",
            help="compare each reader with the checkpoint on N pictures of DataLoader.Eval",
        )
    return flags
