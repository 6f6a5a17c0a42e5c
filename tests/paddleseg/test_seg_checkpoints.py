"""Checkpoints of segmentation networks: each file appears once it is whole, and the best model stays."""

import numpy as np
import paddle
import pytest
from crashes import states

from ppcls_mixformer.hosting import whole
from ppcls_mixformer.hosting.errors import UserError
from ppcls_mixformer.hosting.whole import PREFIX
from ppcls_mixformer.paddleseg.checkpoints import Saver
from ppcls_mixformer.weights.checkpoint import read_file


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
    assert [path.read_bytes() for path in paths] == old and not list(tmp_path.rglob(f"{PREFIX}*"))
    with pytest.raises(RuntimeError, match="disk full"):
        paddle.save({"x": Unsaveable()}, str(paths[1]))
    assert paths[1].read_bytes() != old[1]  # Paddle alone would have destroyed it


@pytest.mark.skipif(whole.fcntl is None, reason="this system has no file locks")
@pytest.mark.parametrize("folder", ["iter_2", "best_model"])
def test_a_checkpoint_is_of_one_network_whenever_the_trainer_is_killed(tmp_path, folder):
    output, seen = tmp_path / "output", set()

    def save(value):
        save_checkpoint(Saver(), output, value, value, value)

    save(0.25)
    second = {"iter_2": ("model.pdparams", "model.pdopt"), "best_model": ("model.pdparams", "model.pdstates")}
    for state in states(output, lambda: save(0.5), tmp_path / "copies"):
        values = set()
        for name in second[folder]:
            (value,) = read_file(state / folder / name).values()  # which settles
            values.add(np.asarray(value).item())
        assert len(values) == 1 and not list((state / folder).glob(f"{PREFIX}*"))
        seen |= values
    assert seen == {0.25, 0.5}


def test_no_half_of_an_old_checkpoint_is_left(host, tmp_path):
    from ppcls_mixformer.paddleseg.bridges import trainer

    folder = tmp_path / "output/iter_2"
    folder.mkdir(parents=True)
    for name in ("model.pdparams", "model.pdopt"):
        (folder / name).touch()
    for state in states(folder.parent, lambda: trainer.shutil.rmtree(str(folder)), tmp_path / "copies"):
        assert not (state / "iter_2").exists() or len(list((state / "iter_2").iterdir())) == 2
    assert not list(folder.parent.iterdir())


def save_checkpoint(saver, folder, model, average, last=0.0):
    """Does what PaddleSeg does at a checkpoint: evaluates network and moving average, then saves both."""
    for score in (model, average):
        saver.noting(lambda score: (score, "accuracy"))(score)
    for name in ("iter_2/model.pdparams", "iter_2/model.pdopt", "iter_2/ema_model.pdparams"):
        saver.save(tensor(last), str(folder / name))
    saver.save(tensor(model), str(folder / "best_model/model.pdparams"))
    saver.save(tensor(average), str(folder / "ema_best_model/ema_model.pdparams"))


def best_models(folder):
    """Values of the best network and the best moving average, which are their mIoU too."""
    folders = {"best_model": "model.pdparams", "ema_best_model": "ema_model.pdparams"}
    found = [float(paddle.load(str(folder / name / file))["x"]) for name, file in folders.items()]
    assert found == [paddle.load(str(folder / name / "model.pdstates"))["mIoU"] for name in folders]
    return found


def test_a_ruined_network_ends_the_run_and_is_no_best_model(tmp_path):
    save_checkpoint(Saver(), tmp_path, 0.25, 0.5)
    with pytest.raises(UserError, match=f"^iter_2: x holds .* in {tmp_path} are from before; lower"):
        save_checkpoint(Saver(), tmp_path, 0.75, 0.75, last=np.nan)
    assert best_models(tmp_path) == [0.25, 0.5]


def test_a_checkpoint_that_is_not_saved_leaves_no_empty_folder(paths):
    saver, (weights, optimizer) = Saver(), paths
    for value, state in ((np.nan, tensor(1.0)), (1.0, {"x": Unsaveable()})):
        weights.parent.mkdir()  # as PaddleSeg does
        with pytest.raises((UserError, RuntimeError)):
            saver.save(tensor(value), str(weights))
            saver.save(state, str(optimizer))
        assert not weights.parent.exists()
    weights.parent.mkdir()
    (weights.parent / "notes.txt").touch()
    with pytest.raises(UserError):
        saver.save(tensor(np.nan), str(weights))
    assert (weights.parent / "notes.txt").exists()


@pytest.mark.parametrize("loss", [np.nan, np.inf, 1.0])
def test_a_loss_of_a_ruined_network_ends_the_run(tmp_path, loss):
    saver = Saver()
    saver.network, saver.folder = paddle.nn.Linear(1, 1), tmp_path
    compute = saver.checking(lambda value: [paddle.to_tensor([1.0]), paddle.to_tensor([value])])
    assert len(compute(loss)) == 2  # where mixed precision leaves out that step
    saver.network.bias.set_value(paddle.full([1], np.nan))
    if loss == 1.0:
        assert len(compute(loss)) == 2
        return
    with pytest.raises(UserError, match="^the loss is no number, and bias holds .* nothing was saved; lower"):
        compute(loss)


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
