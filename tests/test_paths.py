"""Folders with spaces and Chinese characters, from the pictures to the scores."""

import re
import shutil
import sys

import pytest
from commands import checkpoint, losses, overrides, run, tool

pytestmark = pytest.mark.slow


def test_pictures_checkpoints_and_exports_may_lie_anywhere(digits, tmp_path):
    data, output = tmp_path / "数 据", tmp_path / "结 果"
    shutil.copytree(digits, data)
    settings = overrides(data, output, epochs=1)
    assert len(losses(tool("train", *settings))) == 2
    weights = f"Global.pretrained_model={checkpoint(output, 'latest')}"
    assert re.search(r"top1: [\d.]+", tool("eval", *settings, weights))
    export = output / "inference"
    tool("export_model", *settings, weights, f"Global.save_inference_dir={export}")
    picture = data / (data / "test_list.txt").read_text().split()[0]
    flags = ["--inference_model_dir", export, "--infer_imgs", picture, "--use_gpu", "False"]
    names = ["--class_id_map_file", data / "label_list.txt", "--resize_short", 28, "--crop_size", 28]
    assert "class_ids" in run(sys.executable, "tools/predict.py", *flags, *names)


def test_worker_processes_that_are_started_by_spawn_are_done_without(digits, tmp_path):
    settings = [f"DataLoader.{split}.loader.num_workers=2" for split in ("Train", "Eval")]
    launcher = (sys.executable, "tests/scripts/spawn.py")
    log = tool("train", *overrides(digits, tmp_path, epochs=1), *settings, launcher=launcher)
    assert len(losses(log)) == 2
    assert log.count("warning: num_workers is 0, not 2: this Python starts processes by spawn") == 2
