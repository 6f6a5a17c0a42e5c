"""The bodies of the commands train, eval, infer and export, which take PaddleClas's flags."""

from ppcls_mixformer.paddleclas import register
from ppcls_mixformer.paddleclas.flags import parser


def build_engine(argv, mode):
    """PaddleClas's Engine for `mode` (train, eval, infer, export), and the flags.

    Args:
        argv: flags, `-c CONFIG -o key=value …`.

    Raises:
        UserError: something about the set-up, the config or a file that a user can fix.
    """
    parser(mode).parse_args(argv)  # mistakes in the flags, and --help, need no PaddleClas
    register()
    from ppcls.engine.engine import Engine

    from ppcls_mixformer.paddleclas import labels
    from ppcls_mixformer.paddleclas.config import settings

    flags, config = settings(argv, mode)
    config.skip_unreadable = getattr(flags, "skip_unreadable", False)
    labels.check(config)
    return Engine(config, mode=mode), flags


def train(argv):
    """Trains as the config says."""
    engine, _ = build_engine(argv, "train")
    engine.train()


def evaluate(argv):
    """Evaluates on DataLoader.Eval."""
    engine, _ = build_engine(argv, "eval")
    engine.eval()


def infer(argv):
    """Classifies Infer.infer_imgs."""
    engine, _ = build_engine(argv, "infer")
    engine.infer()


def export(argv):
    """Exports a checkpoint for Paddle inference, in both formats, and to ONNX with `--onnx`."""
    from ppcls_mixformer.paddleclas.export import write_export

    write_export(argv)


def predict(argv):
    """Classifies pictures with an export: the `paddleclas` command and its flags."""
    from ppcls_mixformer.paddleclas.predict import run_command

    run_command(argv)
