"""The flags of PaddleSeg's tools, with the same names and meaning.

Other than PaddleSeg's, `--device` is the GPU only where there is one, and weights must be named.
"""

import argparse


def common(description):
    """The flags of all tools."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--config", required=True, help="config file")
    parser.add_argument("--device", choices=["cpu", "gpu", "xpu", "npu", "mlu"], help="gpu if there is one")
    parser.add_argument("--opts", nargs="+", default=[], metavar="KEY=VALUE", help="replaces config values")
    return parser


def add_windows(parser, augmented):
    """Adds the flags of evaluation and prediction with scales, flips and sliding windows."""
    parser.add_argument(augmented, action="store_true", help="averages over scales and flips")
    parser.add_argument("--scales", nargs="+", type=float, default=1.0)
    parser.add_argument("--flip_horizontal", action="store_true")
    parser.add_argument("--flip_vertical", action="store_true")
    parser.add_argument("--is_slide", action="store_true", help="sliding windows")
    parser.add_argument("--crop_size", nargs=2, type=int, metavar=("WIDTH", "HEIGHT"))
    parser.add_argument("--stride", nargs=2, type=int, metavar=("WIDTH", "HEIGHT"))


def train_flags():
    """Parser of `tools/seg/train.py`."""
    parser = common("Trains a segmentation model.")
    parser.add_argument("--save_dir", default="./output", help="where checkpoints go")
    parser.add_argument("--num_workers", type=int, default=0, help="processes of the data loader")
    parser.add_argument("--do_eval", action="store_true", help="evaluates at every checkpoint")
    parser.add_argument("--use_vdl", action="store_true", help="writes logs for VisualDL")
    parser.add_argument("--use_ema", action="store_true", help="keeps an average of the weights too")
    parser.add_argument("--resume_model", help="folder of a checkpoint, …/iter_N")
    parser.add_argument("--iters", type=int)
    parser.add_argument("--batch_size", type=int, help="of each process")
    parser.add_argument("--learning_rate", type=float)
    parser.add_argument("--save_interval", type=int, default=1000, help="iterations between checkpoints")
    parser.add_argument("--log_iters", type=int, default=10, help="iterations between lines of the log")
    parser.add_argument("--keep_checkpoint_max", type=int, default=5)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--precision", choices=["fp32", "fp16"], default="fp32")
    parser.add_argument("--amp_level", choices=["O1", "O2"], default="O1")
    parser.add_argument("--to_static_training", action="store_true")
    return parser


def eval_flags():
    """Parser of `tools/seg/eval.py`."""
    parser = common("Evaluates a segmentation model.")
    parser.add_argument("--model_path", required=True, help="trained weights, a .pdparams file")
    parser.add_argument("--num_workers", type=int, default=0, help="processes of the data loader")
    add_windows(parser, "--aug_eval")
    return parser


def predict_flags():
    """Parser of `tools/seg/predict.py`."""
    parser = common("Segments pictures and writes them coloured.")
    parser.add_argument("--model_path", required=True, help="trained weights, a .pdparams file")
    parser.add_argument("--image_path", required=True, help="a picture, a folder, or a list of pictures")
    parser.add_argument("--save_dir", default="./output/result")
    parser.add_argument("--custom_color", nargs="+", type=int, help="red, green and blue of each class")
    add_windows(parser, "--aug_pred")
    return parser


def export_flags():
    """Parser of `tools/seg/export.py`."""
    parser = common("Exports a segmentation model for Paddle inference.")
    parser.add_argument("--model_path", required=True, help="trained weights, a .pdparams file")
    parser.add_argument("--save_dir", default="./output/inference_model")
    parser.add_argument("--input_shape", nargs=4, type=int, help="fixed, such as 1 3 512 512")
    parser.add_argument("--output_op", choices=["argmax", "softmax", "none"], default="argmax")
    return parser
