"""`check FILE.json …` on what annotation tools export as COCO, in their layouts and with their own fields."""

import json

import pytest
from PIL import Image
from pycocotools import mask as masks

from ppcls_mixformer.check import detection
from ppcls_mixformer.hosting.errors import UserError
from ppcls_mixformer.paddledet import annotations

WIDTH, HEIGHT = 60, 40
SIZE = {"width": WIDTH, "height": HEIGHT}
BOX, POLYGON = [10.0, 5.0, 20.0, 10.0], [10.0, 5.0, 30.0, 5.0, 30.0, 15.0, 10.0, 15.0]
JOINTS = ["nose", "left_eye", "right_eye"]


@pytest.fixture
def export(tmp_path):
    """Writes `{path: content}` of files, and pictures at some paths; gives the files' paths."""

    def write(files, pictures):
        for name in pictures:
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (WIDTH, HEIGHT), (60, 130, 60)).save(tmp_path / name)
        for name, content in files.items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(json.dumps(content))
        return [str(tmp_path / name) for name in files]

    return write


def encoded():
    """The run lengths of the polygon, as CVAT and Datumaro write them."""
    pixels = masks.decode(masks.merge(masks.frPyObjects([POLYGON], HEIGHT, WIDTH))).flatten("F").tolist()
    counts, last = [0], 0
    for pixel in pixels:
        counts += [0] if pixel != last else []
        counts[-1], last = counts[-1] + 1, pixel
    return {"counts": counts, "size": [HEIGHT, WIDTH]}


def cvat(*objects, names=("a.jpg", "sub/b.jpg")):
    """COCO 1.0 of CVAT, whose exporter is Datumaro's."""
    own = {"license": 0, "flickr_url": "", "coco_url": "", "date_captured": 0}
    info = dict.fromkeys(("contributor", "date_created", "description", "url", "version", "year"), "")
    attributes = {"attributes": {"occluded": False, "rotation": 0.0}}
    return {
        "licenses": [{"name": "", "id": 0, "url": ""}],
        "info": info,
        "categories": [
            {"id": n, "name": name, "supercategory": ""} for n, name in enumerate(("cat", "dog"), 1)
        ],
        "images": [{"id": n, **SIZE, "file_name": name, **own} for n, name in enumerate(names, 1)],
        "annotations": [
            {"id": n, "image_id": n, "category_id": n, "area": 200.0, "bbox": BOX, **changes, **attributes}
            for n, changes in enumerate(objects, 1)
        ],
    }


def roboflow(*names, root="animals"):
    return {
        "info": {
            "year": "2024",
            "version": "1",
            "contributor": "",
            "date_created": "2024-01-01T00:00:00+00:00",
        },
        "licenses": [{"id": 1, "url": "https://creativecommons.org/licenses/by/4.0/", "name": "CC BY 4.0"}],
        "categories": [
            {"id": 0, "name": root, "supercategory": "none"},
            {"id": 1, "name": "cat", "supercategory": root},
            {"id": 2, "name": "dog", "supercategory": root},
        ],
        "images": [
            {"id": n, "license": 1, "file_name": name, "height": HEIGHT, "width": WIDTH, "date_captured": "x"}
            | {"extra": {"name": name}}
            for n, name in enumerate(names)
        ],
        "annotations": [
            {"id": n, "image_id": n, "category_id": 1 + n % 2, "bbox": BOX, "area": 200, "segmentation": []}
            | {"iscrowd": 0}
            for n in range(len(names))
        ],
    }


def label_studio(*names):
    return {
        "images": [{**SIZE, "id": n, "file_name": name} for n, name in enumerate(names)],
        "categories": [{"id": 0, "name": "cat"}, {"id": 1, "name": "dog"}],
        "annotations": [
            {"id": n, "image_id": n, "category_id": n % 2, "segmentation": [], "bbox": BOX, "ignore": 0}
            | {"iscrowd": 0, "area": 200}
            for n in range(len(names))
        ],
        "info": {"year": 2024, "version": "1.0", "description": "", "contributor": "Label Studio", "url": ""},
    }


def texts(split):
    return [note["text"] for note in split.record["repaired"] + split.record["left_out"]]


def test_cvat_writes_iscrowd_1_for_every_mask_that_is_no_polygon(export):
    painted = {"segmentation": encoded(), "iscrowd": 1}
    drawn = {"segmentation": [POLYGON], "iscrowd": 0}
    places = ["images/default/a.jpg", "images/default/sub/b.jpg"]
    for objects in ((painted, painted), (painted, drawn)):
        paths = export({"annotations/instances_default.json": cvat(*objects)}, places)
        found = detection.of_files(paths, [], None)
        assert found.refused == [] and found.task == "instances"
        used = found.splits[0].record["used"]
        assert (used["images"], used["objects"], used["crowds"]) == (2, 2, 0)
        assert "have iscrowd 1, as CVAT and Datumaro give it" in texts(found.splits[0])[0]
    crowds = cvat({**drawn, "iscrowd": 1}, painted)  # of somebody who knows what a crowd is
    found = detection.of_files(export({"a.json": crowds}, ["a.jpg", "sub/b.jpg"]), [], None)
    assert "all are crowds" in found.refused[0]


def test_datumaro_writes_iscrowd_1_for_every_mask_too(export):
    content = cvat({"segmentation": encoded(), "iscrowd": 1}, {"segmentation": [POLYGON], "iscrowd": 0})
    for entry in content["annotations"]:
        entry["attributes"] = {}  # of masks that it has converted
    (split,) = detection.of_files(export({"a.json": content}, ["a.jpg", "sub/b.jpg"]), [], None).splits
    assert split.record["used"]["objects"] == 2


@pytest.mark.parametrize(
    "rotation, box", [(0.0, BOX), (360, BOX), (90.0, [15, 0, 10, 20]), ("270", [15, 0, 10, 20])]
)
def test_cvat_turns_boxes_by_an_attribute(export, rotation, box):
    content = cvat(*[{"segmentation": [], "iscrowd": 0}] * 2)
    content["annotations"][1]["attributes"] = {"occluded": False, "rotation": rotation}
    (path,) = export({"a.json": content}, ["a.jpg", "sub/b.jpg"])
    file = annotations.read(path, "x", "COCO", False)
    assert file.content["annotations"][0]["bbox"] == BOX
    assert file.content["annotations"][1]["bbox"] == pytest.approx(box)
    assert len(file.notes) == (box != BOX)
    content["annotations"][1].update(segmentation=[POLYGON])  # which is turned already
    (path,) = export({"a.json": content}, [])
    assert annotations.read(path, "x", "COCO", True).content["annotations"][1]["bbox"] == BOX


def test_keypoints_of_cvat(export):
    content = cvat({"keypoints": [12, 7, 2, 20, 9, 2, 0, 0, 0], "num_keypoints": 2, "iscrowd": 0})
    content["categories"] = [
        {"id": 3, "name": "car", "supercategory": "", "keypoints": [], "skeleton": []},
        {"id": 1, "name": "cat", "supercategory": "", "keypoints": JOINTS, "skeleton": [[1, 2], [1, 3]]},
    ]
    content["annotations"][0]["segmentation"] = []
    found = detection.of_files(export({"person_keypoints.json": content}, ["a.jpg", "sub/b.jpg"]), [], None)
    assert found.refused == [] and found.task == "keypoints" and "num_joints=3" in found.needed


def test_roboflow_has_a_folder_for_each_split_and_a_class_that_groups_the_others(export):
    names = [f"{n}_jpg.rf.{n}d1f.jpg" for n in range(4)]
    files = {
        "train/_annotations.coco.json": roboflow(*names[:2]),
        "valid/_annotations.coco.json": roboflow(*names[2:]),
    }
    pictures = [f"train/{name}" for name in names[:2]] + [f"valid/{name}" for name in names[2:]]
    found = detection.of_files(export(files, pictures), [], None)
    assert found.refused == [] and found.task == "detection" and found.needed == ["num_classes=3"]
    assert [split.record["used"]["objects"] for split in found.splits] == [2, 2]
    assert all("all are renumbered" in texts(split)[0] for split in found.splits)  # one has the id 0


def test_a_group_of_roboflow_that_has_the_name_of_a_class_is_no_class(export, tmp_path):
    files = {"train/_annotations.coco.json": roboflow("1.jpg", root="cat")}
    paths = export(files, ["train/1.jpg"])
    found = detection.of_files(paths, [], None)
    assert found.refused == [] and found.needed == ["num_classes=2"]
    assert "1 of 3 categories group others, one of which has its name, and are left out (id 0)" in texts(
        found.splits[0]
    )
    named = annotations.read_classes(paths[0], "TestDataset.anno_path", "COCO")
    assert annotations.names(named.content) == ["cat", "dog"]
    files["train/_annotations.coco.json"]["annotations"][0]["category_id"] = 0
    (refused,) = detection.of_files(export(files, []), [], None).refused
    assert "2 of 3 categories share their name with another one, such as cat" in refused


@pytest.mark.parametrize(
    "name, place",
    [
        ("images\\{}", "images/{}"),
        ("images\\1/{}", "images/{}"),
        ("..\\..\\label-studio\\label-studio\\media\\upload\\4\\{}", "images/{}"),
        ("/data/upload/4/{}", "images/{}"),
        ("/data/local-files/?d={}", "images/{}"),
        ("/data/local-files/?d=my%20cats/{}", "images/my cats/{}"),
        ("https://host/data/upload/4/{}", "images/{}"),
        ("C:\\Users\\me\\Desktop\\cats\\{}", "cats/{}"),
        ("/home/me/cats/{}", "{}"),
    ],
)
def test_folders_of_the_machine_that_a_file_was_written_on(export, name, place):
    names = ["ab12cd34-1.jpg", "ef56ab78-2.jpg"]
    content = label_studio(*map(name.format, names))
    found = detection.of_files(export({"result.json": content}, map(place.format, names)), [], None)
    assert found.refused == []
    assert found.splits[0].record["used"]["images"] == 2 and found.needed == ["num_classes=2"]


def test_pictures_of_one_name_in_two_folders_that_are_not_there_are_not_guessed(export):
    content = label_studio("one/1.jpg", "two/1.jpg", "two/2.jpg")
    (split,) = detection.of_files(export({"result.json": content}, ["1.jpg", "2.jpg"]), [], None).splits
    assert split.record["used"]["images"] == 1
    assert any("1 of 3 images name a folder in their file_name that is not" in text for text in texts(split))
    assert any("2 of 3 images have no picture file" in text for text in texts(split))


def test_via_has_flat_polygons_and_ids_as_texts(export):
    content = cvat({"segmentation": POLYGON, "iscrowd": 0}, {"segmentation": POLYGON, "iscrowd": 0})
    for entry in content["annotations"]:
        del entry["attributes"]
        entry["image_id"] = str(entry["image_id"])
    found = detection.of_files(export({"via_export_coco.json": content}, ["a.jpg", "sub/b.jpg"]), [], None)
    assert found.refused == [] and found.task == "instances"
    assert "have one polygon without a list around it" in texts(found.splits[0])[0]


def test_coco_annotator_has_fields_of_its_own(export):
    content = cvat(*[{"segmentation": [POLYGON], "iscrowd": False}] * 2)
    for category in content["categories"]:
        category.update(color="#fff", metadata={}, keypoint_colors=[])
    for image in content["images"]:
        image.update(path=f"/datasets/x/{image['file_name']}", category_ids=[], deleted=False, milliseconds=0)
    for entry in content["annotations"]:
        del entry["attributes"]
        entry.update(isbbox=False, color="#fff", metadata={}, creator="me", **SIZE)
    content["annotations"].append({**content["annotations"][0], "id": 9, "segmentation": [], "bbox": [0] * 4})
    found = detection.of_files(export({"x.json": content}, ["a.jpg", "sub/b.jpg"]), [], None)
    assert found.refused == [] and found.splits[0].record["used"]["objects"] == 2
    assert any("whose width or height is not above 0" in text for text in texts(found.splits[0]))


def test_labelme2coco_has_paths_and_classes_from_0_on(export):
    content = label_studio("JPEGImages/1.jpg", "JPEGImages/2.jpg")
    content["categories"] = [
        {"supercategory": None, "id": n, "name": name}
        for n, name in enumerate(("_background_", "cat", "dog"))
    ]
    for entry in content["annotations"]:
        entry.update(segmentation=[POLYGON], category_id=1 + entry["category_id"], bbox=tuple(BOX))
    pictures = ["JPEGImages/1.jpg", "JPEGImages/2.jpg"]
    found = detection.of_files(export({"annotations.json": content}, pictures), [], None)
    assert found.refused == [] and found.task == "instances" and found.needed == ["num_classes=3"]


def test_classes_of_other_files_are_compared_with_those_of_training(export):
    other = cvat(*[{"segmentation": [POLYGON], "iscrowd": 0}] * 2)
    other["categories"][1]["name"] = "bird"
    first = cvat({"segmentation": [POLYGON], "iscrowd": 0}, {"segmentation": [POLYGON], "iscrowd": 0})
    paths = export({"train.json": first, "val.json": other}, ["a.jpg", "sub/b.jpg"])
    with pytest.raises(UserError, match="class 2 is bird here, dog there"):
        raise UserError(*detection.of_files(paths, [], None).refused)
