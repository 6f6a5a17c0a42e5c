"""Training runs that stop and go on: what is saved and kept, and what a resumed run goes on with."""

import re
import shutil

import paddle
import pytest
from commands import checkpoint, error_line, losses, overrides, tool

pytestmark = pytest.mark.slow


def rates(log):
    """`{(epoch, iteration): learning rate}` of a training log."""
    found = re.findall(r"\[Train\]\[Epoch (\d+)/\d+\]\[Iter: (\d+)/\d+\]lr\S* (\S+),", log)
    return {(int(epoch), int(iteration)): float(rate) for epoch, iteration, rate in found}


def names(output):
    """Of the checkpoints in an output folder, those whose three files are there."""
    folder = checkpoint(output, "latest").parent
    sets = [{path.stem for path in folder.glob(f"*.{kind}")} for kind in ("pdparams", "pdopt", "pdstates")]
    assert sets[0] == sets[1] == sets[2]
    return sets[0]


def resume(digits, folder, output, epochs, *settings, name="latest", check=True):
    """The log of a run that goes on from a copy of the output `folder`, in `output`."""
    shutil.copytree(folder, output)
    checkpoints = f"Global.checkpoints={checkpoint(output, name)}"
    return tool("train", *overrides(digits, output, epochs), checkpoints, *settings, check=check)


def test_latest_is_saved_every_epoch_and_the_last_ones_are_kept(digits, tmp_path):
    settings = overrides(digits, tmp_path, epochs=5)
    tool("train", *settings, "Global.save_interval=2", "Global.keep_checkpoints=1")
    assert names(tmp_path) == {"best_model", "latest", "epoch_4"}
    assert paddle.load(str(checkpoint(tmp_path, "latest.pdstates")))["epoch"] == 5


def test_an_evaluation_that_fails_loses_no_epoch(digits, tmp_path):
    listing = tmp_path / "list.txt"
    (tmp_path / "empty.png").touch()
    listing.write_text(f"{(digits / 'test_list.txt').read_text()}{tmp_path}/empty.png 0\n")
    settings = [*overrides(digits, tmp_path / "run"), f"DataLoader.Eval.dataset.cls_label_path={listing}"]
    assert "empty.png" in error_line(tool("train", *settings, check=False))
    assert names(tmp_path / "run") == {"latest"}
    assert paddle.load(str(checkpoint(tmp_path / "run", "latest.pdstates")))["epoch"] == 1


def test_more_epochs_follow_the_schedule_of_the_new_config(digits, trained, tmp_path):
    whole = tool("train", *overrides(digits, tmp_path / "whole", epochs=4))
    log = resume(digits, trained[0], tmp_path / "resumed", 4)
    assert "is of another run: epochs (4, was 2); this one goes on after epoch 2" in log
    assert rates(log) == {key: rate for key, rate in rates(whole).items() if key[0] > 2}


def test_a_run_of_its_warm_up_alone_is_resumed(digits, trained, tmp_path):
    """Two epochs, both of warm-up: the schedule has one state less than one of four epochs."""
    states = paddle.load(str(checkpoint(trained[0], "latest.pdopt")))
    states = states[0] if isinstance(states, list) else states  # a list since 2.4
    if "LinearWarmup_LR" in states["LR_Scheduler"]:
        pytest.skip("this PaddleClas has both states in every run")
    old = tmp_path / "of an earlier version"
    shutil.copytree(trained[0], old)
    path = str(checkpoint(old, "latest.pdstates"))
    content = paddle.load(path)
    del content["run"]
    paddle.save(content, path)
    log = resume(digits, old, tmp_path / "resumed", 3)
    assert "its learning rate followed another schedule" in log and losses(log)


def test_changed_settings_are_said(digits, trained, tmp_path):
    others = []
    for kind in ("train", "test"):  # lists of as many pictures, in another order
        others.append(tmp_path / f"{kind}.txt")
        lines = (digits / f"{kind}_list.txt").read_text().splitlines(keepends=True)
        others[-1].write_text("".join(sorted(lines)))
    settings = [
        "DataLoader.Train.sampler.batch_size=24",
        "Optimizer.lr.learning_rate=1e-4",
        "Global.seed=3",
        f"DataLoader.Train.dataset.cls_label_path={others[0]}",
        f"DataLoader.Eval.dataset.cls_label_path={others[1]}",
    ]
    log = resume(digits, trained[0], tmp_path / "resumed", 2, *settings, name="epoch_1")
    said = (
        "steps an epoch (4, was 2), images a step (24, was 48), seed (3, was 0), the section Optimizer, "
        "the lists of DataLoader.Train, "
        "Metric.Eval or the lists of DataLoader.Eval (the best metric starts anew)"
    )
    assert f"is of another run: {said}; this one goes on after epoch 1" in log and losses(log)


def test_a_finished_run_says_so(digits, trained, tmp_path):
    log = resume(digits, trained[0], tmp_path / "resumed", 2, check=False)
    assert "is of epoch 2, and Global.epochs is 2: nothing is left to train" in error_line(log)


def test_other_classes_are_refused(digits, trained, tmp_path):
    log = resume(digits, trained[0], tmp_path / "resumed", 4, "Arch.class_num=12", check=False)
    assert "is of a run with 10 classes, this config has 12" in error_line(log)
