"""An export where ONNX Runtime is installed, and no Paddle, paddleclas or OpenCV: the same answers."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from commands import HAS_ONNX, ROOT, error_line
from PIL import Image

from ppcls_mixformer import Classifier
from ppcls_mixformer.predict import description as descriptions
from ppcls_mixformer.predict.sources import find

pytestmark = [
    pytest.mark.slow,
    pytest.mark.network,
    pytest.mark.skipif(not HAS_ONNX, reason="paddle2onnx, which writes inference.onnx, is not installed"),
]

ABSENT = ("paddle", "paddleclas", "cv2", "onnx")
CLASSIFY = """
import sys
import numpy as np
from ppcls_mixformer import Classifier
folder, photos, target = sys.argv[1:]
classify = Classifier(folder)
classify(photos).save(f"{target}/r.jsonl")
np.save(f"{target}/scores.npy", classify.scores(photos))
"""
REFUSED = """
import sys
from ppcls_mixformer import Classifier
from ppcls_mixformer.hosting.errors import UserError
try:
    Classifier(*sys.argv[1:])
except UserError as error:
    print(error)
"""


def newest_python():
    """Python 3.13 where it is installed, by itself or by pyenv; else the one that runs the tests."""
    found = Path(shutil.which("python3.13") or sys.executable)
    for candidate in (found, *sorted(found.parent.glob("../versions/3.13*/bin/python3.13"))):
        if subprocess.run([candidate, "-c", ""], stderr=subprocess.DEVNULL).returncode == 0:
            return candidate
    return sys.executable


@pytest.fixture(scope="module")
def alone(wheel, tmp_path_factory):
    """A function that runs one of the programs of such an environment, far from the checkout."""
    folder = tmp_path_factory.mktemp("alone")
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}

    def run(program, *arguments, check=True):
        result = subprocess.run(
            [str(part) for part in (folder / "env/bin" / program, *arguments)],
            cwd=folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=300,
        )
        assert (result.returncode == 0) == check, result.stdout[-3000:]
        return result.stdout

    subprocess.run([newest_python(), "-m", "venv", folder / "env"], env=environment, check=True)
    run("pip", "install", "--quiet", "-c", ROOT / "constraints.txt", wheel, "onnxruntime")
    code = f"from importlib.util import find_spec; print(*filter(find_spec, {ABSENT}))"
    assert run("python", "-c", code) == "\n"
    return run


@pytest.fixture(scope="module")
def pictures(photos, tmp_path_factory):
    """Pictures of noise and smooth ones, in many kinds of files."""
    folder = shutil.copytree(photos, tmp_path_factory.mktemp("pictures") / "photos")
    random = np.random.RandomState(1)
    colours = Image.fromarray(random.randint(0, 256, (4, 5, 3), "uint8"))
    smooth = colours.resize((60, 50), Image.BICUBIC)
    for quality in (75, 95):
        for kind in ("jpg", "webp"):
            smooth.save(folder / f"smooth{quality}.{kind}", quality=quality)
    smooth.save(folder / "progressive.jpg", progressive=True)
    smooth.save(folder / "full.jpg", subsampling=0)
    turned = Image.Exif()
    turned[0x112] = 6
    smooth.save(folder / "turned.jpg", exif=turned)
    smooth.quantize(16).save(folder / "palette.png")
    smooth.convert("L").save(folder / "grey.png")
    transparent = smooth.copy()
    transparent.putalpha(Image.fromarray(random.randint(0, 256, (50, 60), "uint8")))
    for kind in ("png", "webp", "tiff"):
        transparent.save(folder / f"transparent.{kind}")
    return folder


def test_python_gives_the_same_classes_and_scores(alone, exported, pictures, tmp_path):
    alone("python", "-c", CLASSIFY, exported[0], pictures, tmp_path)
    classify = Classifier(exported[0])
    lines = (tmp_path / "r.jsonl").read_text(encoding="utf-8").splitlines()
    for found, expected in zip(map(json.loads, lines), classify(pictures)):
        found_scores, expected_scores = found.pop("scores"), expected.pop("scores")
        assert found == expected
        np.testing.assert_allclose(found_scores, expected_scores, atol=1e-5)
    scores = np.load(tmp_path / "scores.npy")
    assert len(scores) == len(lines) == len(find(pictures))
    np.testing.assert_allclose(scores, classify.scores(pictures), atol=1e-5)


def test_the_command_gives_the_same_classes(alone, exported, photos):
    log = alone("ppcls-mixformer", "predict", "--inference_model_dir", exported[0], "--infer_imgs", photos)
    shown = re.findall(r"^class_ids: (\[.*?\]), .*, filename: (.*)$", log, re.M)
    expected = Classifier(exported[0])(photos)
    assert shown == [(str(result["class_ids"]), result["file_name"]) for result in expected]


def test_the_export_is_measured(alone, exported, digits):
    flags = ("--rounds", 1, "--seconds", 0.01, "--starts", 1, "--batches", 1)
    pictures = ("--images", digits, digits / "test_list.txt")
    log = alone("ppcls-mixformer", "benchmark", exported[0], *flags, *pictures)
    assert f"| {exported[0]} | onnxruntime | " in log and "| top-1 % |" in log


def test_the_command_shows_its_flags(alone):
    assert "--inference_model_dir" in alone("ppcls-mixformer", "predict", "--help")


def test_paddle_is_asked_for(alone, exported, photos):
    message = "paddle is not installed: pip install paddlepaddle"
    assert alone("python", "-c", REFUSED, exported[0], "paddle") == f"{message}\n"
    flags = ("--inference_model_dir", exported[0], "--infer_imgs", photos, "--engine", "paddle")
    assert error_line(alone("ppcls-mixformer", "predict", *flags, check=False)) == f"error: {message}"


def test_an_export_without_onnx_says_how_to_read_it(alone, exported, tmp_path):
    folder = shutil.copytree(exported[0], tmp_path / "x", ignore=shutil.ignore_patterns("*.onnx"))
    remedy = "pip install paddlepaddle, or export with --onnx and pip install onnxruntime"
    assert alone("python", "-c", REFUSED, folder) == f"{folder} is read by paddle: {remedy}\n"


def test_a_transform_that_needs_opencv_says_so(alone, exported, tmp_path):
    folder = shutil.copytree(exported[0], tmp_path / "x")
    described = descriptions.read(folder)
    operators = [{"ResizeImage": {"size": 28}}, *described.transform_ops[2:]]
    descriptions.write(folder / descriptions.NAME, described._replace(transform_ops=operators))
    message = "the preprocessing resizes with OpenCV, which is missing: pip install opencv-python-headless"
    assert alone("python", "-c", REFUSED, folder) == f"{message}\n"
