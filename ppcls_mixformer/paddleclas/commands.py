"""The bodies of train, eval, infer, explain, report, export and predict, which take PaddleClas's flags."""

from ppcls_mixformer.paddleclas import register
from ppcls_mixformer.paddleclas.flags import OUTPUTS, host_mode, parser


def build_engine(argv, mode):
    """PaddleClas's Engine for `mode` (train, eval, infer, explain, report, export), and the flags.

    Args:
        argv: flags, `-c CONFIG -o key=value …`.

    Raises:
        UserError: something about the set-up, the config or a file that a user can fix.
    """
    parser(mode).parse_args(argv)  # mistakes in the flags, and --help, need no PaddleClas
    register()
    from ppcls.engine.engine import Engine

    from ppcls_mixformer.paddleclas import weights
    from ppcls_mixformer.paddleclas.config import settings

    flags, config = settings(argv, mode)
    with weights.recorded() as loaded:
        engine = Engine(config, mode=host_mode(mode))
    if mode != "train" and not flags.random_weights:
        if weights.are_named(config) or not getattr(flags, "inference_dir", None):
            weights.check_loaded(engine.model, loaded, config, mode)
    return engine, flags


def train(argv):
    """Trains as the config says."""
    engine, _ = build_engine(argv, "train")
    from ppcls_mixformer.paddleclas import training

    training.run(engine)


def evaluate(argv):
    """Evaluates on DataLoader.Eval, and with `--report` writes what that says as a page."""
    engine, flags = build_engine(argv, "eval")
    from ppcls_mixformer.paddleclas import evaluation, report, training

    training.warn_of_other_lists(engine.config)
    if flags.report is None:
        evaluation.run(engine, flags)
    else:
        report.run(engine, flags, OUTPUTS["eval"])


def infer(argv):
    """Classifies Infer.infer_imgs."""
    engine, flags = build_engine(argv, "infer")
    from ppcls_mixformer.paddleclas import evaluation, infer

    evaluation.average(engine, flags.tta)
    infer.run(engine, flags)


def explain(argv):
    """Draws over pictures what the network looked at."""
    engine, flags = build_engine(argv, "explain")
    from ppcls_mixformer.paddleclas import explain

    explain.run(engine, flags)


def report(argv):
    """Evaluates on DataLoader.Eval, and writes what that says as a page."""
    engine, flags = build_engine(argv, "report")
    from ppcls_mixformer.paddleclas import report, training

    training.warn_of_other_lists(engine.config)
    report.run(engine, flags, OUTPUTS["report"])


def export(argv):
    """Exports a checkpoint for Paddle inference, in both formats, and to ONNX with `--onnx`."""
    from ppcls_mixformer.paddleclas.export import write_export

    write_export(argv)


def predict(argv):
    """Classifies pictures with an export, with the flags of the `paddleclas` command."""
    from ppcls_mixformer.predict import command

    if command.is_for_stock(argv):
        from ppcls_mixformer.paddleclas import stock

        stock.run_command(argv)
    else:
        command.run(argv)
