"""`check -c CONFIG` with configs of PaddleDetection: what their trainings would be refused for."""

import json
import shlex

import pytest
from det_tools import DETECTOR, KEYPOINTS, command_line
from PIL import Image

from ppcls_mixformer.check import command, detection
from ppcls_mixformer.hosting.errors import UserError

SIZE = 60, 40


@pytest.fixture
def data(tmp_path):
    """A folder in COCO's layout, of two classes; `write(split, change)` writes annotations of it."""
    for split in ("train2017", "val2017"):
        (tmp_path / split).mkdir()
        for number in (1, 2):
            Image.new("RGB", SIZE, (90, 90, 90)).save(tmp_path / split / f"{number}.png")
    (tmp_path / "annotations").mkdir()
    return tmp_path


def content(name_of_second="dog", **values):
    mask = [[5, 5, 25, 5, 25, 15, 5, 15]]
    fixed = {"bbox": [5, 5, 20, 10], "segmentation": mask, "iscrowd": 0, **values}
    return {
        "images": [{"id": n, "file_name": f"{n}.png"} for n in (1, 2)],
        "categories": [{"id": n, "name": name} for n, name in enumerate(("cat", name_of_second), 1)],
        "annotations": [{"id": n, "image_id": n, "category_id": n, **fixed} for n in (1, 2)],
    }


def write(data, split, content):
    (data / f"annotations/{split}.json").write_text(json.dumps(content))


def arguments(data, config, *overrides):
    places = [
        f"{section}Dataset.{key}={value}"
        for section, split in (("Train", "train"), ("Eval", "val"))
        for key, value in (("image_dir", f"{split}2017"), ("anno_path", f"annotations/{split}.json"))
    ]
    return command_line(data, config, *places, *overrides)


def test_both_files_of_a_config_are_checked_and_drawn(host, data):
    write(data, "train", content())
    write(data, "val", content())
    given = arguments(data, DETECTOR, "num_classes=2", "TrainReader.batch_size=2")
    command.run([*given, "--output", str(data / "out")])
    report = json.loads((data / "out" / command.REPORT).read_text())
    assert [split["key"] for split in report["splits"]] == ["TrainDataset.anno_path", "EvalDataset.anno_path"]
    assert report["task"] == "instances"
    assert report["refused"] == [] and report["splits"][1]["used"]["objects"] == 2
    assert Image.open(data / "out" / command.SHEET).width > 1000


def test_what_is_refused_is_what_a_training_refuses_and_all_of_it(host, data, capsys):
    from ppcls_mixformer.paddledet.config import settings

    write(data, "train", content())
    write(data, "val", content("bird"))
    transform = "TrainReader.sample_transforms=[{Resize: {}}]"
    given = arguments(data, DETECTOR, "num_classes=2", transform)
    with pytest.raises(UserError) as last:
        command.run(given)
    (first,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    with pytest.raises(UserError) as training:
        settings([*given, "--eval"], "train")
    assert first == f"error: {training.value}" and "Resize cannot be made" in first
    with pytest.raises(UserError) as training:
        settings([*given[:-1], "--eval"], "train")
    assert str(last.value) == str(training.value) and "class 2 is bird here, dog there" in str(last.value)


def test_fewer_samples_than_a_batch_are_refused_as_by_a_training(host, data):
    write(data, "train", content())
    write(data, "val", content())
    with pytest.raises(UserError, match="TrainReader.batch_size: it is 3, but there are 2 samples"):
        command.run(arguments(data, DETECTOR, "num_classes=2", "TrainReader.batch_size=3"))


def test_a_checkpoint_to_start_from_that_is_not_there_is_refused(host, data):
    write(data, "train", content())
    write(data, "val", content())
    given = arguments(data, DETECTOR, "num_classes=2", "MixFormer.pretrained=none")
    with pytest.raises(UserError, match="^MixFormer.pretrained: checkpoint not found: none"):
        command.run(given)


def test_all_counts_that_are_too_low_are_said(host, data, capsys):
    write(data, "train", content())
    write(data, "val", content())
    with pytest.raises(UserError, match="^epoch: it is 0, not a whole .*; worker_num: it is -1, not a whole"):
        command.run(arguments(data, DETECTOR, "num_classes=2", "epoch=0", "worker_num=-1"))


def test_keypoints_of_a_config_have_its_joints(host, data):
    names = ["nose", "left_eye", "right_eye"]
    persons = content(category_id=1, keypoints=[6, 6, 2, 20, 10, 2, 9, 9, 0])
    persons["categories"] = [{"id": 1, "name": "person", "keypoints": names}]
    write(data, "train", persons)
    write(data, "val", persons)
    overrides = arguments(data, KEYPOINTS, "num_joints=3", "TrainReader.batch_size=2", "oks_sigmas=0.05")
    command.run([*overrides, "--output", str(data / "out")])
    report = json.loads((data / "out" / command.REPORT).read_text())
    assert report["task"] == "keypoints"
    assert [split["joints"] for split in report["splits"]] == [names] * 2
    with pytest.raises(UserError, match="has 3 joints, num_joints is 4: set -o num_joints=3"):
        command.run(arguments(data, KEYPOINTS, "num_joints=4"))


def test_all_that_is_wrong_is_said_at_once(host, data, capsys):
    broken = content()
    broken["annotations"][0].update(category_id=9)
    broken["images"].append({"id": 3, "file_name": "broken.png"})
    (data / "train2017/broken.png").write_bytes(b"")
    write(data, "train", broken)
    wrong = [
        "TrainReader.sample_transforms=[{Decode: {}}, {Resize: {}}, {Flip: {}}]",
        "epoch=0",
        "worker_num=-1",
    ]
    wrong += ["MixFormer.pretrained=none", "EvalDataset.image_dir=none", "MixFormer.ach=3"]
    with pytest.raises(UserError):
        command.run([*arguments(data, DETECTOR, "num_classes=2", *wrong), "--output", str(data / "out")])
    refused = json.loads((data / "out" / command.REPORT).read_text())["refused"]
    starts = ["MixFormer.ach is not an argument; did you mean arch?", "TrainReader.sample_transforms: Resize"]
    starts += [
        "TrainReader.sample_transforms: 'Flip' is",
        "epoch: it is 0",
        "MixFormer.pretrained: checkpoint not",
    ]
    starts += [
        "TrainDataset.anno_path: ",
        "EvalDataset.image_dir: there is no",
        "EvalDataset.anno_path: there is",
    ]
    assert len(refused) == len(starts)
    assert all(text.startswith(start) for text, start in zip(refused, starts))
    assert "category_id that is not" in refused[5] and "broken.png: the file is empty" in refused[5]


def test_a_training_takes_what_is_printed_for_files(host, tmp_path):
    from ppcls_mixformer.paddledet.config import settings

    for split in ("2017", "valid it"):  # a number to YAML, and two words to a shell
        (tmp_path / split).mkdir()
        (tmp_path / split / "_annotations.coco.json").write_text(json.dumps(content()))
        for number in (1, 2):
            Image.new("RGB", SIZE, (90, 90, 90)).save(tmp_path / split / f"{number}.png")
    paths = [str(tmp_path / split / "_annotations.coco.json") for split in ("2017", "valid it")]
    found = detection.of_files(paths, [], None)
    assert found.places[2] == "TrainDataset.anno_path=_annotations.coco.json"
    printed = next(
        line for line in command.told(found, None) if line.startswith("a training on them takes -o")
    )
    given = shlex.split(printed.split("takes ")[1])
    fixed = ["num_classes=2", "MixFormer.pretrained=null", "TrainReader.batch_size=2"]
    settings(["-c", DETECTOR, "--eval", *given, *fixed], "train")
    command.run(["-c", DETECTOR, *given, *fixed, "TrainDataset.image_dir=", "EvalDataset.image_dir=null"])
