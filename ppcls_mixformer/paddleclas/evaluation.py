"""`eval`: the checkpoint, averaged over views where that is asked for, and the exported file beside it."""

import logging

from ppcls_mixformer.hosting.errors import UserError
from ppcls_mixformer.paddleclas import weights
from ppcls_mixformer.paddleclas.scores import Averaged, Exported
from ppcls_mixformer.predict import description as descriptions
from ppcls_mixformer.predict import programs, views

logger = logging.getLogger(__name__)


def run(engine, flags):
    """Evaluates PaddleClas's `engine` as the flags of `eval` say.

    Raises:
        UserError: something about the export or a flag that a user can fix.
    """
    if flags.inference_dir is None:
        if flags.engine:
            raise UserError("--engine is for an export: name its folder with --inference_dir")
        average(engine, flags.tta)
        engine.eval()
        return
    network, independent = engine.model, _is_independent(engine)
    exported = Exported(_program(engine, flags), independent)
    metrics = {}
    for name, model in (("checkpoint", network), ("export", exported)):
        if name == "checkpoint" and not weights.are_named(engine.config):
            logger.info("no checkpoint is named, so the export is evaluated alone")
            continue
        logger.info("== %s", name)
        engine.model = model
        average(engine, flags.tta)
        metrics[name] = engine.eval()
    named = ", ".join(f"{name} {value:.5f}" for name, value in metrics.items())
    logger.info("%s (%s): %s", exported.program.path, exported.program.engine, named)


def average(engine, asked):
    """Lets the `engine` average its scores over the views that `--tta` asks for; does nothing without any.

    Raises:
        UserError: no such view; a network that gives no logits.
    """
    found = views.parse(asked)
    if len(found) == 1:
        return
    eval_mode = engine.config["Global"].get("eval_mode") or "classification"
    if eval_mode != "classification":
        raise UserError(f"--tta averages scores of classes, but Global.eval_mode is {eval_mode}")
    engine.model = Averaged(engine.model, found, _is_independent(engine))


def _is_independent(engine):
    return bool(engine.config["Global"].get("use_multilabel"))


def _program(engine, flags):
    described = descriptions.read(flags.inference_dir)
    found = programs.load(flags.inference_dir, programs.Options(flags.engine))
    if described.independent != _is_independent(engine):
        raise UserError(
            f"{flags.inference_dir} was exported {'with' if described.independent else 'without'} "
            "Global.use_multilabel, and the config says otherwise"
        )
    return found
