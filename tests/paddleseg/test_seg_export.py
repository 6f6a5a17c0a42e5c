"""Exports of segmentation networks: the trainer's logits at any size, described, and whole."""

import re
import sys

import numpy as np
import paddle
import pytest
import yaml
from commands import HAS_ONNX, ROOT, error_line, run
from PIL import Image
from segmentation import CHAINS, CONFIG, NORMALIZE, PICTURES, WINDOWS, network, noise, tool

from ppcls_mixformer.hosting import onnx
from ppcls_mixformer.hosting.inference import PADDLE_3

pytestmark = pytest.mark.slow

SIZES = [(1, 3, 61, 75), (2, 3, 130, 97), (3, 3, 64, 64), (1, 3, 20, 160)]

needs_onnx = pytest.mark.skipif(not HAS_ONNX, reason="there is no paddle2onnx")


@pytest.fixture(scope="module")
def photos(scenes, tmp_path_factory):
    """Folder of pictures of the sizes in PICTURES."""
    folder = tmp_path_factory.mktemp("photos")
    scene = Image.open(sorted((scenes / "images/validation").iterdir())[0])
    for size in PICTURES:
        scene.resize(size).save(folder / "{}x{}.png".format(*size))
    return folder


def config_with(folder, transforms, **test_config):
    """Path of CONFIG with other transforms in evaluation."""
    content = yaml.safe_load((ROOT / CONFIG).read_text(encoding="utf-8"))
    content["val_dataset"]["transforms"] = transforms
    content["test_config"] = test_config
    (folder / "config.yml").write_text(yaml.safe_dump(content))
    return folder / "config.yml"


def share_of_equal_pixels(path, other):
    maps = [np.asarray(Image.open(file)) for file in (path, other)]
    assert maps[0].shape == maps[1].shape
    return (maps[0] == maps[1]).mean()


@pytest.mark.parametrize("chain", CHAINS)
def test_export_segments_pictures_as_predict_does(scenes, photos, weights, tmp_path, chain):
    transforms = [*CHAINS[chain], *[NORMALIZE] * (NORMALIZE not in CHAINS[chain])]
    config = config_with(tmp_path, transforms, **(WINDOWS if chain == "long" else {}))
    options = ["--config", config, "--model_path", weights]
    tool("predict", scenes, *options, "--image_path", photos, "--save_dir", tmp_path / "predicted")
    engines = ["onednn", "plain", *["onnx"] * (HAS_ONNX and chain == "ratio")]
    tool("export", scenes, *options, "--save_dir", tmp_path / "export", *["--onnx"] * ("onnx" in engines))
    run(sys.executable, "tests/scripts/seg_read_pictures.py", tmp_path / "export", photos, tmp_path)
    for width, height in PICTURES:
        name = f"{width}x{height}.png"
        expected = tmp_path / "predicted/pseudo_color_prediction" / name
        assert Image.open(expected).size == (width, height)
        for engine in engines:
            assert share_of_equal_pixels(tmp_path / engine / name, expected) > 0.999, (engine, name)
    description = yaml.safe_load((tmp_path / "export/deploy.yaml").read_text())["Deploy"]
    assert description["transforms"] == [NORMALIZE]
    assert description["in_program"] == [each for each in CHAINS[chain] if each != NORMALIZE]


@pytest.fixture(scope="module")
def exported(scenes, weights, tmp_path_factory):
    """Folder of an export that gives logits, to ONNX Runtime too."""
    folder, flags = tmp_path_factory.mktemp("exported"), ["--output_op", "none", *["--onnx"] * HAS_ONNX]
    log = tool("export", scenes, "--model_path", weights, "--save_dir", folder, *flags)
    assert "was not written" not in log, log[-3000:]
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


@needs_onnx
def test_onnx_runtime_gives_the_logits_at_any_size(exported, weights, host):
    model, runtime = network(weights), onnx.session(exported / "model.onnx")
    for size in SIZES:
        with paddle.no_grad():
            expected = model(paddle.to_tensor(noise(size)))[0].numpy()
        (found,) = runtime.run(None, {"x": noise(size)})
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)


def test_export_is_described(exported):
    description = yaml.safe_load((exported / "deploy.yaml").read_text())["Deploy"]
    assert description["model"] == ("model.json" if PADDLE_3 else "model.pdmodel")
    assert all((exported / description[key]).is_file() for key in ("model", "params"))
    assert [t["type"] for t in description["transforms"]] == ["Normalize"]
    assert description["in_program"] == [] and description["input_shape"] == [-1, 3, -1, -1]
    assert (description["output_op"], description["output_dtype"]) == ("none", "float32")
    assert description["num_classes"] == 8 and description["class_names"][::7] == ["brick", "person"]
    assert description["class_colors"][:2] == [[128, 0, 0], [0, 128, 0]]


def test_export_of_classes_has_a_fixed_shape_and_replaces_what_another_paddle_left(scenes, weights, tmp_path):
    stale = tmp_path / ("model.pdmodel" if PADDLE_3 else "model.json")
    stale.write_text("of another Paddle")
    (tmp_path / "model.pdparams").write_text("no part of an export")
    (tmp_path / "model.onnx").write_text("of another network")
    options = ["--model_path", weights, "--save_dir", tmp_path, "--input_shape", 1, 3, 64, 96]
    tool("export", scenes, *options, *["--onnx"] * HAS_ONNX)
    classes = paddle.jit.load(str(tmp_path / "model"))(paddle.to_tensor(noise((1, 3, 64, 96))))
    classes = classes[0] if isinstance(classes, (list, tuple)) else classes
    assert classes.shape == [1, 64, 96] and classes.dtype == paddle.int32
    assert not stale.exists() and (tmp_path / "model.pdparams").exists()
    if HAS_ONNX:
        (found,) = onnx.session(tmp_path / "model.onnx").run(None, {"x": noise((1, 3, 64, 96))})
        assert found.dtype == np.int32 and (found == classes.numpy()).mean() > 0.999
    else:
        assert not (tmp_path / "model.onnx").exists()


def test_a_failed_export_leaves_the_old_one(exported, scenes, tmp_path):
    before = {path.name: path.read_bytes() for path in exported.iterdir()}
    (tmp_path / "broken.pdparams").write_bytes(b"no checkpoint")
    options = ["--model_path", tmp_path / "broken.pdparams", "--save_dir", exported]
    assert "broken.pdparams" in error_line(tool("export", scenes, *options, check=False))
    assert {path.name: path.read_bytes() for path in exported.iterdir()} == before
