"""`check FILE.json …`: the checks of a training on files alone, and pictures of what they hold."""

import hashlib
import json
import os
import shutil
import sys

import numpy as np
import pytest
from commands import error_line, run, script
from PIL import Image

from ppcls_mixformer.check import command, detection
from ppcls_mixformer.hosting.errors import UserError
from ppcls_mixformer.paddledet import drawing

WIDTH, HEIGHT = 60, 40
RED, GREEN, TURNED = (200, 30, 30), (60, 130, 60), 0x0112
JOINTS = ["nose", "left_eye", "right_eye"]


def entry(number, image, **values):
    """An annotation of 20×10 pixels at (10, 10), of class 1."""
    box = [10, 10, 20, 10]
    mask = [[10, 10, 30, 10, 30, 20, 10, 20]]
    fixed = {
        "id": number,
        "image_id": image,
        "category_id": 1,
        "bbox": box,
        "segmentation": mask,
        "area": 200,
    }
    return {**fixed, "iscrowd": 0, **values}


class Data:
    """A folder with `pictures` and annotation files beside it."""

    def __init__(self, root):
        self.root, self.pictures = root, root / "pictures"
        self.pictures.mkdir()
        for number in (1, 2, 3):
            self.picture(number)

    def picture(self, number, size=(WIDTH, HEIGHT), **options):
        Image.new("RGB", size, GREEN).save(self.pictures / f"{number}.jpg", quality=95, **options)

    def content(self):
        sizes = {"width": WIDTH, "height": HEIGHT}
        return {
            "images": [{"id": number, "file_name": f"{number}.jpg", **sizes} for number in (1, 2, 3)],
            "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}],
            "annotations": [entry(1, 1), entry(2, 2, category_id=2), entry(3, 3), entry(4, 3, iscrowd=1)],
        }

    def keypoints(self):
        content = self.content()
        content["categories"] = [{"id": 1, "name": "person", "keypoints": JOINTS, "skeleton": [[1, 2]]}]
        persons = [entry(n, n, keypoints=[12, 15, 2, 28, 15, 2, 20, 18, 0]) for n in (1, 2, 3)]
        return {**content, "annotations": persons}

    def write(self, content, name="train.json"):
        path = self.root / name
        path.write_text(json.dumps(content), encoding="utf-8")
        return str(path)

    def digest(self):
        files = sorted(path for path in self.root.rglob("*") if path.is_file())
        return {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture
def data(tmp_path):
    (tmp_path / "data").mkdir()
    return Data(tmp_path / "data")


def check(output, *arguments):
    """Runs the command; returns its report, also where it refuses."""
    try:
        command.run([*map(str, arguments), "--output", str(output)])
    finally:
        report = json.loads((output / command.REPORT).read_text())
    return report


def test_all_is_counted_and_drawn_and_nothing_is_changed(data, tmp_path, capsys):
    content = data.content()
    content["annotations"] += [entry(5, 1, bbox=[1, 1, 0, 5]), entry(6, 2, area=None)]
    path, output = data.write(content), tmp_path / "out"
    before = data.digest()
    report = check(output, path)
    assert data.digest() == before
    assert sorted(file.name for file in output.iterdir()) == sorted(
        [command.REPORT, command.SHEET, command.CHART]
    )
    (split,) = report["splits"]
    assert report["task"] == "instances" and report["refused"] == []
    assert split["entries"] == {"images": 3, "categories": 2, "annotations": 6}
    assert split["used"] == {
        "images": 3,
        "images_without_objects": 0,
        "images_turned_by_exif": 0,
        "objects": 4,
        "crowds": 1,
    }
    assert split["classes"] == [
        {"id": 1, "name": "cat", "objects": 3},
        {"id": 2, "name": "dog", "objects": 1},
    ]
    (left_out,) = split["left_out"]
    assert (left_out["count"], left_out["of"], left_out["first_ids"]) == (1, 6, [5])
    (repaired,) = split["repaired"]
    assert "have no area" in repaired["text"] and repaired["first_ids"] == [6]
    assert split["box_sizes"]["median"] == pytest.approx(200**0.5, abs=0.01)
    assert split["box_sizes"]["histogram"] == [{"from": 11.31, "to": 16.0, "count": 4}]
    assert split["picture_sizes"]["histogram"] == [{"from": 45.25, "to": 64.0, "count": 3}]
    printed = capsys.readouterr().out
    assert "train.json: 3 of 3 images, 5 of 6 annotations" in printed and "num_classes=2" in printed
    colors = {color for _, color in Image.open(output / command.CHART).getcolors(1 << 20)}
    assert (55, 110, 175) in colors  # bars


def drawn(path, number=1):
    """The picture `number` of a file as the sheet has it, but five times as large, an array."""
    (split,) = detection.of_files([path], [], None).splits
    (image,) = [image for image in split.samples if image["id"] == number]
    return np.asarray(split.draw(image, 300)[1]).astype(int)


def test_boxes_and_masks_are_drawn_where_they_are(data):
    pixels = drawn(data.write(data.content()))
    assert pixels.shape == (200, 300, 3)
    box = drawing.color_of_class(0)
    assert tuple(pixels[75, 150]) == box and tuple(pixels[100, 100]) == box  # right and lower side
    masked, bare = pixels[80, 110], pixels[170, 250]
    assert abs(bare - GREEN).max() < 12 and abs(masked - bare).max() > 30


def test_whatever_a_file_may_hold_is_drawn(data, tmp_path):
    content = data.keypoints()
    content["categories"][0]["name"] = "a\nperson 人\udcff" + "x" * 300
    content["annotations"][0].update(id=float("nan"), keypoints=[1e5, 15, 2, 28, 15, 2, 20, 18, 0])
    content["annotations"][1]["segmentation"] = [[10, 10, 1e30, 10, 30, -1e30]]
    report = check(tmp_path / "out", data.write(content))
    text = (tmp_path / "out" / command.REPORT).read_text()
    assert "NaN" not in text and len(report["splits"][0]["repaired"]) == 2


def test_a_picture_is_drawn_as_readers_turn_it(data):
    stored = Image.new("RGB", (HEIGHT, WIDTH), RED)
    stored.paste((30, 30, 200), (0, 0, HEIGHT, WIDTH // 2))  # above, which is right once it is turned
    exif = Image.Exif()
    exif[TURNED] = 6
    stored.save(data.pictures / "2.jpg", exif=exif, quality=95)
    path = data.write(data.content())
    pixels = drawn(path, 2)
    assert pixels.shape == (200, 300, 3)
    assert pixels[190, 250, 2] > 150 > pixels[190, 250, 0] and pixels[190, 20, 0] > 150 > pixels[190, 20, 2]
    assert detection.of_files([path], [], None).splits[0].record["used"]["images_turned_by_exif"] == 1
    exif[TURNED] = 3  # a half turn, which leaves the size
    data.picture(3, exif=exif)
    found = detection.of_files([path], [], None).splits[0]
    assert found.record["used"]["images_turned_by_exif"] == 2
    assert {image["id"] for image in found.samples[:2]} == {2, 3}


@pytest.mark.parametrize("line", [[1, 2], ["nose", "left_eye"]])
def test_skeletons_are_drawn(data, tmp_path, capsys, line):
    content = data.keypoints()
    content["categories"][0]["skeleton"] = [line]
    path = data.write(content)
    report = check(tmp_path / "out", path)
    assert report["task"] == "keypoints" and report["splits"][0]["joints"] == JOINTS
    assert "num_joints=3" in capsys.readouterr().out
    pixels = drawn(path)
    assert tuple(pixels[75, 100]) == drawing.ORANGE  # the line from the nose to the left eye


def test_joints_without_names_need_a_config_that_says_which_change_places(data, tmp_path, capsys):
    content = data.keypoints()
    del content["categories"][0]["keypoints"]
    report = check(tmp_path / "out", data.write(content))
    printed = capsys.readouterr().out
    assert report["refused"] == [] and report["splits"][0]["joints"] == ["joint 0", "joint 1", "joint 2"]
    assert "num_joints=3, flip_perm, the joints that change places in a mirror image" in printed


def test_lvis_is_known_by_its_frequencies(data, tmp_path):
    content = data.content()
    for image in content["images"]:
        image["coco_url"] = f"http://x/pictures/{image.pop('file_name')}"
    for category in content["categories"]:
        category["frequency"] = "r"
    report = check(tmp_path / "out", data.write(content))
    assert report["task"] == "lvis" and report["splits"][0]["used"]["objects"] == 3


@pytest.mark.parametrize(
    "change, task",
    [
        (lambda a: a.pop("segmentation"), "detection"),
        (lambda a: a.update(segmentation=[]), "detection"),
        (lambda a: a, "instances"),
    ],
)
def test_what_a_file_is_for_follows_from_its_objects(data, change, task):
    content = data.content()
    for annotation in content["annotations"]:
        change(annotation)
    assert detection.task_of(content) == task
    assert detection.task_of(data.keypoints()) == "keypoints"


@pytest.mark.parametrize("content", [{"shapes": [], "imagePath": "1.jpg"}, [{"image": "1.jpg"}], 3])
def test_projects_of_tools_are_to_be_exported(data, tmp_path, content):
    with pytest.raises(
        UserError, match="it has no categories; have the tool that wrote it export COCO's JSON"
    ):
        check(tmp_path / "out", data.write(content))
    with pytest.raises(UserError, match="it has no categories$"):
        check(tmp_path / "out", data.write({"annotations": []}))


@pytest.mark.parametrize("content", [3, [], {}, {"images": 7}, {"images": [3], "categories": [None]}])
def test_what_is_no_annotation_file_is_one_line(data, tmp_path, content):
    with pytest.raises(UserError, match="^FILE: .*is not a file of COCO instances") as e:
        check(tmp_path / "out", data.write(content), "--task", "instances")
    assert "\n" not in str(e.value) and not (tmp_path / "out" / command.SHEET).exists()


def test_several_files_are_compared(data, tmp_path):
    other = data.content()
    other["categories"][1]["name"] = "bird"
    paths = data.write(data.content()), data.write(other, "val.json")
    with pytest.raises(UserError, match="^file 2: .*val.json has other classes than .*train.json .file 1"):
        check(tmp_path / "out", *paths)
    report = json.loads((tmp_path / "out" / command.REPORT).read_text())
    assert len(report["refused"]) == 1 and len(report["splits"]) == 2
    with pytest.raises(UserError, match="^file 3: "):
        check(tmp_path / "out", *paths, data.write(other, "test.json"))
    report = json.loads((tmp_path / "out" / command.REPORT).read_text())
    assert len(report["refused"]) == 2 and len(report["splits"]) == 3


def test_files_of_one_name_are_told_apart_by_their_folders(data):
    (data.root / "train").mkdir()
    (data.root / "val").mkdir()
    paths = [data.write(data.content(), f"{split}/annotations.json") for split in ("train", "val")]
    found = detection.of_files(paths, [str(data.pictures)], None)
    assert [split.name for split in found.splits] == ["train/annotations.json", "val/annotations.json"]


def test_classes_in_another_order_and_missing_ones_are_taken_as_in_training(data, tmp_path):
    other = data.content()
    other["categories"].reverse()
    report = check(tmp_path / "out", data.write(data.content()), data.write(other, "val.json"))
    names = [[entry["name"] for entry in split["classes"]] for split in report["splits"]]
    assert names == [["cat", "dog"]] * 2
    other["annotations"] = [a for a in other["annotations"] if a["category_id"] == 1]
    del other["categories"][0]
    report = check(tmp_path / "out", data.write(data.content()), data.write(other, "val.json"))
    assert report["splits"][1]["classes"][1] == {"id": 2, "name": "dog", "objects": 0}


def test_every_file_is_checked_whatever_is_wrong_with_others(data, tmp_path, capsys):
    wrong = data.content()
    wrong["annotations"][0]["category_id"] = 9
    paths = [data.write(wrong, "a.json"), data.write([], "b.json"), data.write(data.content(), "c.json")]
    with pytest.raises(UserError, match="^file 2: .*b.json is not a file of COCO"):
        check(tmp_path / "out", *paths, "--images", data.pictures, "--task", "instances")
    assert "error: file 1: " in capsys.readouterr().err
    report = json.loads((tmp_path / "out" / command.REPORT).read_text())
    assert len(report["refused"]) == 2 and [split["key"] for split in report["splits"]] == ["file 3"]
    assert (tmp_path / "out" / command.SHEET).exists()


def test_the_refusal_is_that_of_a_training_and_nothing_is_written_without_an_output(data):
    (data.pictures / "2.jpg").write_bytes(b"")
    path = data.write(data.content())
    before = data.digest()
    with pytest.raises(
        UserError, match="1 of 3 pictures that cannot be read, first .*2.jpg: the file is empty"
    ):
        command.run([path])
    assert data.digest() == before


def test_pictures_are_looked_for_near_the_file_or_asked_for(data, tmp_path):
    (data.root / "annotations").mkdir()
    path = data.write(data.content(), "annotations/train.json")
    command.run([path])
    shutil.move(data.pictures, tmp_path / "far")
    with pytest.raises(UserError, match="such as 1.jpg, are neither beside it nor .*--images FOLDER"):
        command.run([path])
    command.run([path, "--images", str(tmp_path / "far")])


def test_pictures_of_the_same_names_in_two_folders_are_not_mixed_up(data):
    (data.root / "val").mkdir()
    shutil.copy(data.pictures / "1.jpg", data.root / "val/1.jpg")
    path = data.write(data.content())
    assert detection.of_files([path], [], None).splits[0].record["used"]["images"] == 3
    shutil.copytree(data.pictures, data.root / "val", dirs_exist_ok=True)
    with pytest.raises(UserError, match=f"1.jpg, are in {data.pictures} and in {data.root}/val: name theirs"):
        command.run([path])


@pytest.mark.parametrize("place", ["{}/", "../{}/", "../../data/{}/"])
def test_pictures_may_be_named_by_whole_paths_or_from_where_the_file_is(data, place):
    content = data.content()
    folder = data.pictures if place == "{}/" else "pictures"
    for image in content["images"]:
        image["file_name"] = place.format(folder) + image["file_name"]
    (data.root / "a").mkdir()
    (data.root / "b").mkdir()
    found = detection.of_files([data.write(content, "a/train.json")], [], None)
    assert found.refused == [] and found.splits[0].record["used"]["images"] == 3


@pytest.mark.parametrize("name", ["a\0b", "\ud800", "x" * 300, ""])
def test_names_that_no_file_can_have_are_looked_for_and_refused_in_one_line(data, name):
    content = data.content()
    content["images"][0]["file_name"] = name
    (refused,) = detection.of_files([data.write(content)], [], None).refused
    assert "1 of 3" in refused


def test_a_folder_near_the_file_that_cannot_be_listed_is_passed_over(data, monkeypatch):
    def scandir(path):
        if str(path) == str(data.root.parent):
            raise PermissionError(13, "Permission denied", str(path))
        return listed(path)

    listed = os.scandir
    monkeypatch.setattr(os, "scandir", scandir)
    assert detection.of_files([data.write(data.content())], [], None).refused == []


def test_an_output_of_the_users_own_is_kept_and_an_earlier_one_replaced(data, tmp_path):
    path, output = data.write(data.content()), tmp_path / "out"
    output.mkdir()
    (output / command.SHEET).write_text("mine")
    with pytest.raises(UserError, match="holds samples.jpg, which this command has not written"):
        command.run([path, "--output", str(output)])
    assert (output / command.SHEET).read_text() == "mine"
    (output / command.SHEET).unlink()
    (output / "notes.txt").write_text("mine")
    check(output, path)
    with pytest.raises(UserError):
        check(output, data.write([], "b.json"))
    assert sorted(file.name for file in output.iterdir()) == [command.REPORT, "notes.txt"]  # no old sheet
    mine = tmp_path / command.REPORT
    shutil.copy(path, mine)
    with pytest.raises(UserError, match="holds check.json"):
        command.run([str(mine), "--images", str(data.pictures), "--output", str(tmp_path)])


@pytest.mark.parametrize(
    "flags, words",
    [
        ([], "name files of annotations, FILE.json …, or a config"),
        (["."], "^. is a folder: name the files of annotations in it"),
        (["FILE", "-c", "x.yml"], "name files of annotations, FILE.json …, or a config"),
        (["no.json"], "there is no file no.json"),
        (["FILE", "--images", "nowhere"], "--images: there is no folder nowhere"),
        (["FILE", "--images", ".", ".", "."], "--images takes one folder, or one for each of 1 files: 3"),
        (["FILE", "-o", "a=1"], "-o replaces values of a config"),
        (["-c", "mask_rcnn_mixformer_b0", "--task", "detection"], "are for files"),
        (["-c", "MixFormer_B2"], "is a config of classification: `prepare` looks at"),
        (["-c", "SECURITY.md"], "a config of neither PaddleDetection nor PaddleSeg|is not valid YAML"),
        (["FILE", "--output", "FILE"], "train.json is no folder"),
    ],
)
def test_flags_that_nothing_can_be_made_of(data, flags, words):
    path = data.write(data.content())
    with pytest.raises(UserError, match=words):
        command.run([path if flag == "FILE" else flag for flag in flags])


def test_a_sheet_has_the_rarest_classes_and_what_was_repaired(data):
    content = data.content()
    content["images"] = [{"id": n, "file_name": f"{n % 3 + 1}.jpg"} for n in range(1, 201)]
    content["annotations"] = [entry(n, n) for n in range(1, 201)]
    content["annotations"][77]["category_id"] = 2
    content["annotations"][123]["area"] = -1
    (split,) = detection.of_files([data.write(content)], [], None).splits
    ids = [image["id"] for image in split.samples]
    assert len(ids) == 16 and {78, 124} <= set(ids)


def test_it_needs_neither_paddle_nor_a_host(data):
    path = data.write(data.content())
    hidden = "paddle,ppdet,paddleseg,paddleclas,matplotlib"
    output = data.root / "out"
    log = script("without", hidden, "-m", "ppcls_mixformer", "check", path, "--output", output)
    assert "3 of 3 images, 4 of 4 annotations" in log and (output / command.SHEET).exists()


def test_the_tool_speaks_in_one_line(data):
    path = data.write(data.content() | {"annotations": []})
    log = run(sys.executable, "tools/prepare_annotations.py", path, check=False)
    assert error_line(log).startswith(f"error: FILE: {path} is not a file of COCO instances")
