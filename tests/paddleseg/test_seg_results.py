"""What `predict` writes: no result in the place of another one, class numbers in PNGs, a legend."""

import csv
import re
import shutil

import numpy as np
import paddle
import pytest
from commands import error_line
from PIL import Image
from segmentation import CONFIG, build, tool

from ppcls_mixformer.hosting.errors import UserError
from ppcls_mixformer.paddleseg import commands

NAMES = ["brick", "grass", "gravel", "space", "tissue", "photo", "digit", "person"]  # of the scenes
NUMBERED = list(enumerate(NAMES))


@pytest.fixture(scope="module")
def results(host):
    from ppcls_mixformer.paddleseg import results

    return results


@pytest.fixture(scope="module")
def colors(host):
    from ppcls_mixformer.paddleseg.classes import palette

    return palette()


@pytest.mark.parametrize(
    "pictures, maps",
    [
        (["p/a.jpg", "p/b.png"], ["a.png", "b.png"]),
        (["p/x/a.jpg", "p/y/a.jpg"], ["x/a.png", "y/a.png"]),
        (["p/a.jpg", "p/a.png"], ["a.jpg.png", "a.png.png"]),
        (["p/a.jpg", "p/A.JPG"], ["a.jpg.png", "A.JPG-2.png"]),
        (["p/a.jpg", "p/a.png", "p/a.png.bmp"], ["a.jpg.png", "a.png.png", "a.png-2.png"]),
        (["p/apple.png", "p/p/p.png"], ["apple.png", "p/p.png"]),
        (["/else/where.jpg"], ["else/where.png"]),
    ],
)
def test_each_picture_has_results_of_its_own(results, pictures, maps):
    found = results.names_of(pictures, "p")
    assert [map_name for map_name, _ in found] == maps
    assert len({mixed.casefold() for _, mixed in found}) == len(pictures)
    assert found[0][1] == maps[0][:-4] + pictures[0][-4:] or "." in maps[0][:-4]


def test_no_result_leaves_the_folder(results, tmp_path):
    found = results.names_of(["p/../../../a.jpg", "p/../b.jpg", "p/c.jpg"], "p")
    assert all(".." not in name and not name.startswith("/") for pair in found for name in pair)


def test_a_picture_alone_has_its_name(results):
    assert results.names_of(["p/x/a.jpg"], None) == [("a.png", "a.jpg")]


def test_pngs_hold_the_numbers_and_look_as_the_legend_says(results, colors, tmp_path):
    classes = np.arange(256).reshape(16, 16)
    picture = np.zeros((16, 16, 3), "uint8")
    results.write(tmp_path, ("x/a.png", "x/a.bmp"), picture, classes, colors)
    with Image.open(tmp_path / results.MAPS / "x/a.png") as image:
        assert image.mode == "P" and (np.asarray(image) == classes).all()
        assert (np.asarray(image.convert("RGB")).reshape(256, 3) == colors).all()
    with Image.open(tmp_path / results.MIXED / "x/a.bmp") as image:
        assert np.abs(np.asarray(image).reshape(256, 3) - 0.4 * np.array(colors)).max() <= 0.5


def test_the_legend_has_names_and_colors(results, colors, tmp_path):
    names = [*NAMES, "天空", "", *map(str, range(60))]
    results.write_legend(tmp_path, names, colors)
    rows = list(csv.DictReader((tmp_path / "legend.csv").open(encoding="utf-8", newline="")))
    assert [row["name"] for row in rows] == names
    assert [[int(row[part]) for part in ("red", "green", "blue")] for row in rows] == colors[: len(names)]
    with Image.open(tmp_path / "legend.png") as image:
        seen = {color for _, color in image.getcolors(1 << 20)}
        assert {tuple(color) for color in colors[: len(names)]} <= seen


@pytest.mark.parametrize(
    "file, text, warned",
    [
        (
            "objectInfo150.txt",
            "Idx\tName\n" + "".join(f"{n}\t{name}\n" for n, name in enumerate(NAMES, 1)),
            "",
        ),
        ("class_names.txt", "\n".join(NAMES), ""),
        ("labels.txt", "".join(f"{n} {name}\n" for n, name in NUMBERED), ""),
        ("labels.txt", "\n".join(NAMES[1:]), "labels.txt names 7 classes, not 8"),
        ("labels.txt", "\n".join(["__ignore__", *NAMES]), ""),
        ("objectInfo150.txt", "brick\ngrass\n", "has no column Name"),
        ("class_names.txt", "", "holds no names"),
    ],
)
def test_names_of_classes_are_found_beside_the_data(host, tmp_path, caplog, file, text, warned):
    from ppcls_mixformer.paddleseg.classes import class_names

    (tmp_path / file).write_text(text)
    builder = build(CONFIG, f"val_dataset.dataset_root={tmp_path}")
    assert class_names(builder) == (None if warned else NAMES)
    assert warned in caplog.text and bool(caplog.text) == bool(warned)


@pytest.mark.parametrize(
    "options, text",
    [
        (["--custom_color", 1, 2], "--custom_color takes red, green and blue"),
        (["--custom_color", 1, 2, 256], "got 3 numbers from 1 to 256"),
        (["--custom_color", *range(27)], "--custom_color has 9 colours, there are 8 classes"),
        (["--opts", "model.num_classes=300"], "300 classes: predict writes PNGs, of 256 at most"),
        (
            ["--opts", "val_dataset.transforms=[{'type':'RandomHorizontalFlip'}]"],
            "no place in evaluation and pr",
        ),
        (["--opts", "val_dataset={}"], "the config has no section val_dataset"),
    ],
)
def test_what_cannot_be_written_is_refused(host, options, text):
    command = ["--config", CONFIG, "--model_path", "x", "--image_path", "docs/images"]
    with pytest.raises(UserError, match=re.escape(text)):
        commands.predict([*command, *map(str, options)])


def test_lists_of_pictures(host, tmp_path):
    from ppcls_mixformer.paddleseg.predict import find_pictures

    for name in ("a b.png", "c.png"):
        (tmp_path / name).touch()
    listing = tmp_path / "list.txt"
    listing.write_text("a b.png\nc.png m/c.png\n\nc.png\nnone.png\n")
    found = [str(tmp_path / name) for name in ("a b.png", "c.png", "none.png")]
    assert find_pictures(str(listing)) == (found, str(tmp_path))
    (tmp_path / "m").mkdir()
    (tmp_path / "m/a b.png").touch()
    listing.write_text("\ufeffa b.png\tm\\a b.png\r\na b.png m/a b.png\nc.png,m/a b.png\n")
    assert find_pictures(str(listing)) == (found[:2], str(tmp_path))
    listing.write_text("")
    with pytest.raises(UserError, match="list.txt is no list of pictures: it is empty"):
        find_pictures(str(listing))


@pytest.mark.slow
def test_predict_keeps_all_results_apart_and_names_what_it_cannot_read(scenes, weights, tmp_path):
    folder, output = tmp_path / "pictures", tmp_path / "results"
    first, second, _ = sorted((scenes / "images/validation").iterdir())
    for name in ("a.jpg", "x/a.jpg", "y/a.jpg"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(first, folder / name)
    Image.open(second).resize((90, 70)).save(folder / "a.png")
    (folder / "half.jpg").write_bytes(first.read_bytes()[:3000])
    options = ["--model_path", weights, "--image_path", folder, "--save_dir", output]
    log = tool("predict", scenes, *options, check=False)
    assert error_line(log) == f"error: 1 of 5 pictures have no answer: {folder / 'half.jpg'}"
    maps = {"a.jpg.png", "a.png.png", "x/a.png", "y/a.png"}
    mixed = {"a.jpg", "a.png", "x/a.jpg", "y/a.jpg"}
    for part, expected in (("pseudo_color_prediction", maps), ("added_prediction", mixed)):
        files = [path for path in (output / part).rglob("*") if path.is_file()]
        assert {path.relative_to(output / part).as_posix() for path in files} == expected
    assert {path.name for path in output.iterdir() if path.is_file()} == {"legend.csv", "legend.png"}
    with Image.open(output / "pseudo_color_prediction/a.png.png") as image:
        assert image.size == (90, 70) and image.mode == "P" and max(image.getdata()) < len(NAMES)
    assert [row[1] for row in csv.reader((output / "legend.csv").open())] == ["name", *NAMES]


@pytest.mark.parametrize(
    "options, lines", [({}, 1), ({"is_slide": True, "crop_size": [8, 8], "stride": [4, 4]}, 0)]
)
def test_a_picture_that_may_need_too_much_memory_is_said(host, monkeypatch, caplog, options, lines):
    from ppcls_mixformer.paddleseg import predict

    class Network(paddle.nn.Layer):
        def forward(self, x):
            return [x]

    monkeypatch.setattr(predict.pixels, "LARGE", 20 * 12 - 1)
    transforms = predict.Compose([], to_rgb=False)
    for height in (11, 12):
        picture = np.zeros([height, 20, 3], np.uint8)
        assert predict.segment(Network(), transforms, picture, options).shape == (height, 20)
    said = [record.getMessage() for record in caplog.records]
    assert [line[:12] for line in said] == ["20x12 pixels"] * lines
