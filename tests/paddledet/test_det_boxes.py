"""Boxes of any detector, in which keypoints are found: which are kept is looked up, and said."""

import json
import logging
import re

import pytest
from det_tools import DETECTOR, KEYPOINTS, command_line, module, tool

from ppcls_mixformer.hosting.errors import UserError
from ppcls_mixformer.paddledet import boxes

PERSON_BOXES = "annotations/person_detection_results_val2017.json"
PERSONS = "annotations/person_keypoints_val2017.json"


@pytest.fixture
def said(caplog):
    caplog.set_level(logging.INFO, "ppcls_mixformer")
    return lambda: [record.getMessage() for record in caplog.records]


@pytest.fixture
def drawn(tmp_path):
    """The boxes in which keypoints are drawn into a few pictures."""

    def drawn(entries, images=(), config=None, threshold=0.5):
        path = tmp_path / "boxes.json"
        path.write_text(json.dumps(entries))
        (tmp_path / "a.json").write_text(json.dumps({"images": list(images)}))
        config = {"EvalDataset": {"dataset_dir": str(tmp_path), "anno_path": "a.json"}, **(config or {})}
        pictures = ["x/000000000139.jpg", "x/7.png", "x/boat.jpg"]
        return boxes.for_drawing(str(path), pictures, None, config, threshold)

    return drawn


def entry(**values):
    """A box as a detector writes it, with other values; a value of None takes a field away."""
    values = {"image_id": 139, "category_id": 1, "bbox": [1, 2, 3, 4], "score": 0.9, **values}
    return {name: value for name, value in values.items() if value is not None}


@pytest.mark.parametrize(
    "values, picture",
    [
        ({}, "x/000000000139.jpg"),
        ({"image_id": 7}, "x/7.png"),
        ({"image_id": "000000000139"}, "x/000000000139.jpg"),
        ({"image_id": "boat"}, "x/boat.jpg"),
        ({"image_id": "boat.jpg"}, "x/boat.jpg"),
        ({"image_id": 0, "filename": "boat.jpg"}, "x/boat.jpg"),
        ({"image_id": None, "file_name": "some/folder/7.png"}, "x/7.png"),
        ({"image_id": None, "filename": "C:\\folder\\7.jpg"}, "x/7.png"),
        ({"image_id": 3}, "x/boat.jpg"),  # as the annotations have it
        ({"category_id": None}, "x/000000000139.jpg"),
        ({"category_id": "1", "score": "0.9", "bbox": ["1", 2, 3, 4]}, "x/000000000139.jpg"),
    ],
)
def test_pictures_are_found_by_name_and_by_id(drawn, said, values, picture):
    images = [{"id": 3, "file_name": "C:\\folder\\boat.jpg"}, {"id": 5, "file_name": "other.jpg"}]
    assert drawn([entry(**values)], images) == {picture: [(1, 2, 3, 4, 0.9)]}
    assert said()[-1].endswith("boxes.json: kept 1 of 1 boxes")


def test_annotations_with_scores_are_results_whose_pictures_have_names(drawn, said):
    images = [{"id": 1, "file_name": "data/boat.jpg"}, {"id": 139, "file_name": "C:\\7.png"}]
    found = drawn({"images": images, "annotations": [entry(image_id=1), entry(image_id="139")], "info": {}})
    assert found == {"x/boat.jpg": [(1, 2, 3, 4, 0.9)], "x/7.png": [(1, 2, 3, 4, 0.9)]}
    with pytest.raises(UserError, match="entry 0 has no score"):
        drawn({"images": images, "annotations": [entry(score=None)]})
    for wrong in ({"images": images}, {"images": 3, "annotations": []}, {"images": [3], "annotations": []}):
        with pytest.raises(UserError, match="is not a detector's result file"):
            drawn(wrong)


def test_what_is_left_out_is_counted(drawn, said):
    others = [{"score": 0.1}, {"category_id": 2}, {"category_id": 9}, {"image_id": 4}, {"bbox": [1, 2, 0, 4]}]
    found = drawn([entry(), *(entry(**other) for other in others)])
    assert sum(map(len, found.values())) == 1
    for words in (
        "kept 1 of 6 boxes: ",
        "1 are of a score below 0.5",
        "2 are of another class",
        "1 are in other pictures",
        "1 are not four numbers of a size above 0",
    ):
        assert words in said()[-1]


def test_nothing_found_is_no_error(drawn, said):
    assert drawn([]) == {} and said()[-1].endswith("kept 0 of 0 boxes")
    assert drawn([entry(score=0.1)]) == {} and "kept 0 of 1 boxes: 1 are of a score below" in said()[-1]


@pytest.mark.parametrize(
    "entries, config, error",
    [
        (
            [entry(category_id=12)] * 31,
            {},
            "kept 0 of 31 boxes: none has category 1, they have 12: say",
        ),
        ([entry()] * 2, {"bbox_category": 12}, "kept 0 of 2 boxes: none has category 12, they have 1"),
        ([entry(image_id=5)] * 3, {}, "kept 0 of 3 boxes: 3 are in other pictures; the file names 5 first"),
        ({"boxes": []}, {}, "is not a detector's result file, a JSON list"),
        ([[1, 2, 3, 4]], {}, "is not a detector's result file, a JSON list"),
        ([entry(), entry(score=None)], {}, "entry 1 has no score"),
        ([entry(image_id=None)], {}, "entry 0 has no image_id or filename"),
        ([entry(score="high")], {}, "entry 0 has a score that is no number: high"),
    ],
)
def test_other_files_are_refused_in_one_line(drawn, entries, config, error):
    with pytest.raises(UserError) as refused:
        drawn(entries, config=config)
    assert error in str(refused.value) and "\n" not in str(refused.value)


@pytest.fixture
def evaluated(host, scenes, tmp_path):
    """The persons on which a data set is evaluated, in boxes that are changed."""

    def evaluated(change, *overrides):
        from ppdet.core.workspace import create

        from ppcls_mixformer.paddledet.config import settings

        entries = json.loads((scenes / PERSON_BOXES).read_text())
        for number, box in enumerate(entries):
            change(number, box)
        (tmp_path / "boxes.json").write_text(json.dumps(entries))
        overrides = [f"EvalDataset.bbox_file={tmp_path / 'boxes.json'}", f"save_dir={tmp_path}", *overrides]
        overrides += ["EvalDataset.use_gt_bbox=false"]
        settings(command_line(scenes, KEYPOINTS, *overrides, flags=["--eval"]), "train")
        dataset = create("EvalDataset")()
        dataset.parse_dataset()
        return dataset.db

    return evaluated


def by_name(number, box):
    """Has a box name its picture, as `--save_results` does, which counts pictures from 0."""
    box.update(filename=f"{box['image_id']:012d}.jpg", image_id=number)


@pytest.mark.parametrize(
    "change, overrides",
    [
        (lambda number, box: None, []),
        (by_name, []),
        (lambda number, box: box.update(image_id=str(box["image_id"])), []),
        (lambda number, box: box.update(image_id=f"{box['image_id']:012d}.jpg"), []),
        (lambda number, box: box.update(category_id=12), ["bbox_category=12"]),
    ],
)
def test_evaluation_takes_the_boxes_of_any_detector(evaluated, scenes, change, overrides):
    known = {image["id"]: image for image in json.loads((scenes / PERSONS).read_text())["images"]}
    expected = json.loads((scenes / PERSON_BOXES).read_text())
    found = evaluated(change, *overrides)
    assert sorted(p["im_id"] for p in found) == sorted(box["image_id"] for box in expected)
    for person in found:
        assert person["image_file"].endswith(f"val2017/{known[person['im_id']]['file_name']}")


@pytest.mark.parametrize(
    "change, overrides, error",
    [
        (lambda number, box: box.update(category_id=12), [], "none has category 1, they have 12"),
        (lambda number, box: box.update(image_id=number), [], "are in other pictures"),
        (
            lambda number, box: box.update(bbox=[300, 150, 310, 160]),
            [],
            "end outside of their picture: are they written as corners",
        ),
        (lambda number, box: box.update(score=0), ["EvalDataset.image_thre=0.5"], "no box is kept"),
        (
            lambda number, box: None,
            ["TrainDataset.use_gt_bbox=false"],
            "TrainDataset.use_gt_bbox: a",
        ),
    ],
)
def test_nothing_to_evaluate_is_refused(evaluated, change, overrides, error):
    with pytest.raises(UserError, match=error):
        evaluated(change, *overrides, "TrainDataset.bbox_file=" + PERSON_BOXES)


@pytest.mark.slow
def test_saved_results_are_a_file_of_boxes(scenes, trained, tmp_path):
    flags = ["--infer_dir", scenes / "val2017", "--output_dir", tmp_path, "--draw_threshold", 0]
    tool("infer", scenes, DETECTOR, f"weights={trained(DETECTOR)[0]}", flags=[*flags, "--save_results"])
    results = json.loads((tmp_path / "bbox.json").read_text())
    category = results[0]["category_id"]
    count = sum(result["category_id"] == category for result in results)
    flags += ["--bbox_file", tmp_path / "bbox.json"]
    overrides = [f"weights={trained(KEYPOINTS)[0]}", f"bbox_category={category}"]
    log = module("infer", scenes, KEYPOINTS, *overrides, flags=flags)
    assert f"bbox.json: kept {count} of {len(results)} boxes" in log
    assert sum(map(int, re.findall(r": (\d+) persons", log))) == count
