"""Exports of segmentation networks: the trainer's logits at any size, described, and whole."""

import re
import sys

import numpy as np
import paddle
import pytest
import yaml
from commands import error_line, run
from segmentation import network, noise, tool

from ppcls_mixformer.hosting.inference import PADDLE_3

pytestmark = pytest.mark.slow

SIZES = [(1, 3, 61, 75), (2, 3, 130, 97), (3, 3, 64, 64), (1, 3, 20, 160)]


@pytest.fixture(scope="module")
def exported(scenes, weights, tmp_path_factory):
    """Folder of an export that gives logits."""
    folder = tmp_path_factory.mktemp("exported")
    tool("export", scenes, "--model_path", weights, "--save_dir", folder, "--output_op", "none")
    return folder


@pytest.mark.parametrize("engine", ["onednn", "plain"])
def test_export_gives_the_logits_at_any_size(exported, weights, host, engine):
    model, data = network(weights), {}
    for i, size in enumerate(SIZES):
        data[f"x{i}"] = noise(size)
        with paddle.no_grad():
            data[f"y{i}"] = model(paddle.to_tensor(data[f"x{i}"]))[0].numpy()
    np.savez(exported / "reference.npz", **data)
    log = run(sys.executable, "tests/scripts/seg_read_export.py", exported, engine)
    errors = [float(error) for error in re.findall("^error (.*)", log, re.M)]
    assert len(errors) == 2 * len(SIZES) and max(errors) < 1e-5, log


def test_export_is_described(exported):
    description = yaml.safe_load((exported / "deploy.yaml").read_text())["Deploy"]
    assert description["model"] == ("model.json" if PADDLE_3 else "model.pdmodel")
    assert all((exported / description[key]).is_file() for key in ("model", "params"))
    assert [t["type"] for t in description["transforms"]] == ["Normalize"]


def test_export_of_classes_has_a_fixed_shape_and_replaces_what_another_paddle_left(scenes, weights, tmp_path):
    stale = tmp_path / ("model.pdmodel" if PADDLE_3 else "model.json")
    stale.write_text("of another Paddle")
    (tmp_path / "model.pdparams").write_text("no part of an export")
    options = ["--model_path", weights, "--save_dir", tmp_path, "--input_shape", 1, 3, 64, 96]
    tool("export", scenes, *options)
    classes = paddle.jit.load(str(tmp_path / "model"))(paddle.to_tensor(noise((1, 3, 64, 96))))
    classes = classes[0] if isinstance(classes, (list, tuple)) else classes
    assert classes.shape == [1, 64, 96] and classes.dtype == paddle.int32
    assert not stale.exists() and (tmp_path / "model.pdparams").exists()


def test_a_failed_export_leaves_the_old_one(exported, scenes, tmp_path):
    before = {path.name: path.read_bytes() for path in exported.iterdir()}
    (tmp_path / "broken.pdparams").write_bytes(b"no checkpoint")
    options = ["--model_path", tmp_path / "broken.pdparams", "--save_dir", exported]
    assert "broken.pdparams" in error_line(tool("export", scenes, *options, check=False))
    assert {path.name: path.read_bytes() for path in exported.iterdir()} == before
