"""`infer`, `predict` and Python on the same pictures: the same answers, and none lost."""

import ast
import csv
import json
import re
import sys
import types

import numpy as np
import paddle
import pytest
from commands import CONFIG, HAS_ONNX, checkpoint, error_line, overrides, run, tool
from PIL import Image

from ppcls_mixformer import Classifier, MixFormer_B0
from ppcls_mixformer.hosting.errors import UserError
from ppcls_mixformer.paddleclas import register
from ppcls_mixformer.predict import transforms
from ppcls_mixformer.predict.sources import find
from ppcls_mixformer.understand import saliency

pytestmark = pytest.mark.slow

ENGINES = ["paddle", *["onnxruntime"] * HAS_ONNX]
TOLERANCE = 2e-5 if not paddle.__version__.startswith("2.") else 1e-4  # infer shows five decimals


def predict(folder, pictures, *flags, check=True):
    arguments = ("--inference_model_dir", folder, "--infer_imgs", pictures, *flags)
    return run(sys.executable, "tools/predict.py", *arguments, check=check)


def infer(digits, trained, pictures, *settings, flags=(), check=True):
    weights = f"Global.pretrained_model={checkpoint(trained[0], 'latest')}"
    settings = [*overrides(digits, trained[0]), weights, f"Infer.infer_imgs={pictures}", *settings]
    return tool("infer", *settings, check=check, flags=flags)


def saved(path):
    lines = path.read_text(encoding="utf-8").splitlines()
    return {result["file_name"]: result for result in map(json.loads, lines)}


@pytest.fixture(scope="module")
def inferred(digits, trained, photos, tmp_path_factory):
    """Results of `infer` by file name, and what it printed."""
    path = tmp_path_factory.mktemp("inferred") / "r.jsonl"
    log = infer(digits, trained, photos, flags=("--save", path))
    return saved(path), log


def check_same(found, expected):
    assert found.keys() == expected.keys()
    for name, result in found.items():
        assert result["class_ids"] == expected[name]["class_ids"]
        assert result["label_names"] == expected[name]["label_names"]
        np.testing.assert_allclose(result["scores"], expected[name]["scores"], atol=TOLERANCE)


def test_infer_answers_every_picture(photos, inferred):
    results, log = inferred
    assert list(results) == [source.name for source in find(photos)]
    printed = [ast.literal_eval(line) for line in log.splitlines() if line.startswith("{")]
    assert printed == list(results.values()) and "Traceback" not in log
    assert printed[0]["label_names"][0] == f"digit {printed[0]['class_ids'][0]}"


@pytest.mark.parametrize("engine", ENGINES)
def test_predict_gives_the_answers_of_infer_on_photos(exported, photos, inferred, tmp_path, engine):
    log = predict(exported[0], photos, "--engine", engine, "--save", tmp_path / "r.jsonl", "--batch_size", 3)
    found = saved(tmp_path / "r.jsonl")
    check_same(found, inferred[0])
    shown = re.findall(r"^class_ids: (\[.*?\]), scores: .*, label_names: .*, filename: (.*)$", log, re.M)
    assert {name: ast.literal_eval(ids) for ids, name in shown} == {
        name: result["class_ids"] for name, result in found.items()
    }


def test_python_gives_the_answers_of_infer_on_photos(exported, photos, inferred):
    found = Classifier(exported[0])(photos)
    check_same({result["file_name"]: result for result in found}, inferred[0])


def test_both_average_over_the_same_views(digits, trained, exported, photos, tmp_path):
    for path, call in (
        (tmp_path / "i.jsonl", lambda *flags: infer(digits, trained, photos, flags=flags)),
        (tmp_path / "p.jsonl", lambda *flags: predict(exported[0], photos, *flags)),
    ):
        call("--tta", "flip,1.2", "--save", path)
    check_same(saved(tmp_path / "p.jsonl"), saved(tmp_path / "i.jsonl"))


@pytest.fixture
def some_are_bad(photos, tmp_path):
    """A folder with two good pictures between two that cannot be read, one of them the last."""
    for name in ("a.png", "d.bmp"):
        (tmp_path / name).write_bytes((photos / name).read_bytes())
    (tmp_path / "b.png").write_bytes((photos / "a.png").read_bytes()[:700])
    (tmp_path / "z.jpg").touch()
    return tmp_path


def test_infer_names_bad_pictures_and_answers_all_others(digits, trained, some_are_bad, tmp_path_factory):
    path = tmp_path_factory.mktemp("saved") / "r.csv"
    log = infer(digits, trained, some_are_bad, "Infer.batch_size=3", flags=("--save", path), check=False)
    bad = [str(some_are_bad / bad) for bad in ("b.png", "z.jpg")]
    assert error_line(log) == f"error: 2 of 4 pictures have no answer: {', '.join(bad)}"
    with open(path, encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["file_name"] for row in rows if row["error"]} == set(bad)
    assert len([row for row in rows if row["rank"] == "1"]) == 2


@pytest.mark.parametrize(
    "flags, message",
    [
        (["--features", ""], "--features : features are saved in a file that ends in .npz"),
        (["--features", "f.npz", "--save", "r.csv"], "--save is for classes"),
        (["--features", "f.npz", "--tta", "flip"], "--tta is for classes"),
        (["--save", "r"], "r: results are saved as"),
        (["--save", ""], "no name: results are saved as"),
    ],
)
def test_what_infer_cannot_save_is_refused_before_it_predicts(photos, flags, message):
    register()
    from ppcls_mixformer.paddleclas import infer as command
    from ppcls_mixformer.paddleclas.flags import parser

    config = {"Arch": {}, "Infer": {"infer_imgs": str(photos), "batch_size": 1}}
    engine = types.SimpleNamespace(config=config, model=paddle.nn.Identity())  # which cannot predict
    with pytest.raises(UserError, match=f"^{message}"):
        command.run(engine, parser("infer").parse_args(["-c", CONFIG, *flags]))


def test_a_listed_picture_that_is_missing_fails_alone(digits, trained, photos, tmp_path):
    (tmp_path / "list.txt").write_text("a.png\nnowhere.png\nd.bmp\n")
    path = tmp_path / "r.jsonl"
    setting = f"Infer.infer_list={tmp_path}/list.txt"
    log = infer(digits, trained, photos, setting, flags=("--save", path), check=False)
    assert error_line(log) == f"error: 1 of 3 pictures have no answer: {photos}/nowhere.png"
    assert [("error" in result) for result in saved(path).values()] == [False, True, False]


def test_features_and_gates_of_a_checkpoint_and_of_its_export(digits, trained, photos, tmp_path):
    infer(digits, trained, photos, flags=("--features", tmp_path / "f.npz"))
    weights = f"Global.pretrained_model={checkpoint(trained[0], 'latest')}"
    settings = [*overrides(digits, trained[0]), weights, f"Global.save_inference_dir={tmp_path}/export"]
    tool("export_model", *settings, flags=["--features", "--saliency", *["--onnx"] * HAS_ONNX])
    page = (tmp_path / "export/README.md").read_text(encoding="utf-8")
    assert "a second output, pooled features" in page and "the last outputs, spatial gates" in page
    network = MixFormer_B0(class_num=10, pretrained=checkpoint(trained[0], "latest"))
    network.eval()
    saved = np.load(tmp_path / "f.npz")
    assert list(saved["file_names"]) == [source.name for source in find(photos)]
    for engine in ENGINES:
        classify = Classifier(tmp_path / "export", engine, tta="flip")
        found = Classifier(tmp_path / "export", engine).features(photos)
        np.testing.assert_allclose(found, saved["features"], atol=1e-4)
        images = np.stack([transforms.apply(classify.transforms, source.rgb()) for source in find(photos)])
        stages = saliency.trace(network, images).stages
        for found, stage in zip(classify.gates(photos), stages):
            np.testing.assert_allclose(found, saliency.gates(stage), atol=1e-5)
        one = classify.gates(find(photos)[0].name)
        assert [gates.shape for gates in one] == [(1, 7, 7), (2, 4, 4), (6, 2, 2), (6, 1, 1)]


def test_sizes_that_are_not_square_from_training_to_prediction(digits, tmp_path):
    data = tmp_path / "wide"
    data.mkdir()
    for name in ("train_list.txt", "test_list.txt"):
        (data / name).write_text((digits / name).read_text())
        for line in (digits / name).read_text().splitlines():
            picture = data / line.split()[0]
            picture.parent.mkdir(exist_ok=True)
            Image.open(digits / line.split()[0]).resize((48, 32)).save(picture)
    (data / "label_list.txt").write_text((digits / "label_list.txt").read_text())
    resize = {"ResizeImage": {"resize_short": 28, "interpolation": "bicubic", "backend": "pil"}}
    crop = {"CropImage": {"size": [42, 28]}}
    shown = [f"Infer.transforms.1={resize}", f"Infer.transforms.2={crop}"]
    settings = [*overrides(data, tmp_path, epochs=1), "Global.image_shape=[3, 28, 42]", *shown]
    settings += [f"DataLoader.Eval.dataset.transform_ops.{n}={part}" for n, part in ((1, resize), (2, crop))]
    settings += ["DataLoader.Train.dataset.transform_ops.1={'RandCropImage': {'size': [42, 28]}}"]
    log = tool("train", *settings)
    assert "best metric" in log
    weights = f"Global.pretrained_model={checkpoint(tmp_path, 'latest')}"
    log = tool("export_model", *settings, weights, f"Global.save_inference_dir={tmp_path}/export")
    classify = Classifier(tmp_path / "export")
    assert classify.image_shape == [3, 28, 42]
    log = infer(data, (tmp_path, log), data / "test", *shown, flags=("--save", tmp_path / "r.jsonl"))
    found = classify(data / "test")
    check_same({result["file_name"]: result for result in found}, saved(tmp_path / "r.jsonl"))
