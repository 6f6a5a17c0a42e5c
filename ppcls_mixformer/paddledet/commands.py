"""The bodies of `tools/det/train.py`, `eval.py` and `infer.py`: PaddleDetection's flags and its Trainer."""

import ast
from pathlib import Path

import paddle

from ppcls_mixformer.hosting.errors import UserError
from ppcls_mixformer.paddledet import register

KEYPOINT_THRESHOLD = 0.2  # as in PaddleDetection's metric, below which a keypoint does not count
PICTURES = (".jpg", ".jpeg", ".png", ".bmp")


def load(argv, add_flags, mode):
    """The flags of a tool and the config they name, checked for `mode` (train, eval, infer, export).

    Args:
        add_flags: adds the tool's own flags to a parser.

    Raises:
        UserError: something about the set-up, the config or a file that a user can fix.
    """
    register()
    from ppcls_mixformer.paddledet import config, preflight

    parser = config.common_flags()
    add_flags(parser)
    flags = parser.parse_args(argv)
    settings = config.load(flags)
    preflight.check(settings, flags, mode)
    if mode != "train" or flags.resume:
        config.without_pretrained()
    paddle.set_device("gpu" if settings.use_gpu else "cpu")
    return flags, settings


def add_train_flags(parser):
    """Flags of `tools/det/train.py`."""
    parser.add_argument("--eval", action="store_true", help="evaluate at every snapshot and keep the best")
    parser.add_argument("-r", "--resume", help="checkpoint to go on from, with its .pdopt beside it")
    parser.add_argument("--seed", type=int, help="seed of every random number")
    parser.add_argument("--fleet", action="store_true", help="train through paddle.distributed.fleet")
    parser.add_argument("--to_static", action="store_true", help="train a static graph")
    parser.add_argument("--use_vdl", type=ast.literal_eval, default=False, help="log for VisualDL")
    parser.add_argument("--vdl_log_dir", default="vdl_log_dir/scalar", help="folder of that log")


def train(argv):
    """Trains as the config says."""

    flags, settings = load(argv, add_train_flags, "train")
    from ppdet.engine import init_fleet_env, init_parallel_env, set_random_seed

    from ppcls_mixformer.paddledet.trainer import Trainer

    if flags.fleet:
        init_fleet_env(settings.get("find_unused_parameters", False))
    else:
        init_parallel_env()
    if flags.seed is not None:
        set_random_seed(flags.seed)
    trainer = Trainer(settings, mode="train")
    if flags.resume:
        trainer.resume_weights(flags.resume)
    elif settings.get("pretrain_weights"):
        trainer.load_weights(settings.pretrain_weights)
    trainer.train(flags.eval)


def add_eval_flags(parser):
    """Flags of `tools/det/eval.py`."""
    parser.add_argument("--classwise", action="store_true", help="also the AP of each class")
    parser.add_argument("--output_eval", help="folder for the result files")
    parser.add_argument("--save_prediction_only", action="store_true", help="write results, compute no AP")


def evaluate(argv):
    """Evaluates the checkpoint `weights` on EvalDataset."""

    _, settings = load(argv, add_eval_flags, "eval")
    from ppdet.engine import init_parallel_env

    from ppcls_mixformer.paddledet.trainer import Trainer

    init_parallel_env()
    trainer = Trainer(settings, mode="eval")
    trainer.load_weights(settings.weights)
    trainer.evaluate()


def add_infer_flags(parser):
    """Flags of `tools/det/infer.py`."""
    parser.add_argument("--infer_img", help="a picture")
    parser.add_argument("--infer_dir", help="or a folder of pictures")
    parser.add_argument("--output_dir", default="output", help="folder for the drawn pictures")
    parser.add_argument("--draw_threshold", type=float, default=0.5, help="least score of what is drawn")
    parser.add_argument("--save_results", action="store_true", help="write the results as JSON as well")
    parser.add_argument("--bbox_file", help="keypoints: boxes of persons, a detector's result file")


def infer(argv):
    """Draws boxes and masks, or skeletons, into pictures."""

    flags, settings = load(argv, add_infer_flags, "infer")
    from ppcls_mixformer.paddledet.skeletons import draw_all, read_boxes
    from ppcls_mixformer.paddledet.trainer import Trainer

    pictures = find_pictures(flags.infer_img, flags.infer_dir)
    trainer = Trainer(settings, mode="test")
    trainer.load_weights(settings.weights)
    if "KeyPoint" in settings.metric:
        boxes = read_boxes(flags.bbox_file, flags.draw_threshold) if flags.bbox_file else None
        draw_all(trainer, settings, pictures, boxes, KEYPOINT_THRESHOLD, flags.output_dir)
    else:
        trainer.predict(pictures, flags.draw_threshold, flags.output_dir, flags.save_results)


def find_pictures(picture, folder):
    """Paths of the pictures that the flags `--infer_img` and `--infer_dir` name.

    Raises:
        UserError: there are none.
    """
    if picture:
        if not Path(picture).is_file():
            raise UserError(f"--infer_img: there is no file {picture}")
        return [picture]
    if not folder:
        raise UserError("name a picture, --infer_img PATH, or a folder of pictures, --infer_dir PATH")
    found = sorted(str(p) for p in Path(folder).glob("*") if p.suffix.lower() in PICTURES)
    if not found:
        raise UserError(f"--infer_dir: there is no folder {folder} with pictures ({', '.join(PICTURES)})")
    return found


def export(argv):
    """Exports the checkpoint `weights` for Paddle inference."""
    from ppcls_mixformer.paddledet.export import main

    main(argv)
