"""`eval`: the checkpoint, averaged over views where that is asked for, and the exported file beside it."""

import contextlib
import logging
from pathlib import Path

from ppcls_mixformer.hosting.errors import UserError
from ppcls_mixformer.paddleclas import describe, weights
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
    _check_classes(engine, "--inference_dir")
    network, independent = engine.model, _is_independent(engine)
    described = _described(engine, flags.inference_dir)
    program = programs.load(flags.inference_dir, programs.Options(flags.engine))
    classes, shape = engine.config["Arch"].get("class_num"), described and described.image_shape
    exported = Exported(program, independent, classes, shape)
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
    _check_classes(engine, "--tta")
    engine.model = Averaged(engine.model, found, _is_independent(engine))


def _check_classes(engine, flag):
    """Refuses a flag that is for scores of classes where something else is evaluated."""
    eval_mode = engine.config["Global"].get("eval_mode") or "classification"
    if eval_mode != "classification":
        raise UserError(f"{flag} is for scores of classes, but Global.eval_mode is {eval_mode}")


def _is_independent(engine):
    return bool(engine.config["Global"].get("use_multilabel"))


def _described(engine, folder):
    """The `Description` of the export in `folder`, None without one; says where it is not what is evaluated.

    Raises:
        UserError: its labels are independent, and the config's are not, or the other way round.
    """
    if not (Path(folder) / descriptions.NAME).is_file():
        return None
    described = descriptions.read(folder)
    if described.independent != _is_independent(engine):
        raise UserError(
            f"{folder} was exported {'with' if described.independent else 'without'} "
            "Global.use_multilabel, and the config says otherwise"
        )
    with contextlib.suppress(ValueError):  # what no description can say is not compared
        if describe.evaluated(engine.config) != described.transform_ops:
            logger.warning(
                "%s prepares pictures in another way than DataLoader.Eval: what is measured here, with the "
                "latter, is not what the export will do",
                Path(folder) / descriptions.NAME,
            )
    return described
