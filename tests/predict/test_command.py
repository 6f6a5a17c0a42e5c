"""The predict command: its flags, its errors, and what it prints and saves."""

import json
import re

import pytest
from small_export import LABELS

from ppcls_mixformer.hosting.errors import UserError
from ppcls_mixformer.predict import command


@pytest.fixture
def predict(small, photos):
    """Runs the command on the small export and the pictures of noise, unless flags name others."""

    def predict(*flags):
        command.run(["--inference_model_dir", str(small), "--infer_imgs", str(photos), *map(str, flags)])

    return predict


def test_it_prints_a_line_for_each_picture(predict, photos, capsys):
    predict("--batch_size", 3)
    lines = capsys.readouterr().out.splitlines()
    form = r"class_ids: \[\d, \d\], scores: \[[\d.]+, [\d.]+\], label_names: \[.*\], filename: (.*)"
    names = [re.fullmatch(form, line)[1] for line in lines if line.startswith("class_ids")]
    assert names[0] == str(photos / "a.png") and len(names) == 7


def test_flags_override_and_say_so(predict, photos, caplog, capsys, tmp_path):
    names = tmp_path / "names.txt"
    names.write_text("x\ny\nz")
    predict(
        "--resize_short",
        30,
        "--topk",
        1,
        "--class_id_map_file",
        names,
        "--save_dir",
        "x",
        "--use_tensorrt",
        "True",
    )
    said = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert said == [
        "--use_tensorrt does nothing here: the stock `paddleclas` command has it",
        "--save_dir does nothing here: --save FILE writes the results",
        "--class_id_map_file: its names replace those of the export",
        "--resize_short: ResizeImage.resize_short is 30, 24 in the export",
    ]
    assert re.search(
        r"^class_ids: \[\d\], scores: \[[\d.]+\], label_names: \['[xyz]'\]", capsys.readouterr().out, re.M
    )


def test_what_the_export_says_is_said_without_a_word(predict, small, caplog, tmp_path):
    names = tmp_path / "names.txt"
    names.write_text("\n".join(LABELS), encoding="utf-8")
    predict("--resize_short", 24, "--class_id_map_file", names, "--use_gpu", "False", "--enable_mkldnn", "t")
    assert not [record for record in caplog.records if record.levelname == "WARNING"]


def test_bad_pictures_are_named_and_all_others_answered(predict, photos, tmp_path, capsys):
    for name in ("a.png", "d.bmp"):
        (tmp_path / name).write_bytes((photos / name).read_bytes())
    (tmp_path / "b.png").write_bytes((photos / "a.png").read_bytes()[:700])
    (tmp_path / "z.jpg").touch()
    path = tmp_path / "results" / "r.jsonl"
    with pytest.raises(UserError) as error:
        predict("--infer_imgs", tmp_path, "--batch_size", 3, "--save", path)
    bad = [str(tmp_path / bad) for bad in ("b.png", "z.jpg")]
    assert str(error.value) == f"2 of 4 pictures have no answer: {', '.join(bad)}"
    results = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    assert [result["file_name"] for result in results if "error" in result] == bad and len(results) == 4
    assert capsys.readouterr().out.count("class_ids: ") == 2


@pytest.mark.parametrize(
    "flags, message",
    [
        (["--crop_size", "16"], r"make pictures of 16x16 \(height x width\), but the program takes 16x24"),
        (["--infer_imgs", "nowhere"], "--infer_imgs: there is no file or folder nowhere"),
        (["--class_id_map_file", "nowhere"], "--class_id_map_file: nowhere cannot be read"),
        (["--inference_model_dir", "nowhere"], "nowhere is no folder"),
        (["--topk", "0"], "--topk is 0; it takes a whole number above 0"),
        (["--save", ""], "no name: results are saved as .csv or .jsonl"),
        (["--save", "r.txt"], "r.txt: results are saved as .csv or .jsonl"),
        (["--tta", "flop"], "--tta flop: 'flop' is no view"),
        (["--engine", "tensorrt"], "there is no engine 'tensorrt'"),
        (["--use_gpu", "True"], "has no GPU"),
    ],
)
def test_mistakes_in_flags_are_one_line(predict, flags, message, caplog):
    with pytest.raises(UserError, match=message):
        predict(*flags)
    assert "has no inference.yml" not in caplog.text


def test_the_file_that_names_too_many_classes_is_named(predict, tmp_path):
    path = tmp_path / "names.txt"
    path.write_text("a\nb\nc\nd\n")
    with pytest.raises(UserError, match=f"^{path} names class 3, but the network has 3, 0 to 2"):
        predict("--class_id_map_file", path)


@pytest.mark.parametrize("flags", [["--use_gpu", "maybe"], ["--topk", "many"], ["--speed", "1"], []])
def test_flags_that_are_none_show_the_usage(flags, capsys):
    with pytest.raises(SystemExit) as end:
        command.run(flags)
    assert end.value.code == 2 and "usage: " in capsys.readouterr().err


def test_models_of_paddleclas_go_to_its_own_command():
    assert command.is_for_stock(["--model_name", "ResNet50", "--infer_imgs", "x"])
    assert command.is_for_stock(["--predict_type=shitu"]) and not command.is_for_stock(["--infer_imgs", "x"])
