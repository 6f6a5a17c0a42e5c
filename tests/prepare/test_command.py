"""The command as a whole: what it writes, what it refuses, and that the real trainer takes its config."""

import os
import re
import shutil
import sys

import numpy as np
import pytest
import yaml
from commands import error_line, run, tool
from PIL import Image

from ppcls_mixformer.hosting.errors import UserError
from ppcls_mixformer.paddleclas import lists
from ppcls_mixformer.predict import names
from ppcls_mixformer.prepare import sheet


def listed(output, split, several=False):
    """`{name: label}` of a list file, as the trainer reads it."""
    found = lists.read(output / f"{split}_list.txt", several=several)
    return dict(zip(found.images, found.labels))


def state(folder):
    """All files of a folder, with what tells whether they were changed."""
    return {path: (path.lstat().st_mtime_ns, path.lstat().st_size) for path in folder.rglob("*")}


def test_lists_names_and_pictures_are_written_and_the_originals_stay(pictures, prepare, capsys):
    pictures.add_classes({"ash": 10, "oak": 5})
    before = state(pictures.root)
    output, report = prepare("--test", 0.2)
    splits = {name: listed(output, name) for name in ("train", "val", "test")}
    assert {name: len(found) for name, found in splits.items()} == {"train": 9, "val": 3, "test": 3}
    everything = {name: label for found in splits.values() for name, label in found.items()}
    assert everything == {
        f"{name}/{i}.png": label
        for label, (name, count) in enumerate({"ash": 10, "oak": 5}.items())
        for i in range(count)
    }
    assert names.read(output / "label_list.txt") == {0: "ash", 1: "oak"}
    for name in ("samples.jpg", "chart.png"):
        Image.open(output / name).load()
    assert report["pictures"] == {"train": 9, "val": 3, "test": 3} and report["seed"] == 0
    assert report["classes"][1] == {"name": "oak", "train": 3, "val": 1, "test": 1, "training_lines": 3}
    assert state(pictures.root) == before
    shown = capsys.readouterr().out
    assert re.search(r"next: python -m ppcls_mixformer train -c \S+/MixFormer_B2_set.yaml$", shown)
    assert re.search(
        r"/test_list.txt -o Global.pretrained_model=output/set/MixFormer_B2/best_model$", shown, re.M
    )


def test_the_next_command_is_of_the_folder_from_which_this_one_was_called(
    pictures, prepare, capsys, monkeypatch
):
    monkeypatch.setattr(sys, "argv", ["../my zoo/tools/prepare_data.py"])
    pictures.add_classes({"ash": 5, "oak": 5})
    prepare("--test", 0.2)
    shown = capsys.readouterr().out
    assert "next: python '../my zoo/tools/train.py' -c " in shown
    assert "for testing: python '../my zoo/tools/eval.py' -c " in shown


def test_what_cannot_be_used_is_left_out_and_listed(pictures, prepare, capsys):
    pictures.add_classes({"a": 6, "b": 6})
    (pictures.root / "a/empty.jpg").touch()
    (pictures.root / "a/text.jpg").write_text("hello")
    shutil.copy(pictures.root / "a/1.png", pictures.root / "b/other.png")
    shutil.copy(pictures.root / "a/2.png", pictures.root / "a/copy.png")
    pictures.add("a/grey.png", mode="L")
    output, report = prepare()
    left_out = {kind: [item["picture"] for item in items] for kind, items in report["left_out"].items()}
    root = pictures.root
    assert left_out == {
        "empty": [f"{root}/a/empty.jpg"],
        "unreadable": [f"{root}/a/text.jpg"],
        "contradictory": [f"{root}/a/1.png", f"{root}/b/other.png"],
    }
    assert report["odd"] == {"grey": ["a/grey.png"], "duplicates": ["a/copy.png"]}
    everything = {**listed(output, "train"), **listed(output, "val")}
    assert len(everything) == 13 and not {"a/1.png", "b/other.png", "a/text.jpg"} & set(everything)
    train = listed(output, "train")
    assert ("a/2.png" in train) == ("a/copy.png" in train)
    assert "1 picture: a/grey.png" in capsys.readouterr().out
    with pytest.raises(
        UserError, match="--strict: 4 pictures cannot be used: .*empty.jpg .the file is empty"
    ):
        prepare("--strict")


def test_names_that_a_list_cannot_hold_are_links(pictures, prepare):
    pictures.add_classes({"my class": 3, "日本": 3, "tab\tand\nline": 3, "- z": 3, "null": 3})
    pictures.add("my class/a b.png")
    pictures.add("my_class/a_b.png")
    pictures.add("my_class/" + os.fsdecode(b"\xff") + ".png")
    output, _ = prepare()
    everything = {**listed(output, "train"), **listed(output, "val")}
    assert len(everything) == 18 and "pictures/日本/0.png" in everything
    for line in (output / "train_list.txt").read_text(encoding="utf-8").splitlines():
        name, label = line.split(" ")  # as PaddleClas does
        assert Image.open(output / name).size == (40, 40)
    twins = [(output / "pictures/my_class" / name).read_bytes() for name in ("a_b.png", "a_b_2.png")]
    assert twins == [(pictures.root / name).read_bytes() for name in ("my class/a b.png", "my_class/a_b.png")]
    assert names.read(output / "label_list.txt") == {
        0: "- z",
        1: "my class",
        2: "my_class",
        3: "null",
        4: "tab and line",
        5: "日本",
    }
    config = yaml.safe_load((output / "MixFormer_B2_set.yaml").read_text(encoding="utf-8"))
    assert config["DataLoader"]["Train"]["dataset"]["image_root"] == f"{output}/"


def test_folders_whose_names_are_no_text(pictures, prepare, tmp_path):
    pictures.add_classes({"a": 3, "b": 3})
    place = tmp_path / os.fsdecode(b"\xff")
    shutil.copytree(pictures.root, place)
    output, _ = prepare(place=place)
    assert Image.open(output / next(iter(listed(output, "train")))).size == (40, 40)
    with pytest.raises(UserError, match="--output .* is no text in UTF-8"):
        prepare(output=place.with_name(f"{place.name}2"))


def test_rare_classes_are_repeated_in_the_training_list_alone(pictures, prepare):
    pictures.add_classes({"a": 60, "b": 3})
    output, report = prepare()
    lines = (output / "train_list.txt").read_text().splitlines()
    rare = [line for line in lines if line.startswith("b/")]
    assert len(rare) == 6 and len(set(rare)) == 2  # 48 of the other
    assert report["classes"][1]["training_lines"] == 6
    lines = (output / "val_list.txt").read_text().splitlines()
    assert len(lines) == len(set(lines))


def test_several_labels(pictures, prepare):
    text = "".join(f"img/{i}.png,{['x;y', 'y', 'z;x'][i % 3]}\n" for i in range(12))
    pictures.add_table(f"image,tags\n{text}", pictures=12)
    output, report = prepare()
    found = {**listed(output, "train", True), **listed(output, "val", True)}
    assert found["img/0.png"] == (1, 1, 0) and found["img/2.png"] == (1, 0, 1) and len(found) == 12
    assert report["multi_label"]


def test_the_split_follows_the_seed_and_not_the_place(pictures, prepare, tmp_path):
    pictures.add_classes({"a": 30, "b": 30})
    lists_of = {}
    shutil.copytree(pictures.root, tmp_path / "moved")
    for key, flags in {"first": (), "other": ("--seed", 1), "moved": ()}.items():
        place = tmp_path / "moved" if key == "moved" else None
        output, _ = prepare(*flags, place=place, output=tmp_path / "output" / key)
        lists_of[key] = (output / "train_list.txt").read_text()
    assert lists_of["first"] == lists_of["moved"] != lists_of["other"]


def test_an_earlier_output_is_replaced_and_what_was_added_or_changed_is_not(pictures, prepare):
    pictures.add_classes({"a": 3, "b c": 3})  # with links
    prepare()
    output, report = prepare("--model", "MixFormer_B0")
    assert not (output / "MixFormer_B2_set.yaml").exists() and report["model"] == "MixFormer_B0"
    config = output / "MixFormer_B0_set.yaml"
    text = config.read_text()
    config.write_text(text + "# mine\n")
    with pytest.raises(
        UserError, match="MixFormer_B0_set.yaml, which this command has not written, or not like"
    ):
        prepare()
    config.write_text(text)
    (output / "notes.txt").touch()
    with pytest.raises(UserError, match="holds notes.txt"):
        prepare()


@pytest.mark.parametrize("name", ["", "out", "a", "../"])
def test_nothing_is_written_where_the_pictures_are(pictures, prepare, name):
    pictures.add_classes({"a": 3, "b": 3})
    before = state(pictures.root)
    with pytest.raises(UserError, match="the folder of the pictures, which stays as it is"):
        prepare(output=pictures.root / name)
    assert state(pictures.root) == before


@pytest.mark.parametrize(
    "counts, words",
    [
        ({"a": 1, "b": 1}, "no class has two different pictures"),
        ({"train/a": 2, "val/a": 2}, "one class, 'a', has usable pictures; a classifier needs two"),
    ],
)
def test_too_little_is_refused(pictures, prepare, tmp_path, counts, words):
    pictures.add_classes(counts)
    with pytest.raises(UserError, match=words):
        prepare()
    assert not (tmp_path / "output/set").exists() and not list((tmp_path / "output").iterdir())


@pytest.mark.parametrize(
    "flags, words",
    [
        (("--model", "MixFormer_B9"), "MixFormer_B9 is no variant; did you mean"),
        (("--val", "1"), "above 0 and below 1"),
        (("--test", "0.9"), "leaves some for training"),
        (("--size", "3"), "--size 3: it takes a whole number from 28 on"),
        (("--seed", "-1"), "--seed -1"),
        (("--pretrained", "no.pdparams"), "there is no file no.pdparams"),
        (("--model", "MixFormer_B0", "--pretrained", "true"), "no weights are published for MixFormer_B0"),
        (("--multi-label",), "name a CSV file"),
        (("--batch", "5"), "--batch 5: there are 4 lines for training"),
    ],
)
def test_flags_that_nothing_can_be_made_of(pictures, prepare, flags, words):
    pictures.add_classes({"a": 3, "b": 3})
    with pytest.raises(UserError, match=words):
        prepare(*flags)


def test_the_frame_of_the_input_has_an_area_where_all_pictures_are_larger():
    chart = sheet.draw_chart([("0 a", {"train": 3})], [(100, 90)], 64)
    marked = (np.asarray(chart) == sheet.COLORS["val"]).all(axis=2)
    assert marked.any(axis=1).sum() > 50 and marked.any(axis=0).sum() > 50


def test_many_classes_with_long_names_are_drawn(pictures, prepare):
    pictures.add_classes({f"class of a long name in 日本 {number:03d}": 2 for number in range(60)})
    output, _ = prepare()
    assert Image.open(output / "samples.jpg").height < 5000


def test_the_tool_speaks_in_one_line(pictures, tmp_path):
    log = run(
        sys.executable, "tools/prepare_data.py", pictures.root, "--output", tmp_path / "set", check=False
    )
    assert error_line(log) == f"error: there is no folder or CSV file {pictures.root}"


@pytest.fixture
def digits_by_class(digits, tmp_path):
    """A few digits, a folder with a space for each class."""
    for line in (digits / "train_list.txt").read_text().splitlines():
        name, label = line.split()
        target = tmp_path / f"by class/{label}" / name.split("/")[-1]
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(digits / name, target)
    return tmp_path / "by class"


@pytest.mark.slow
def test_the_trainer_takes_the_config_as_it_is(digits_by_class, tmp_path):
    flags = ["--model", "MixFormer_B0", "--epochs", 1, "--size", 28, "--device", "cpu"]
    log = run(
        *(sys.executable, "tools/prepare_data.py", digits_by_class, "--output", tmp_path / "set"), *flags
    )
    config = re.search(r"next: python tools/train.py -c (\S+)", log)[1]
    output = f"Global.output_dir={tmp_path / 'runs'}"
    log = tool("train", output, config=config)
    assert "[Eval][Epoch 1]" in log and "warning: " not in log
    weights = next((tmp_path / "runs").rglob("best_model.pdparams"))
    log = tool("eval", output, f"Global.pretrained_model={weights}", config=config)
    assert re.search(r"top1: [\d.]+", log)
    log = tool("infer", output, f"Global.pretrained_model={weights}", config=config)
    assert "class_ids" in log


@pytest.mark.slow
def test_the_trainer_takes_several_labels(digits, tmp_path):
    lines = [line.split() for line in (digits / "train_list.txt").read_text().splitlines()[:48]]
    kinds = {"even": lambda n: n % 2 == 0, "large": lambda n: n > 5}
    rows = [f"{digits / name},{';'.join(k for k in kinds if kinds[k](int(n)))}\n" for name, n in lines]
    (tmp_path / "labels.csv").write_text("image,tags\n" + "".join(rows))
    flags = ["--model", "MixFormer_B0", "--epochs", 1, "--size", 28, "--device", "cpu", "--multi-label"]
    log = run(
        *(sys.executable, "tools/prepare_data.py", tmp_path / "labels.csv"),
        *("--output", tmp_path / "set"),
        *flags,
    )
    config = re.search(r"next: python tools/train.py -c (\S+)", log)[1]
    log = tool("train", f"Global.output_dir={tmp_path / 'runs'}", config=config)
    assert "AccuracyScore" in log and "warning: " not in log
