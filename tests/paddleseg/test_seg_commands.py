"""PaddleSeg as the host, for real: its trainer on the composed scenes, each tool in a process of its own."""

import re
import shutil
import sys

import numpy as np
import paddle
import pytest
from commands import run
from PIL import Image
from segmentation import CONFIG, TRAINING, network, overrides, tool

from ppcls_mixformer.hosting.whole import PREFIX

pytestmark = pytest.mark.slow


def learning_rates(log):
    return dict(re.findall(r"iter: (\d+)/\d+, loss: [\d.]+, lr: ([\d.]+)", log))


def mean_ious(log):
    return re.findall(r"#Images: 3 mIoU: ([\d.]+)", log)


def test_trains_and_evaluates(scenes, trained, weights):
    output, log = trained
    assert list(learning_rates(log)) == ["1", "2", "3", "4"] and len(mean_ious(log)) == 2
    files = {str(path.relative_to(output)) for path in output.rglob("*.pd*")}
    assert {"iter_2/model.pdparams", "iter_2/model.pdopt", "iter_4/model.pdopt"} <= files
    assert not list(output.rglob(f"{PREFIX}*"))
    evaluated = tool("eval", scenes, "--model_path", weights)
    assert mean_ious(evaluated) == [max(mean_ious(log))]


def test_evaluates_with_scales_flips_and_sliding_windows(scenes, weights):
    windows = ["--is_slide", "--crop_size", 96, 96, "--stride", 64, 64]
    augmented = ["--aug_eval", "--scales", 0.75, 1.0, "--flip_horizontal"]
    assert mean_ious(tool("eval", scenes, "--model_path", weights, *windows, *augmented))


def test_resumes_at_the_iteration_with_the_optimizer_and_the_best_model(scenes, trained, tmp_path):
    output = tmp_path / "resumed"
    shutil.copytree(trained[0], output)
    best = output / "best_model"
    paddle.save({"mIoU": 0.99}, str(best / "model.pdstates"))
    before = (best / "model.pdparams").read_bytes()
    log = tool("train", scenes, *TRAINING, "--save_dir", output, "--resume_model", output / "iter_2")
    rates = learning_rates(log)
    assert list(rates) == ["3", "4"] and rates.items() <= learning_rates(trained[1]).items()
    states = [paddle.load(str(folder / "iter_4/model.pdopt")) for folder in (trained[0], output)]
    powers = [{k: v.item() for k, v in state.items() if "beta1_pow" in k} for state in states]
    assert powers[0] and powers[0] == powers[1]
    assert "best_model stays: its mIoU is 0.9900" in log and (best / "model.pdparams").read_bytes() == before


def test_trains_in_two_processes(scenes, tmp_path):
    launcher = ["-m", "paddle.distributed.launch", "--nproc_per_node", 2, "--log_dir", tmp_path / "log"]
    options = ["--do_eval", "--iters", 1, "--batch_size", 1, "--log_iters", 1, "--device", "cpu"]
    command = ["tools/seg/train.py", "--config", CONFIG, *options, "--save_dir", tmp_path]
    log = run(sys.executable, *launcher, *command, *overrides(scenes))
    assert "iter: 1/1" in log and len(mean_ious(log)) == 1


def test_predicts_coloured_pictures(scenes, weights, tmp_path, host):
    folder = scenes / "images/validation"
    tool("predict", scenes, "--model_path", weights, "--image_path", folder, "--save_dir", tmp_path)
    picture = next(folder.iterdir())
    labels = Image.open(tmp_path / "pseudo_color_prediction" / f"{picture.stem}.png")
    mixed = Image.open(tmp_path / "added_prediction" / picture.name)
    assert labels.mode == "P" and labels.size == mixed.size == Image.open(picture).size
    x = (np.asarray(Image.open(picture)) / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    x = paddle.to_tensor(x.astype("float32").transpose(2, 0, 1)[None])
    with paddle.no_grad():
        expected = network(weights)(x)[0].argmax(1)[0].numpy()
    # Pillow and OpenCV decode JPEG a little differently.
    assert (np.asarray(labels) == expected).mean() > 0.99
