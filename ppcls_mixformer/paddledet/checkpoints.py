"""How good the best model of a run is, kept beside it, so that a resumed run knows what it has to beat."""

import functools
import logging
from pathlib import Path

import paddle

from ppcls_mixformer.hosting.errors import UserError
from ppcls_mixformer.weights.checkpoint import read_file

logger = logging.getLogger(__name__)

BEST = "best_model"  # PaddleDetection's name for it
SCORE = f"{BEST}.pdstates"  # as PaddleClas has it
KEYS = (
    "ap",
    "metric",
)  # this package's, and that of PaddleDetection's develop, which writes such a file itself


class BestScore:
    """Saves the AP of a best model together with it."""

    def __init__(self):
        self.checkpointer = None  # of the run that is being trained

    def watching(self, on_epoch_end):
        """`on_epoch_end` of PaddleDetection's `Checkpointer`, which alone knows the AP while it saves."""

        @functools.wraps(on_epoch_end)
        def watch_epoch_end(checkpointer, status):
            self.checkpointer = checkpointer
            return on_epoch_end(checkpointer, status)

        return watch_epoch_end

    def saving(self, save_model):
        """PaddleDetection's `save_model`, which then also saves the AP of a best model, before all else."""

        @functools.wraps(save_model)
        def save_with_score(model, optimizer, save_dir, save_name, *args, **kwargs):
            if save_name == BEST and self.checkpointer is not None:
                paddle.save({"ap": float(self.checkpointer.best_ap)}, str(Path(save_dir) / SCORE))
            return save_model(model, optimizer, save_dir, save_name, *args, **kwargs)

        return save_with_score


def remember_best(checkpointer):
    """Tells the `Checkpointer` of a resumed run how good the best model in its output folder is.

    Raises:
        UserError: the file that says so is damaged.
    """
    path = Path(checkpointer.save_dir) / SCORE
    if path.is_file():
        checkpointer.best_ap = score_in(path)
        logger.info(
            "%s has AP %.3f: a worse one does not replace it", path.with_suffix(""), checkpointer.best_ap
        )
    elif path.with_suffix(".pdparams").is_file():
        logger.warning("%s has no AP beside it, so the first evaluation replaces it", path.with_suffix(""))


def score_in(path):
    """The AP in a file of SCORE."""
    try:
        content = read_file(path)
        return float(next(content[key] for key in KEYS if key in content))
    except (StopIteration, TypeError, ValueError):
        raise UserError(f"{path}: there is no AP in it; delete it to have the best model replaced") from None
