"""Exported classifiers in Python: the same answers from every way in, none lost, and safe with threads."""

import importlib
import json
import shutil
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import paddle
import pytest
from commands import HAS_ONNX
from PIL import Image
from small_export import DESCRIPTION, LABELS, SHAPE, TRANSFORMS, export

from ppcls_mixformer import Classifier
from ppcls_mixformer.hosting import onnx
from ppcls_mixformer.hosting.errors import UserError
from ppcls_mixformer.hosting.inference import find_program
from ppcls_mixformer.predict import programs, transforms
from ppcls_mixformer.predict.sources import find

ENGINES = ["paddle", *["onnxruntime"] * HAS_ONNX]


@pytest.fixture(scope="module", params=ENGINES)
def classify(request, small):
    return Classifier(small, request.param)


@pytest.fixture(scope="module")
def expected(small, photos):
    """Scores of the pictures by Paddle's own layers."""
    built = transforms.build(TRANSFORMS, "")
    images = np.stack([transforms.apply(built, source.rgb()) for source in find(photos)])
    model = paddle.jit.load(str(find_program(small).with_suffix("")))
    return model(paddle.to_tensor(images))[0].numpy()


def close(result, scores):
    best = scores.argsort()[::-1][:2]
    np.testing.assert_allclose(result["scores"], scores[best], atol=1e-5)
    return result["class_ids"] == list(best) and result["label_names"] == [LABELS[number] for number in best]


def test_one_picture_is_one_result_however_it_comes(classify, photos, expected):
    path = photos / "a.png"
    with Image.open(path) as picture:
        forms = (path, str(path), picture.copy(), np.asarray(picture))
    for form in forms:
        assert close(classify(form), expected[0])
    assert classify(path)["file_name"] == str(path) and "file_name" not in classify(forms[2])


@pytest.mark.parametrize("batch_size", [1, 3, 100])
def test_several_pictures_are_several_results_in_their_order(classify, photos, expected, batch_size):
    sources = find(photos)
    for form in (photos, [source.name for source in sources], [source.rgb() for source in sources]):
        found = classify(form, batch_size=batch_size)
        assert len(found) == len(expected) and all(map(close, found, expected))
    np.testing.assert_allclose(classify.scores(photos), expected, atol=1e-5)
    assert classify.scores(photos / "a.png").shape == (3,)
    batch = np.stack([sources[0].rgb()] * 2)
    assert [result["class_ids"] for result in classify(batch)] == [found[0]["class_ids"]] * 2
    assert classify([]) == []


def test_features_are_those_that_the_scores_are_made_of(classify, photos):
    assert classify.features(photos).shape == (7, 12) and classify.features(photos / "a.png").shape == (12,)


def test_pictures_that_cannot_be_read_are_named_and_the_others_answered(classify, photos, expected, tmp_path):
    (tmp_path / "half.png").write_bytes((photos / "a.png").read_bytes()[:500])
    (tmp_path / "small.png").write_bytes(b"")
    pictures = [tmp_path / "half.png", photos / "a.png", tmp_path / "small.png", photos / "b.JPG"]
    found = classify([*pictures, "nowhere.png", "a\0b"])
    assert [result["file_name"] for result in found[4:] if result["error"]] == ["nowhere.png", "a\0b"]
    del found[4:]
    assert close(found[1], expected[0]) and close(found[3], expected[1])
    assert found[2] == {"file_name": str(tmp_path / "small.png"), "error": "the file is empty"}
    assert set(found[0]) == {"file_name", "error"}
    with pytest.raises(UserError, match="half.png: "):
        classify(pictures[0])
    with pytest.raises(UserError, match="2 of 4 pictures have no answer: .*half.png, .*small.png"):
        classify.scores(pictures)
    found.save(tmp_path / "r.jsonl")
    saved = [json.loads(line) for line in (tmp_path / "r.jsonl").read_text(encoding="utf-8").splitlines()]
    assert saved == found


@pytest.mark.parametrize("thing", [3, None, object(), [3], b"GIF89a", [b"a.jpg"], "no such file.jpg"])
def test_what_is_no_picture_is_one_line(classify, thing):
    kind = type(thing[0] if isinstance(thing, list) else thing).__name__
    with pytest.raises(UserError, match=f"^{kind} is no picture|there is no file"):
        classify(thing)


@pytest.mark.parametrize("batch_size", [0, -1, "8", 1.5])
def test_a_batch_that_holds_nothing_is_one_line(classify, photos, batch_size):
    message = f"^batch_size is {batch_size!r}; it takes a whole number from 1 on"
    for call in (classify, classify.scores, classify.features):
        with pytest.raises(UserError, match=message):
            call(photos, batch_size=batch_size)


def test_scores_of_nothing_are_refused(classify):
    with pytest.raises(UserError, match="an empty list"):
        classify.scores([])


@pytest.mark.parametrize("topk", [0, -1, "3", 1.5])
def test_how_many_classes_are_shown_is_a_number(small, topk):
    with pytest.raises(UserError, match=f"^topk is {topk!r}; it takes a whole number from 1 on"):
        Classifier(small, topk=topk)


def test_threads_share_one(classify, photos, expected):
    paths = [source.name for source in find(photos)] * 12

    def one(index):
        return close(classify(paths[index], progress=False), expected[index % len(expected)])

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(one, range(len(paths))))


def test_engines_agree(small, photos):
    first, *others = (Classifier(small, engine).scores(photos) for engine in ENGINES)
    for other in others:
        np.testing.assert_allclose(other, first, atol=1e-5)


def test_labels_that_do_not_exclude_each_other(independent, photos):
    classify = Classifier(independent)
    scores = classify.scores(photos)
    for result, row in zip(classify(photos), scores):
        assert sorted(result["class_ids"]) == list(np.flatnonzero(row >= 0.3))
        assert result["scores"] == sorted(result["scores"], reverse=True)
    assert sum(len(result["class_ids"]) for result in Classifier(independent, threshold=0.9)(photos)) == 0
    assert {len(result["class_ids"]) for result in Classifier(independent, topk=2)(photos)} == {2}
    with pytest.raises(UserError, match="topk and threshold"):
        Classifier(independent, topk=2, threshold=0.3)
    with pytest.raises(UserError, match="^threshold is nan; it takes a probability"):
        Classifier(independent, threshold=float("nan"))


def test_classes_that_exclude_each_other_have_no_threshold(small):
    with pytest.raises(UserError, match="threshold is for independent labels"):
        Classifier(small, threshold=0.5)


def test_what_is_shown_can_be_changed(small, photos):
    classify = Classifier(small, topk=1, label_names={0: "x", 1: "y", 2: "z"})
    assert classify(photos / "a.png")["label_names"][0] in "xyz"
    with pytest.raises(UserError, match="^label_names names class 999, but the network has 3"):
        Classifier(small, label_names={999: "toilet tissue"})(photos / "a.png")
    assert Classifier(small, label_names=["x"], topk=3)(photos / "a.png")["label_names"].count("x") == 1


def test_views_are_averaged(small):
    pictures = np.random.RandomState(0).randint(0, 256, (3, 24, 36, 3), "uint8")
    plain = Classifier(small)
    both = (plain.scores(pictures) + plain.scores(pictures[:, :, ::-1])) / 2
    np.testing.assert_allclose(Classifier(small, tta="flip").scores(pictures), both, atol=1e-5)


@pytest.mark.parametrize("engine", ENGINES)
def test_another_size_than_the_exported_one_is_one_line(small, engine):
    crop = DESCRIPTION._replace(transform_ops=[TRANSFORMS[0], {"CropImage": {"size": 16}}, *TRANSFORMS[2:]])
    with pytest.raises(UserError, match=r"make pictures of 16x16 \(.*\), but the program takes 16x24"):
        Classifier(small, engine, description=crop)


@pytest.mark.skipif(not HAS_ONNX, reason="there is no paddle2onnx")
def test_another_size_is_one_line_without_a_description_too(small, photos, tmp_path):
    shutil.copy(small / "inference.onnx", tmp_path)
    with pytest.raises(UserError, match="does not run on pictures of 1x3x224x224: ") as error:
        Classifier(tmp_path, "onnxruntime")(photos / "a.png")
    assert "\n" not in error.value.args[0]


def test_a_program_that_gives_more_answers_than_pictures_is_refused(tmp_path):
    run = programs.in_one_line(lambda images: [np.zeros([64, 3])], tmp_path / "inference.json")
    with pytest.raises(UserError, match="gave 64 answers for 1 pictures of 3x28x28: it was"):
        run(np.zeros([1, 3, 28, 28]))
    run = programs.in_one_line(lambda images: [np.float32(3)], tmp_path / "inference.onnx")
    with pytest.raises(UserError, match="gave 1 answers for 2 pictures of 3x28x28: it was"):
        run(np.zeros([2, 3, 28, 28]))


def test_pictures_whose_size_is_not_fixed(small, photos, tmp_path):
    operators = [TRANSFORMS[0], *TRANSFORMS[2:]]
    described = DESCRIPTION._replace(transform_ops=operators)
    found = Classifier(small, description=described)(photos)
    assert all("and" in result["error"] and "takes [3, 16, 24]" in result["error"] for result in found)
    folder = export(tmp_path, paddle.nn.Softmax(), described._replace(image_shape=None), sides=(None, None))
    assert all("error" not in result for result in Classifier(folder, "paddle")(photos, batch_size=3))


@pytest.mark.parametrize(
    "content, engine, message",
    [
        ([], None, "holds no inference.json, .pdmodel or .onnx"),
        (["inference.onnx"], "paddle", "holds no inference.pdmodel, which paddle reads"),
        (["inference.pdmodel"], "onnxruntime", "which onnxruntime reads: export with --onnx"),
        (["inference.onnx"], "tensorrt", "there is no engine 'tensorrt'; there are paddle, onnxruntime"),
        (["inference.onnx"], "onnxruntime", "cannot be read by ONNX Runtime"),
    ],
)
def test_a_folder_that_cannot_be_read_is_one_line(tmp_path, content, engine, message):
    if engine == "onnxruntime" and not programs.is_installed(engine):
        pytest.skip("onnxruntime is not installed")
    for name in content:
        (tmp_path / name).write_text("damaged")
    with pytest.raises(UserError, match=message):
        Classifier(tmp_path, engine)


@pytest.mark.skipif(not HAS_ONNX, reason="there is no paddle2onnx")
def test_half_precision_is_read_where_it_is_asked_for(small, photos, tmp_path):
    shutil.copytree(small, tmp_path, dirs_exist_ok=True)
    with pytest.raises(UserError, match=f"holds no {programs.HALF}: export with --onnx --fp16"):
        Classifier(tmp_path, use_fp16=True)
    onnx.halve(small / "inference.onnx", tmp_path / programs.HALF)
    with pytest.raises(UserError, match=f"use_fp16 is for {programs.HALF}, which onnxruntime reads, not"):
        Classifier(tmp_path, "paddle", use_fp16=True)
    classify = Classifier(tmp_path, use_fp16=True)
    assert classify.program.path == tmp_path / programs.HALF and classify.program.engine == "onnxruntime"
    error = np.abs(classify.scores(photos) - Classifier(tmp_path).scores(photos)).max()
    assert 0 < error < 1e-3
    assert Classifier(tmp_path, "onnxruntime").program.path == tmp_path / "inference.onnx"


@pytest.mark.skipif(not HAS_ONNX, reason="there is no paddle2onnx")
def test_half_precision_of_another_export_is_refused(small, tmp_path):
    half, whole = tmp_path / programs.HALF, tmp_path / "inference.onnx"
    onnx.halve(small / "inference.onnx", half)
    shutil.copy(small / "inference.yml", tmp_path)
    with pytest.raises(UserError, match=f"holds {programs.HALF} alone: --use_fp16 True reads it"):
        Classifier(tmp_path)
    Classifier(tmp_path, use_fp16=True)
    content = bytearray((small / "inference.onnx").read_bytes())
    content[len(content) // 2] ^= 1
    whole.write_bytes(content)
    with pytest.raises(UserError, match=f"{programs.HALF} was not made from the inference.onnx beside it"):
        Classifier(tmp_path, use_fp16=True)
    half.replace(whole)
    Classifier(tmp_path, "onnxruntime")


def test_how_to_load_a_program_that_is_loaded_is_refused(tmp_path):
    run = programs.Program(lambda images: [np.full([len(images), 3], 1 / 3, "float32")], "none", tmp_path)
    for option in ({"use_fp16": True}, {"use_gpu": False}, {"threads": 2}, {"onednn": False}):
        with pytest.raises(UserError, match="are for loading, and this program is loaded"):
            Classifier(tmp_path, run, description=DESCRIPTION, **option)


def test_a_folder_of_an_engines_name_is_no_engine(tmp_path, monkeypatch):
    (tmp_path / "some_engine").mkdir()
    monkeypatch.syspath_prepend(tmp_path)
    assert not programs.is_installed("some_engine")
    (tmp_path / "some_engine" / "__init__.py").touch()
    importlib.invalidate_caches()
    assert programs.is_installed("some_engine")


@pytest.mark.skipif(not HAS_ONNX, reason="paddle2onnx, which writes inference.onnx, is not installed")
def test_a_gpu_that_is_not_there_is_not_taken_for_a_damaged_file(small):
    with pytest.raises(UserError, match="^this ONNX Runtime uses no GPU"):
        Classifier(small, "onnxruntime", use_gpu=True)


def test_a_folder_that_is_none_is_one_line(tmp_path):
    with pytest.raises(UserError, match="is no folder"):
        Classifier(tmp_path / "nowhere")


def test_a_network_without_features_says_so(photos, tmp_path):
    run = programs.Program(lambda images: [np.full([len(images), 3], 1 / 3, "float32")], "none", tmp_path)
    classify = Classifier(tmp_path, run, description=DESCRIPTION)
    with pytest.raises(UserError, match="gives no features: export it with --features"):
        classify.features(photos / "a.png")
    with pytest.raises(UserError, match="gives no spatial gates: export it with --saliency"):
        classify.gates(photos / "a.png")
    assert classify.scores(photos / "a.png").shape == (3,) and SHAPE == DESCRIPTION.image_shape
