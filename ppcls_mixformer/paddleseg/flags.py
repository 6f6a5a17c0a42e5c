"""The flags of PaddleSeg's tools, with the same names and meaning.

Unlike in PaddleSeg, `--device` is the GPU only where there is one, and weights must be named.
"""

from argparse import ArgumentParser

from ppcls_mixformer.hosting.advice import has_gpu


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
        "--config", required=True, help="config file, or the name of one that comes with the package"
    )
    flags.add_argument("--opts", nargs="+", default=[], metavar="KEY=VALUE", help="replaces config values")
    flags.add_argument(
        "--device",
        choices=["cpu", "gpu", "xpu", "npu", "mlu"],
        default="gpu" if has_gpu() else "cpu",
        help="the GPU if there is one",
    )
    add_flags[mode](flags)
    return flags


def add_train_flags(flags):
    """Adds what only training takes."""
    flags.add_argument("--save_dir", default="./output", help="folder of the checkpoints")
    flags.add_argument("--num_workers", type=int, default=0, help="processes of the data loader")
    flags.add_argument("--do_eval", action="store_true", help="evaluate at every checkpoint")
    flags.add_argument("--use_vdl", action="store_true", help="write logs for VisualDL")
    flags.add_argument("--use_ema", action="store_true", help="keep an average of the weights too")
    flags.add_argument("--resume_model", help="folder of a checkpoint, …/iter_N")
    flags.add_argument("--iters", type=int)
    flags.add_argument("--batch_size", type=int, help="of each process")
    flags.add_argument("--learning_rate", type=float)
    flags.add_argument("--save_interval", type=int, default=1000, help="iterations between checkpoints")
    flags.add_argument("--log_iters", type=int, default=10, help="iterations between lines of the log")
    flags.add_argument("--keep_checkpoint_max", type=int, default=5)
    flags.add_argument("--seed", type=int)
    flags.add_argument("--precision", choices=["fp32", "fp16"], default="fp32")
    flags.add_argument("--amp_level", choices=["O1", "O2"], default="O1")
    flags.add_argument("--to_static_training", action="store_true")


def add_eval_flags(flags):
    """Adds what only evaluation takes."""
    add_model_path(flags)
    flags.add_argument("--num_workers", type=int, default=0, help="processes of the data loader")
    flags.add_argument("--aug_eval", action="store_true", help="average over scales and flips")
    add_augmentation(flags)


def add_infer_flags(flags):
    """Adds what only prediction takes."""
    add_model_path(flags)
    flags.add_argument("--image_path", required=True, help="a picture, a folder, or a list of pictures")
    flags.add_argument("--save_dir", default="./output/result")
    flags.add_argument("--custom_color", nargs="+", type=int, help="red, green and blue of each class")
    flags.add_argument("--aug_pred", action="store_true", help="average over scales and flips")
    add_augmentation(flags)


def add_export_flags(flags):
    """Adds what only the export takes."""
    add_model_path(flags)
    add_windows(flags)
    flags.add_argument("--save_dir", default="./output/inference_model")
    flags.add_argument("--input_shape", nargs=4, type=int, help="a fixed one, such as 1 3 512 512")
    flags.add_argument("--onnx", action="store_true", help="write model.onnx as well")
    flags.add_argument("--output_op", choices=["argmax", "softmax", "none"], default="argmax")


def add_model_path(flags):
    """Adds the flag for the weights of a whole network."""
    flags.add_argument("--model_path", required=True, help="trained weights, a .pdparams file")


def add_augmentation(flags):
    """Adds the flags for scales, flips and sliding windows."""
    add_windows(flags)
    flags.add_argument("--scales", nargs="+", type=float, default=1.0)
    flags.add_argument("--flip_horizontal", action="store_true")
    flags.add_argument("--flip_vertical", action="store_true")


def add_windows(flags):
    """Adds the flags for sliding windows."""
    flags.add_argument("--is_slide", action="store_true", help="use sliding windows")
    flags.add_argument("--crop_size", nargs=2, type=int, metavar=("WIDTH", "HEIGHT"))
    flags.add_argument("--stride", nargs=2, type=int, metavar=("WIDTH", "HEIGHT"))
