"""The quick start, which goes on where it was stopped."""

import importlib
import shutil

import paddle
import pytest
from commands import checkpoint, overrides, tool

pytestmark = pytest.mark.slow


def test_the_training_goes_on_where_it_was_stopped(digits, tmp_path, monkeypatch, capfd):
    output = tmp_path / "output/digits"
    tool("train", *overrides(digits, output, epochs=6))
    shutil.copytree(digits, tmp_path / "dataset/digits")
    monkeypatch.chdir(tmp_path)
    quick_start = importlib.import_module("demo.quick_start")
    quick_start.train()
    log = capfd.readouterr().out
    assert "[Train][Epoch 7/8]" in log and "[Train][Epoch 6/8]" not in log
    assert paddle.load(str(checkpoint(output, "latest.pdstates")))["epoch"] == 8
    quick_start.train()  # only the copy of the weights was missing
    assert "== train" not in capfd.readouterr().out
