"""`check -c CONFIG` with configs of PaddleSeg: class maps counted, drawn, or refused as by a training."""

import json

import numpy as np
import pytest
from PIL import Image
from segmentation import CONFIG

from ppcls_mixformer.check import command, segmentation
from ppcls_mixformer.hosting.errors import UserError

WIDTH, HEIGHT = 60, 40
GREY = 100


@pytest.fixture
def data(host, tmp_path):
    """A folder in ADE20K's layout: left a quarter unlabelled, then class 0, and half of it class 1."""
    numbers = np.repeat([0, 1, 2], [15, 15, 30]).astype("uint8")
    for split in ("training", "validation"):
        for kind in ("images", "annotations"):
            (tmp_path / kind / split).mkdir(parents=True)
        for n in range(6):
            Image.new("RGB", (WIDTH, HEIGHT), (GREY,) * 3).save(tmp_path / f"images/{split}/{n}.png")
            Image.fromarray(np.tile(numbers, (HEIGHT, 1))).save(tmp_path / f"annotations/{split}/{n}.png")
    (tmp_path / "class_names.txt").write_text("sky\nroad\n")
    return tmp_path


def arguments(data, *more):
    counts = [f"{section}.num_classes=2" for section in ("train_dataset", "val_dataset", "model")]
    roots = [f"{section}.dataset_root={data}" for section in ("train_dataset", "val_dataset")]
    return ["-c", CONFIG, "-o", *roots, *counts, "model.backbone.pretrained=None", "batch_size=2", *more]


def test_class_maps_are_counted_and_drawn(data):
    command.run([*arguments(data), "--output", str(data / "out")])
    report = json.loads((data / "out" / command.REPORT).read_text())
    assert report["task"] == "segmentation" and report["refused"] == []
    train, val = report["splits"]
    assert (train["key"], val["key"]) == ("train_dataset", "val_dataset")
    assert train["classes"] == [
        {"number": 0, "name": "0 sky", "class_maps": 6, "pixels": 6 * 600},
        {"number": 1, "name": "1 road", "class_maps": 6, "pixels": 6 * 1200},
    ]
    assert train["used"]["unlabelled_pixels"] == 6 * 600 and train["used"]["class_maps"] == 6
    assert (data / "out" / command.SHEET).exists() and (data / "out" / command.CHART).exists()


def test_classes_are_drawn_over_pictures_in_the_colours_of_the_legend(data):
    found = segmentation.of_config(CONFIG, arguments(data)[3:])
    split = found.splits[0]
    pixels = np.asarray(split.draw(split.samples[0], 300)[1]).astype(float)
    assert pixels.shape == (200, 300, 3)
    assert (pixels[:, :70] == GREY).all()  # unlabelled
    for column, (name, color) in zip((110, 250), found.legend):
        assert np.abs(pixels[100, column] - (0.6 * GREY + 0.4 * np.array(color))).max() <= 1, name


def test_what_a_training_refuses_is_refused_and_all_of_it(data, capsys):
    from ppcls_mixformer.paddleseg.sections import check_data

    Image.fromarray(np.full((HEIGHT, WIDTH), 7, "uint8")).save(data / "annotations/training/1.png")
    (data / "annotations/validation/2.png").unlink()
    with pytest.raises(UserError, match="^val_dataset: 1 of 6 pictures have no class map"):
        wrong = "iters=2.5", "model.backbone.pretrained=none"
        command.run([*arguments(data, *wrong), "--output", str(data / "out")])
    errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert errors.pop(1) == "error: model.backbone.pretrained: checkpoint not found: none"
    assert len(errors) == 2 and "iters must be a whole number above 0" in errors[0]
    refused = json.loads((data / "out" / command.REPORT).read_text())["refused"]
    from ppcls_mixformer.paddleseg.config import load

    with pytest.raises(UserError) as training:
        check_data(load(CONFIG, arguments(data)[3:]), "train_dataset")
    assert refused[2] == str(training.value) and "1 of 6 class maps have numbers" in refused[2]


def test_all_that_is_wrong_is_said_at_once(data):
    Image.fromarray(np.full((HEIGHT, WIDTH), 0.5, "float32")).save(data / "images/validation/1.tif")
    (data / "images/validation/1.png").unlink()
    Image.fromarray(np.full((HEIGHT, WIDTH), 0.5, "float32")).save(data / "annotations/training/1.tif")
    (data / "annotations/training/1.tif").replace(data / "annotations/training/1.png")
    wrong = "iters=0", "train_dataset.mode=val", "train_dataset.num_classes=3"
    wrong += "lr_scheduler.type=Poly", "optimizer.foo=1", "model.channel=8"
    refused = segmentation.of_config(CONFIG, arguments(data, *wrong)[3:]).refused
    starts = ["iters must be a whole number", "lr_scheduler: AttributeError", "optimizer: foo is not"]
    starts += [
        "model: channel is not an argument of UPerNetFCN; did you mean channels?",
        "train_dataset: the data have 3 classes, but model.num_classes is",
    ]
    starts += [
        "train_dataset: mode must be train here",
        "val_dataset: 1 of 6 class maps are of pictures that",
    ]
    assert len(refused) == len(starts)
    assert all(text.startswith(start) for text, start in zip(refused, starts))
    assert "1.tif: its numbers are floats" in refused[-1]
    refused = segmentation.of_config(CONFIG, arguments(data)[3:]).refused
    assert "1 of 6 class maps are no class maps" in refused[0] and "its pixels are F" in refused[0]
