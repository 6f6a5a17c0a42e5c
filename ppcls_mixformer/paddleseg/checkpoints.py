"""Checkpoints of whole segmentation networks: checked when loaded, complete or not there when saved."""

import logging
import os
import re
from pathlib import Path

import paddle

from ppcls_mixformer.hosting.errors import UserError
from ppcls_mixformer.weights.checkpoint import WeightsError, read_checkpoint, read_file

logger = logging.getLogger(__name__)

BEST = ("best_model", "ema_best_model")  # PaddleSeg's folders, in the order in which it evaluates
SCORE = "model.pdstates"  # beside the weights, as PaddleSeg's develop has it


def load_whole(model, path):
    """Loads the checkpoint at `path` into `model`, strictly.

    Raises:
        WeightsError: no such file, damaged, or of another network.
    """
    state = read_checkpoint(path)
    check_fit(model, state, path)
    model.set_state_dict(state)


def check_fit(model, state, path):
    """Raises a WeightsError unless `state`, read from `path`, has all entries of `model` and no others."""
    own = {name: list(value.shape) for name, value in model.state_dict().items()}
    theirs = {name: list(value.shape) for name, value in state.items()}
    problems = [
        *(f"{name} is missing" for name in own if name not in theirs),
        *(f"{name} is unknown" for name in theirs if name not in own),
        *(f"{n} is {theirs[n]}, not {shape}" for n, shape in own.items() if theirs.get(n, shape) != shape),
    ]
    if problems:
        more = f" and {len(problems) - 3} more" if len(problems) > 3 else ""
        raise WeightsError(
            f"{path} is no checkpoint of this {type(model).__name__}: {'; '.join(problems[:3])}{more}"
        )


def check_resume(folder, iters):
    """Refuses to resume from what is not a whole checkpoint, or is at the end already.

    Raises:
        UserError: no such folder, not named as PaddleSeg names them, or nothing left to do.
        WeightsError: a file of it is missing or damaged.
    """
    if not Path(folder).is_dir():
        raise UserError(f"--resume_model: there is no folder {folder}")
    number = re.fullmatch(r"iter_(\d+)", Path(folder).name)
    if not number:
        raise UserError(
            f"--resume_model {folder}: PaddleSeg resumes from a folder iter_N, whose name says where it was"
        )
    if int(number[1]) >= iters:
        raise UserError(f"--resume_model {folder}: training ends at {iters}; raise --iters to go on")
    for name in ("model.pdparams", "model.pdopt"):
        read_file(Path(folder) / name)


class Saver:
    """Saves what PaddleSeg's trainer saves; each file appears only once it is whole.

    Beside a best model goes its mIoU, so that a resumed run knows what it has to beat.
    """

    def __init__(self):
        self.to_beat = {}  # mIoU of what lies in the folders BEST, in a resumed run
        self.scores = []  # mIoU of the evaluations since the last file was saved
        self.has_saved = False

    def remembering(self, resume):
        """PaddleSeg's `resume`, which then also reads how good the best models are."""

        def resume_and_remember(model, optimizer, resume_model):
            for name in BEST:
                path = Path(resume_model).parent / name / SCORE
                if path.is_file():
                    self.to_beat[name] = paddle.load(str(path))["mIoU"]
            return resume(model, optimizer, resume_model)

        return resume_and_remember

    def noting(self, evaluate):
        """PaddleSeg's `evaluate`, whose mIoU is then noted."""

        def evaluate_and_note(*args, **kwargs):
            result = evaluate(*args, **kwargs)
            self.scores = [*([] if self.has_saved else self.scores), float(result[0])]
            self.has_saved = False
            return result

        return evaluate_and_note

    def save(self, obj, path, *args, **kwargs):
        """`paddle.save`; weights to resume from appear together with the optimizer's state."""
        path = Path(path)
        self.has_saved = True
        is_best = path.parent.name in BEST
        if is_best and not self.is_better(path):
            return
        write_aside(obj, path, *args, **kwargs)
        if path.name == "model.pdparams" and not is_best:
            return
        if path.name == "model.pdopt":
            put_in_place(path.with_name("model.pdparams"))
        put_in_place(path)
        if is_best and path.suffix == ".pdparams":
            self.save({"mIoU": self.score_of(path)}, path.with_name(SCORE))

    def score_of(self, path):
        """mIoU of the model that is about to be saved as the best one at `path`."""
        return self.scores[BEST.index(path.parent.name)]

    def is_better(self, path):
        """Whether the best model at `path` is to be replaced; says so if not."""
        score, to_beat = self.score_of(path), self.to_beat.get(path.parent.name, -1.0)
        if score <= to_beat and path.suffix == ".pdparams":
            logger.info("%s stays: its mIoU is %.4f, here it is %.4f", path.parent, to_beat, score)
        return score > to_beat


def write_aside(obj, path, *args, **kwargs):
    """Saves to `path` with the suffix `.part`; if it fails, nothing is left of it or what waits beside it."""
    try:
        paddle.save(obj, f"{path}.part", *args, **kwargs)
    except BaseException:
        for part in path.parent.glob("*.part"):
            part.unlink()
        raise


def put_in_place(path):
    """Gives what was written aside its name."""
    os.replace(f"{path}.part", path)
