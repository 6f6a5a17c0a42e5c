"""The bodies of the commands det train, eval, infer and export, which take PaddleDetection's flags."""

from ppcls_mixformer.hosting.errors import failing_in
from ppcls_mixformer.paddledet import register
from ppcls_mixformer.paddledet.flags import parser

ROOMS = ("ppdet.modeling", "paddle.nn.layer")  # of the classes that networks are made of
KEYPOINT_THRESHOLD = 0.2  # as in PaddleDetection's metric, below which a keypoint does not count


def prepare(argv, mode):
    """Registers all that configs can name; returns checked settings, the device they ask for being set.

    Args:
        argv: flags, `-c CONFIG -o key=value …`.
        mode: train, eval, infer or export.

    Raises:
        UserError: something about the set-up, the config or a file that a user can fix.
    """
    parser(mode).parse_args(argv)  # mistakes in the flags, and --help, need no PaddleDetection
    register()
    import paddle

    from ppcls_mixformer.paddledet.config import settings

    checked = settings(argv, mode)
    paddle.set_device("gpu" if checked.config.use_gpu else "cpu")
    return checked


def load_trainer(config, mode):
    """A Trainer for `mode`, eval or test, with the checkpoint that `weights` names."""
    from ppcls_mixformer.paddledet.trainer import Trainer

    trainer = Trainer(config, mode=mode)
    trainer.load_weights(config.weights)
    return trainer


@failing_in(ROOMS)
def train(argv):
    """Trains as the config says."""
    flags, config = prepare(argv, "train")
    from ppdet.engine import init_fleet_env, init_parallel_env, set_random_seed

    from ppcls_mixformer.paddledet.trainer import Trainer

    if flags.fleet:
        init_fleet_env(config.get("find_unused_parameters", False))
    else:
        init_parallel_env()
    if flags.seed is not None:
        set_random_seed(flags.seed)
    trainer = Trainer(config, mode="train")
    if flags.resume:
        trainer.resume_weights(flags.resume)
    elif config.get("pretrain_weights"):
        trainer.load_weights(config.pretrain_weights)
    trainer.train(flags.eval)


@failing_in(ROOMS)
def evaluate(argv):
    """Evaluates the checkpoint `weights` on EvalDataset."""
    _, config = prepare(argv, "eval")
    from ppdet.engine import init_parallel_env

    init_parallel_env()
    load_trainer(config, "eval").evaluate()


@failing_in(ROOMS)
def infer(argv):
    """Draws boxes and masks, or skeletons, into pictures.

    Raises:
        UserError: pictures without a result, after all others.
    """
    flags, config = prepare(argv, "infer")
    from ppcls_mixformer.paddledet import reading
    from ppcls_mixformer.paddledet.preflight import find_pictures
    from ppcls_mixformer.paddledet.skeletons import draw_all

    with reading.leaving_out(find_pictures(flags)) as pictures:
        trainer = load_trainer(config, "test")
        if "KeyPoint" in config.metric:
            draw_all(trainer, config, pictures, config["boxes"], KEYPOINT_THRESHOLD, flags.output_dir)
        elif pictures:
            trainer.predict(pictures, flags.draw_threshold, flags.output_dir, flags.save_results)


@failing_in(ROOMS)
def export(argv):
    """Exports the checkpoint `weights` for Paddle inference."""
    from ppcls_mixformer.paddledet.export import write_export

    write_export(argv)
