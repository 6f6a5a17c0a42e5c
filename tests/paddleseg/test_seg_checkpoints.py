"""Checkpoints of segmentation networks: each file appears once it is whole, and the best model stays."""

import paddle
import pytest

from ppcls_mixformer.paddleseg.checkpoints import Saver


class Unsaveable:
    """Fails while it is written, as on a full disk."""

    def __reduce__(self):
        raise RuntimeError("disk full")


@pytest.fixture
def paths(tmp_path):
    """Weights and optimizer's state of a checkpoint that is not there yet."""
    return [tmp_path / "iter_2" / name for name in ("model.pdparams", "model.pdopt")]


def tensor(value):
    return {"x": paddle.full([1], value)}


def test_weights_appear_together_with_the_state_of_the_optimizer(paths):
    saver = Saver()
    saver.save(tensor(1.0), str(paths[0]))
    assert not paths[0].exists()
    saver.save(tensor(2.0), str(paths[1]))
    assert [float(paddle.load(str(path))["x"]) for path in paths] == [1.0, 2.0]


def test_a_save_that_fails_leaves_the_old_checkpoint(paths, tmp_path):
    saver = Saver()
    for path in paths:
        saver.save(tensor(1.0), str(path))
    old = [path.read_bytes() for path in paths]
    saver.save(tensor(2.0), str(paths[0]))
    with pytest.raises(RuntimeError, match="disk full"):
        saver.save({"x": Unsaveable()}, str(paths[1]))
    assert [path.read_bytes() for path in paths] == old and not list(tmp_path.rglob("*.part"))
    with pytest.raises(RuntimeError, match="disk full"):
        paddle.save({"x": Unsaveable()}, str(paths[1]))
    assert paths[1].read_bytes() != old[1]  # Paddle alone would have destroyed it


def save_checkpoint(saver, folder, model, average):
    """Does what PaddleSeg does at a checkpoint: evaluates network and moving average, then saves both."""
    for score in (model, average):
        saver.noting(lambda score: (score, "accuracy"))(score)
    for name in ("iter_2/model.pdparams", "iter_2/model.pdopt", "iter_2/ema_model.pdparams"):
        saver.save(tensor(0.0), str(folder / name))
    saver.save(tensor(model), str(folder / "best_model/model.pdparams"))
    saver.save(tensor(average), str(folder / "ema_best_model/ema_model.pdparams"))


def best_models(folder):
    """Values of the best network and the best moving average, which are their mIoU too."""
    folders = {"best_model": "model.pdparams", "ema_best_model": "ema_model.pdparams"}
    found = [float(paddle.load(str(folder / name / file))["x"]) for name, file in folders.items()]
    assert found == [paddle.load(str(folder / name / "model.pdstates"))["mIoU"] for name in folders]
    return found


def test_best_models_have_their_own_scores(tmp_path):
    saver = Saver()
    save_checkpoint(saver, tmp_path, 0.25, 0.5)
    assert best_models(tmp_path) == [0.25, 0.5]
    save_checkpoint(saver, tmp_path, 0.5, 0.75)
    assert best_models(tmp_path) == [0.5, 0.75]


def test_a_resumed_run_replaces_only_worse_models(tmp_path):
    save_checkpoint(Saver(), tmp_path, 0.5, 0.5)
    saver = Saver()
    resumed = saver.remembering(lambda model, optimizer, folder: 2)(None, None, str(tmp_path / "iter_2"))
    save_checkpoint(saver, tmp_path, 0.25, 0.75)
    assert resumed == 2 and best_models(tmp_path) == [0.5, 0.75]
