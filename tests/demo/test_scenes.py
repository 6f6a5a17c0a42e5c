"""The composed scenes: reproducible, as many as asked for, and annotations that agree with each other."""

import hashlib
import json
import sys
from pathlib import Path

import numpy as np
import pytest
import skimage
from commands import run
from PIL import Image
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from demo import parts

TRAIN, VAL, EXTRA = 12, 4, 1  # the extra held-out picture is for LVIS
SPLITS = {"train": TRAIN, "val": VAL}


def prepare(folder, *options, check=True):
    return run(sys.executable, "tools/prepare_scenes.py", "--output", folder, *options, check=check)


@pytest.fixture(scope="session")
def scenes(tmp_path_factory):
    """Folder of a few scenes."""
    folder = tmp_path_factory.mktemp("scenes") / "scenes"
    prepare(folder, "--train", TRAIN, "--val", VAL)
    return folder


def contents(folder):
    """Digest of each file under a folder."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).digest() for path in files}


def annotations(scenes, name):
    return json.loads((scenes / f"coco/annotations/{name}.json").read_text())


def class_map(scenes, split, number):
    """ADE20K's labels [H, W] of picture `number`, from 1, of a split."""
    folder, short = {"train": ("training", "train"), "val": ("validation", "val")}[split]
    path = scenes / f"ADEChallengeData2016/annotations/{folder}/ADE_{short}_{number:08d}.png"
    return np.asarray(Image.open(path))


def things(coco, number):
    """Annotations of a picture, each with its mask [H, W]."""
    return [(thing, coco.annToMask(thing) > 0) for thing in coco.imgToAnns[number]]


@pytest.mark.slow
def test_same_bytes_and_nothing_left_behind(scenes, tmp_path):
    folder = tmp_path / "again"
    prepare(folder, "--train", 2, "--val", 1)
    prepare(folder, "--train", TRAIN, "--val", VAL)
    assert contents(folder) == contents(scenes)
    assert list(tmp_path.iterdir()) == [folder]


def test_a_scene_does_not_depend_on_their_number(scenes, tmp_path):
    prepare(tmp_path / "few", "--train", 2, "--val", 1)
    pictures = {path: digest for path, digest in contents(tmp_path / "few").items() if "Info" not in path}
    everything = contents(scenes)
    assert all(everything[path] == digest for path, digest in pictures.items() if ".json" not in path)


@pytest.mark.parametrize("name", ["mine.txt", "coco/annotations/instances_train2017.json"])
def test_other_files_are_not_replaced(tmp_path, name):
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).write_text("mine")
    assert "is not replaced" in prepare(tmp_path, "--train", 2, "--val", 1, check=False)
    assert [path.name for path in tmp_path.iterdir()] == [name.split("/")[0]] and (tmp_path / name).exists()


@pytest.mark.parametrize("split", SPLITS)
def test_counts(scenes, split):
    for name in (f"instances_{split}2017", f"person_keypoints_{split}2017"):
        records = annotations(scenes, name)["images"]
        assert len(records) == SPLITS[split]
        for record in records:
            with Image.open(scenes / f"coco/{split}2017" / record["file_name"]) as picture:
                assert picture.size == (record["width"], record["height"])
    folder = {"train": "training", "val": "validation"}[split]
    for kind, suffix in (("images", "jpg"), ("annotations", "png")):
        files = list((scenes / f"ADEChallengeData2016/{kind}/{folder}").glob(f"*.{suffix}"))
        assert len(files) == SPLITS[split]


@pytest.mark.parametrize("split", SPLITS)
def test_polygons_boxes_and_class_maps_agree(scenes, split):
    coco = COCO(scenes / f"coco/annotations/instances_{split}2017.json")
    digit = (scenes / "ADEChallengeData2016/objectInfo.txt").read_text().splitlines()[-2].split("\t")
    assert digit[-1] == "digit"
    for number, image in enumerate(sorted(coco.imgs), 1):
        labels = class_map(scenes, split, number)
        drawn = np.zeros(labels.shape, int)
        for thing, mask in things(coco, image):
            assert thing["area"] == mask.sum()  # holes included: pycocotools draws the very mask
            assert thing["bbox"] == coco_mask.toBbox(coco.annToRLE(thing)).tolist()
            assert min(map(len, thing["segmentation"])) >= 6
            assert not drawn[mask].any()
            drawn[mask] = int(digit[0]) + (coco.cats[thing["category_id"]]["name"] == "person")
        assert (drawn == np.where(labels >= int(digit[0]), labels, 0)).all()
        assert len(set(np.unique(labels)) - {0}) >= 2


@pytest.mark.parametrize("split", SPLITS)
def test_keypoints(scenes, split):
    coco = COCO(scenes / f"coco/annotations/person_keypoints_{split}2017.json")
    instances = COCO(scenes / f"coco/annotations/instances_{split}2017.json")
    persons = [thing for thing in instances.anns.values() if thing["category_id"] == 12]
    assert len(persons) == len(coco.anns) > 0
    for thing in coco.anns.values():
        mask = coco.annToMask(thing)
        x, y, flags = np.reshape(thing["keypoints"], (17, 3)).T
        assert (mask[y, x] == (flags == 2)).all() and set(flags) <= {1, 2}  # indexing: inside the picture
        left, top, width, height = thing["bbox"]
        inside = (x >= left) & (x < left + width) & (y >= top) & (y < top + height)
        assert inside[flags == 2].all()
        assert thing["num_keypoints"] == 17
        # Left is where it is on a person who faces the viewer.
        assert x[5] > x[6] and x[1] >= x[2] and x[3] > x[4]


def test_detections_are_near_the_figures(scenes):
    coco = COCO(scenes / "coco/annotations/person_keypoints_val2017.json")
    boxes = annotations(scenes, "person_detection_results_val2017")
    assert coco.loadRes(boxes).anns
    for thing in coco.anns.values():
        near = [box["bbox"] for box in boxes if box["image_id"] == thing["image_id"]]
        assert coco_mask.iou(near, [thing["bbox"]], [0]).max() > 0.7


def test_lvis(scenes):
    train, val = (annotations(scenes, f"lvis_v1_{split}") for split in SPLITS)
    assert len(train["images"]) == TRAIN and len(val["images"]) == VAL + EXTRA
    folders = {image["coco_url"].split("/")[-2] for image in val["images"]}
    assert folders == {"train2017", "val2017"}
    for image in [*train["images"], *val["images"]]:
        path = scenes.joinpath("coco", *image["coco_url"].split("/")[-2:])
        with Image.open(path) as picture:
            assert picture.size == (image["width"], image["height"])
    assert train["categories"] == val["categories"]
    for category in train["categories"]:
        images = [t["image_id"] for t in train["annotations"] if t["category_id"] == category["id"]]
        assert (category["image_count"], category["instance_count"]) == (len(set(images)), len(images))
    for content in (train, val):
        for image in content["images"]:
            present = {t["category_id"] for t in content["annotations"] if t["image_id"] == image["id"]}
            assert not present & set(image["neg_category_ids"])
            assert set(image["not_exhaustive_category_ids"]) <= present


def test_training_and_held_out_share_nothing(scenes):
    images = [
        {image["id"] for image in annotations(scenes, f"lvis_v1_{split}")["images"]} for split in SPLITS
    ]
    assert not images[0] & images[1]
    files = [digest for path, digest in contents(scenes / "coco").items() if path.endswith(".jpg")]
    assert len(set(files)) == len(files) == TRAIN + VAL + EXTRA
    digits = [
        {image.tobytes() for images in parts.load_digit_images(held_out) for image in images}
        for held_out in (False, True)
    ]
    assert not digits[0] & digits[1] and min(map(len, digits)) > 300
    train, held_out = (parts.load_photographs(held_out) for held_out in (False, True))
    for name, files in parts.STUFF.items():
        for file, left, right in zip(files, train[name], held_out[name]):
            whole = Image.open(Path(skimage.__file__).parent / "data" / file).convert("RGB")
            assert (np.hstack([left, right]) == whole).all()
