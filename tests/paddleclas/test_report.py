"""`report`: the numbers of `eval`, picture by picture, in a page that a browser shows."""

import csv
import json
import re
import shutil

import pytest
from browser import CHROMIUM, Page, browse
from commands import checkpoint, error_line, overrides, tool


def report(digits, trained, folder, *settings, flags=(), check=True):
    weights = f"Global.pretrained_model={checkpoint(trained[0], 'latest')}"
    settings = [*overrides(digits, trained[0]), weights, *settings]
    return tool("report", *settings, flags=["--output", folder, *flags], check=check)


def rows_of(folder):
    with open(folder / "predictions.csv", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def labels_of(digits):
    lines = (line.split() for line in (digits / "test_list.txt").read_text().splitlines())
    return {str(digits / name): label for name, label in lines}


def top1_of(log):
    return float(re.findall(r"\[Eval\]\[Epoch 0\]\[Avg\].*top1: ([\d.]+)", log)[-1])


@pytest.mark.slow
def test_the_numbers_are_those_of_eval_and_the_answers_those_of_infer(digits, trained, tmp_path):
    log = report(
        digits,
        trained,
        tmp_path / "report",
        "DataLoader.Eval.sampler.batch_size=7",  # neither of these changes what belongs to which picture
        "DataLoader.Eval.sampler.shuffle=True",
        "DataLoader.Eval.loader.num_workers=2",
        f"DataLoader.Train.dataset.cls_label_path={digits}/test_list.txt",
        flags=["--mistakes", "3"],
    )
    assert "latest was trained on other lists than DataLoader.Train has now" in log
    assert log.splitlines()[-1] == str(tmp_path / "report/report.html")
    weights = f"Global.pretrained_model={checkpoint(trained[0], 'latest')}"
    evaluation = tool("eval", *overrides(digits, trained[0]), weights)
    assert "was trained on other lists" not in evaluation
    summary = json.loads((tmp_path / "report/report.json").read_text(encoding="utf-8"))
    assert summary["top1"] == pytest.approx(top1_of(evaluation), abs=1e-5) and summary["pictures"] == 40
    assert summary["top1"] == pytest.approx(top1_of(log), abs=1e-5)
    rows = rows_of(tmp_path / "report")
    assert {row["file_name"]: row["true_id"] for row in rows} == labels_of(digits)
    assert list(labels_of(digits)) == [row["file_name"] for row in rows]
    assert sum(row["is_right"] == "1" for row in rows) / 40 == summary["top1"]

    saved = tmp_path / "r.csv"
    settings = [*overrides(digits, trained[0]), weights, f"Infer.infer_imgs={digits}/test"]
    tool("infer", *settings, flags=["--save", saved])
    with open(saved, encoding="utf-8", newline="") as file:
        answers = {row["file_name"]: row for row in csv.DictReader(file) if row["rank"] == "1"}
    for row in rows:
        answer = answers[row["file_name"]]
        assert (row["predicted_id"], row["predicted_name"]) == (answer["class_id"], answer["label_name"])
        assert float(row["score"]) == pytest.approx(float(answer["score"]), abs=1e-5)

    path = tmp_path / "report/report.html"
    text = path.read_text(encoding="utf-8")
    page = Page(browse(path, tmp_path / "profile", "--dump-dom") if CHROMIUM else text)
    assert page.numbers["top1"] == summary["top1"]
    assert page.numbers["mistakes"] == sum(row["is_right"] == "0" for row in rows)
    assert all(address.startswith("data:") for address in page.images + page.addresses)
    assert "train.log" in text and (tmp_path / "report/curves.png").is_file()
    assert "Grad-CAM on stage 1, 7×7 positions" in text and "for digit" in text


@pytest.mark.slow
def test_pictures_that_are_left_out_move_no_others(digits, trained, tmp_path):
    shutil.copytree(digits, tmp_path / "digits")
    lines = (digits / "test_list.txt").read_text().splitlines()
    bad = tmp_path / "digits" / lines[3].split()[0]
    bad.write_bytes(bad.read_bytes()[:90])
    log = report(tmp_path / "digits", trained, tmp_path / "report", check=False)
    assert str(bad) in error_line(log) and "--skip-unreadable" in error_line(log)
    assert not (tmp_path / "report").exists()
    report(tmp_path / "digits", trained, tmp_path / "report", flags=["--skip-unreadable"])
    expected = labels_of(tmp_path / "digits")
    del expected[str(bad)]
    assert {row["file_name"]: row["true_id"] for row in rows_of(tmp_path / "report")} == expected


@pytest.mark.slow
def test_eval_of_several_labels_writes_a_report_of_its_own_numbers(several_labels, trained, tmp_path):
    settings = [
        *overrides(tmp_path / "digits", tmp_path / "output"),
        f"Global.pretrained_model={checkpoint(trained[0], 'latest')}",
        "DataLoader.Eval.sampler.batch_size=7",
        "Metric.Eval=[{'AccuracyScore':{}},{'HammingDistance':{}}]",
    ]
    folder = tmp_path / "report"
    flags = ["--report", folder, "--mistakes", "2", "--tta", "flip"]
    log = tool("eval", *settings, config=several_labels, flags=flags)
    summary = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    (averages,) = re.findall(r"\[Eval\]\[Epoch 0\]\[Avg\](.*)", log)
    shown = {name: float(value) for name, value in re.findall(r"(\w+): ([\d.]+)", averages)}
    assert 0.3 < summary["accuracy"] < 1
    assert summary["accuracy"] == pytest.approx(shown["AccuracyScore"], abs=1e-5)
    assert summary["hamming"] == pytest.approx(shown["HammingDistance"], abs=1e-5)
    assert summary["loss"] == pytest.approx(shown["loss"], abs=1e-4) and summary["pictures"] == 40
    text = (folder / "report.html").read_text(encoding="utf-8")
    page = Page(text)
    assert page.numbers["mistakes"] == round(summary["hamming"] * 400)
    assert "averaged over views of each picture: flip" in text and text.count(">for digit") == 4
    lines = (line.split() for line in (tmp_path / "digits/test_list.txt").read_text().splitlines())
    for row, (name, labels) in zip(rows_of(folder), lines):
        numbers = [str(number) for number, label in enumerate(labels.split(",")) if label == "1"]
        assert row["file_name"] == str(tmp_path / "digits" / name) and row["true_ids"].split("|") == numbers


@pytest.mark.slow
def test_another_network_has_a_report_without_heat_maps(digits, tmp_path):
    settings = [*overrides(digits, tmp_path), "Arch.name=ResNet18"]
    flags = ["--output", tmp_path / "report", "--random-weights"]
    tool("report", *settings, flags=flags)
    text = (tmp_path / "report/report.html").read_text(encoding="utf-8")
    assert "There is no train.log" in text and "Grad-CAM" not in text
    assert "The worst mistakes" in text and len(rows_of(tmp_path / "report")) == 40


@pytest.mark.slow
@pytest.mark.parametrize(
    "flags, settings, message",
    [
        (["--log", "nowhere.log"], [], "--log: nowhere.log cannot be read: No such file or directory"),
        (["--log", "README.md"], [], "--log README.md: it has no line of an epoch"),
        (["--mistakes", "-1"], [], "--mistakes is -1; it takes a whole number from 0 on"),
        ([], ["Global.pretrained_model=null"], "names no weights, which report needs"),
    ],
)
def test_what_cannot_be_reported_is_refused_before_the_evaluation(
    digits, trained, tmp_path, flags, settings, message
):
    log = report(digits, trained, tmp_path / "report", *settings, flags=flags, check=False)
    assert message in error_line(log) and "[Eval]" not in log
    assert not (tmp_path / "report").exists()


@pytest.mark.parametrize(
    "argv, message",
    [
        (["--title", "x"], "--title is of a report: name its folder with --report"),
        (["--mistakes", "0"], "--mistakes is of a report"),
        (["--report", "r", "--inference_dir", "i"], "--report is of a checkpoint, and --inference_dir of an"),
        (["--report", "r", "--engine", "paddle"], "--engine is for an export, and --report of a checkpoint"),
    ],
)
def test_flags_of_eval_that_say_nothing_are_refused(bridged_paddleclas, argv, message):
    from ppcls_mixformer.hosting.errors import UserError
    from ppcls_mixformer.paddleclas.flags import parser
    from ppcls_mixformer.paddleclas.preflight import check_report

    check_report(parser("eval").parse_args(["-c", "x", "--report", "r", "--beside", "other"]))
    with pytest.raises(UserError, match=message):
        check_report(parser("eval").parse_args(["-c", "x", *argv]))


@pytest.mark.parametrize(
    "key, value, message",
    [
        ("eval_mode", "retrieval", "report is for classes, but Global.eval_mode is retrieval"),
        ("use_dali", True, "set -o Global.use_dali=False"),
    ],
)
def test_what_is_no_evaluation_of_classes_is_refused(bridged_paddleclas, key, value, message):
    from ppcls_mixformer.hosting.errors import UserError
    from ppcls_mixformer.paddleclas.report import check

    check({"Global": {key: None}})
    with pytest.raises(UserError, match=message):
        check({"Global": {key: value}})


def test_a_report_is_not_written_among_the_pictures(bridged_paddleclas, tmp_path):
    from ppcls_mixformer.hosting.errors import UserError
    from ppcls_mixformer.paddleclas.report import check_output

    class Pictures(list):
        images = property(lambda self: self)

    pictures = Pictures([f"{tmp_path}/data/a/confusion.png", f"{tmp_path}/data/b/1.png"])
    for folder in (tmp_path, tmp_path / "c"):
        check_output("--output", folder, pictures)
    (tmp_path / "data/a").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "data/a")
    for name in ("data/a", "data/b", "link", "c/../data/b", "data/report"):
        with pytest.raises(UserError, match="--report .*: the pictures lie in"):
            check_output("--report", tmp_path / name, pictures)
    (tmp_path / "report.html").touch()
    with pytest.raises(UserError, match="holds report.html, which this command has not written"):
        check_output("--output", tmp_path, pictures)


def test_the_stage_of_the_heat_maps(bridged_paddleclas):
    from ppcls_mixformer.paddleclas.report import finest, positions

    assert positions((224, 224), 3) == [7, 7] and finest((224, 224), 4) == 3
    assert positions((28, 30), 0) == [7, 8] and finest((28, 30), 4) == 0
    assert finest((224, 112), 4) == 2 and finest((224, 96), 4) == 1
    assert finest((12, 12), 4) == 0
