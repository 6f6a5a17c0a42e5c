"""The best model of a run: its AP is beside it, and a resumed run puts no worse one in its place."""

from types import SimpleNamespace

import numpy as np
import paddle
import pytest
from det_tools import DETECTOR, train

from ppcls_mixformer.hosting.errors import UserError
from ppcls_mixformer.weights.checkpoint import read_file

pytestmark = pytest.mark.usefixtures("host")


class Optimizer:
    """What is saved of an optimizer."""

    def state_dict(self):
        return {}


class Run:
    """What PaddleDetection's Checkpointer sees of a trainer, whose evaluations end as `evaluate` is told."""

    def __init__(self, folder):
        from ppdet.core.workspace import AttrDict
        from ppdet.engine.callbacks import Checkpointer

        self.model, self.optimizer, self.use_ema = paddle.nn.Linear(1, 1), Optimizer(), False
        self.cfg = AttrDict(save_dir=str(folder), filename="x", epoch=9, snapshot_epoch=1)
        self._metrics = [SimpleNamespace(get_results=lambda: {"bbox": [self.precision]})]
        self.checkpointer = Checkpointer(self)

    def evaluate(self, epoch, precision):
        self.precision = precision
        self.model.weight.set_value(paddle.full([1, 1], epoch, "float32"))
        self.checkpointer.on_epoch_end({"mode": "eval", "epoch_id": epoch, "save_best_model": True})


def best_in(folder):
    """Epoch and AP of the best model in a folder."""
    weights, score = (read_file(folder / f"x/best_model.{suffix}") for suffix in ("pdparams", "pdstates"))
    return weights["weight"].item(), score["ap"]


def resumed(folder):
    from ppcls_mixformer.paddledet.checkpoints import remember_best

    run = Run(folder)
    remember_best(run.checkpointer)
    return run


def test_a_resumed_run_keeps_the_best_model_until_there_is_a_better_one(tmp_path):
    run = Run(tmp_path)
    for epoch, precision in enumerate([0.1, 0.3, 0.2]):
        run.evaluate(epoch, precision)
    assert best_in(tmp_path) == (1, 0.3)
    run = resumed(tmp_path)
    run.evaluate(3, 0.25)
    assert best_in(tmp_path) == (1, 0.3)
    run.evaluate(4, 0.4)
    assert best_in(tmp_path) == (4, 0.4)
    Run(tmp_path).evaluate(0, 0.05)  # a run that was not resumed
    assert best_in(tmp_path) == (0, 0.05)


@pytest.mark.parametrize("event", ["on_step_end", "on_epoch_end"])
def test_a_ruined_network_ends_the_run_and_is_no_best_model(tmp_path, event):
    from ppdet.utils.stats import TrainingStats

    from ppcls_mixformer.paddledet.trainer import Numbers

    run = Run(tmp_path)
    run.evaluate(0, 0.0)
    numbers = Numbers(run)
    run._callbacks, statistics = [numbers, run.checkpointer], TrainingStats(1)
    statistics.update({"loss": paddle.to_tensor(np.nan)})
    status = {"mode": "train", "epoch_id": 1, "step_id": 3, "learning_rate": 9, "training_staus": statistics}
    getattr(numbers, event)(status)  # of a step that mixed precision left out
    run.model.weight.set_value(paddle.full([1, 1], np.nan))
    said = f"^weight .* at step 3 of epoch 1, with .* 9: .* in {tmp_path}/x are from before; lower Learning"
    with pytest.raises(UserError, match=said):
        getattr(numbers, event)(status)
    assert best_in(tmp_path) == (0, 0.0)


def test_without_an_ap_the_first_evaluation_replaces_the_best_model(tmp_path, caplog):
    resumed(tmp_path).evaluate(0, 0.1)
    assert "no AP beside it" not in caplog.text
    (tmp_path / "x/best_model.pdstates").unlink()
    run = resumed(tmp_path)
    assert "best_model has no AP beside it" in caplog.text
    run.evaluate(1, 0.05)
    assert best_in(tmp_path) == (1, 0.05)


def test_the_score_that_develop_writes_is_known(tmp_path):
    (tmp_path / "x").mkdir()
    paddle.save({"metric": 0.25, "epoch": 3}, str(tmp_path / "x/best_model.pdstates"))
    assert resumed(tmp_path).checkpointer.best_ap == 0.25


def test_checkpoints_have_a_folder_of_their_config(tmp_path, monkeypatch):
    from ppdet.engine import callbacks

    from ppcls_mixformer.paddledet import bridges

    class AsInDevelop:
        def __init__(self, model):
            self.save_dir, self.uniform_output_enabled = model.cfg.save_dir, model.cfg.epoch == 1

    monkeypatch.setattr(callbacks, "Checkpointer", AsInDevelop)
    bridges.folders_of_checkpoints()
    run = Run(tmp_path)
    assert run.checkpointer.save_dir == str(tmp_path / "x")
    run.cfg.epoch = 1  # stands for what only PaddleX asks for
    assert callbacks.Checkpointer(run).save_dir == str(tmp_path)


@pytest.mark.parametrize("content", [{}, {"ap": "much"}, {"ap": None}, [1]])
def test_a_file_without_an_ap_is_refused(tmp_path, content):
    (tmp_path / "x").mkdir()
    paddle.save(content, str(tmp_path / "x/best_model.pdstates"))
    with pytest.raises(UserError, match="best_model.pdstates: there is no AP in it"):
        resumed(tmp_path)


@pytest.mark.slow
def test_training_that_goes_on_keeps_the_best_model(scenes, classifier, tmp_path):
    train(scenes, classifier, tmp_path, DETECTOR, flags=["--eval"])
    best = tmp_path / DETECTOR / "best_model.pdparams"
    score = best.with_suffix(".pdstates")
    assert read_file(score)["ap"] >= 0
    paddle.save({"ap": 0.99}, str(score))
    before = best.read_bytes()
    last = tmp_path / DETECTOR / "model_final"
    log = train(scenes, classifier, tmp_path, DETECTOR, "epoch=2", flags=["--eval", "-r", last])
    assert "best_model has AP 0.990: a worse one does not replace it" in log
    assert best.read_bytes() == before and "Best test bbox ap is 0.990" in log
