"""Checkpoints of whole segmentation networks: checked when loaded, complete or not there when saved."""

import contextlib
import logging
from pathlib import Path

import paddle

from ppcls_mixformer.hosting import ruin
from ppcls_mixformer.hosting.whole import whole_set
from ppcls_mixformer.weights.checkpoint import compare, read_checkpoint, refuse

logger = logging.getLogger(__name__)

BEST = ("best_model", "ema_best_model")  # PaddleSeg's folders, in the order in which it evaluates
SCORE = "model.pdstates"  # beside the weights, as PaddleSeg's develop has it


def load_whole(model, path):
    """Loads the checkpoint at `path` into `model`, strictly.

    Raises:
        WeightsError: no such file, damaged, or of another network.
    """
    state = read_checkpoint(path)
    refuse(compare(model.state_dict(), state), path, type(model).__name__)
    model.set_state_dict(state)


class Saver:
    """Saves what PaddleSeg's trainer saves; each file appears only once it is whole.

    Beside a best model goes its mIoU, so that a resumed run knows what it has to beat. A network that holds
    what is no number ends the run and is not saved: of one class alone its mIoU may be the best so far.
    """

    def __init__(self):
        self.network, self.folder = None, None  # what is trained, and where its checkpoints are
        self.to_beat = {}  # mIoU by folder of BEST, as a resumed run found them
        self.measured = []  # mIoU of each evaluation since the last checkpoint
        self.scores = {}  # mIoU by folder of BEST, of the networks that are being saved
        self.held = []  # weights to resume from, which appear together with the optimizer's state

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
            self.measured.append(float(result[0]))
            return result

        return evaluate_and_note

    def checking(self, compute_losses):
        """PaddleSeg's `loss_computation`, of whose losses none may come of a ruined network."""

        def compute_and_check(*args, **kwargs):
            losses = compute_losses(*args, **kwargs)
            are_numbers = all(bool(paddle.isfinite(loss).all()) for loss in losses)
            if self.network is not None and not are_numbers:  # mixed precision may leave out such a step
                refuse_ruined(self.network.state_dict(), "the loss is no number, and", self.folder)
            return losses

        return compute_and_check

    def save(self, obj, path):
        """Stands in for `paddle.save` in PaddleSeg, which evaluates, saves to `iter_N`, then to BEST."""
        path = Path(path)
        with no_empty_folder(path.parent):
            if path.parent.name in BEST:
                self.save_best(obj, path)
            elif path.name == "model.pdparams":
                refuse_ruined(obj, f"{path.parent.name}:", path.parent.parent)
                self.scores, self.measured = dict(zip(BEST, self.measured)), []
                self.held = [(obj, path)]
            else:
                files, self.held = [*self.held, (obj, path)], []
                save_together(files)

    def save_best(self, obj, path):
        """Saves a file of a best model, unless the folder of a resumed run holds a better one."""
        folder, is_weights = path.parent.name, path.suffix == ".pdparams"
        score, to_beat = self.scores[folder], self.to_beat.get(folder, -1.0)
        if score > to_beat:
            beside = [({"mIoU": score}, path.with_name(SCORE))] if is_weights else []
            save_together([(obj, path), *beside])
        elif is_weights:
            logger.info("%s stays: its mIoU is %.4f, here it is %.4f", path.parent, to_beat, score)


@contextlib.contextmanager
def no_empty_folder(folder):
    """Has the folder, which PaddleSeg makes first, go where the block fails and nothing was saved in it."""
    try:
        yield
    except BaseException:
        with contextlib.suppress(OSError):  # there is something in it, or no folder
            folder.rmdir()
        raise


def refuse_ruined(state, when, folder):
    """Ends a run, with its checkpoints in `folder`, where a state dict holds NaN or infinity."""
    name = ruin.ruined(state)
    if name:
        raise ruin.stop(f"{when} {name} holds what is no number", folder, "--learning_rate")


def save_together(files):
    """Saves each `(object, path)`, all in one folder; the files appear as a set."""
    with whole_set(files[0][1].parent) as part:
        for obj, path in files:
            paddle.save(obj, str(part(path)))
