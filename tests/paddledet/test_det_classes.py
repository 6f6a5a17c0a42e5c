"""Names and order of classes: what is drawn and exported bears those of the training."""

import json
import logging

import pytest
import yaml
from det_tools import DETECTOR, LVIS, command_line, module

from ppcls_mixformer.hosting.errors import UserError
from ppcls_mixformer.paddledet import annotations

OWN = "cat", "dog", "newt"
COCO_80 = [f"thing {number}" for number in range(80)]


def content_of(names, first=5):
    """An annotation file of one picture that nobody opens, with ids of the classes from `first` on."""
    return {
        "images": [{"id": 1, "file_name": "1.png", "categories": "of no file"}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": first, "bbox": [1, 1, 2, 2]}],
        "categories": [{"id": first + place, "name": name} for place, name in enumerate(names)],
    }


def write(path, names, **options):
    path.write_text(json.dumps(content_of(names, **options)))
    return path


@pytest.fixture
def warnings(caplog):
    caplog.set_level(logging.WARNING, "ppcls_mixformer")
    return lambda: [r.getMessage() for r in caplog.records if r.name.startswith("ppcls_mixformer")]


@pytest.fixture
def named(host, files, tmp_path):
    """The names that are drawn and exported where the files have the given ones; None is for no file."""

    def named(test=None, evaluation=None, train=None, mode="export", config=DETECTOR, classes=3):
        paths = {"Test": test, "Eval": evaluation, "Train": train}
        overrides = [f"num_classes={classes}", f"weights={files}/{'three' if classes == 3 else 'b0'}"]
        for split, names in paths.items():
            path = tmp_path / f"{split}.json"
            if names:
                write(path, names, first=5 if split == "Test" else 7)
            overrides.append(f"{split}Dataset.anno_path={path}")
        return names_with(command_line(tmp_path, config, *overrides), mode)

    return named


def names_with(arguments, mode="export"):
    """Names by category id as pictures are drawn with them, and the list in an export, in their order."""
    from ppdet.core.workspace import create
    from ppdet.engine import export_utils, trainer
    from ppdet.metrics import metrics

    from ppcls_mixformer.paddledet.config import settings

    config = settings(arguments, mode).config
    dataset = create("TestDataset")()
    ids, names = trainer.get_categories(config.metric, anno_file=dataset.get_anno())
    assert metrics.get_categories("COCO", dataset.get_anno()) == (ids, names)
    shape = [3, -1, -1]
    labels = export_utils._parse_reader(config["TestReader"], dataset, config.metric, "RCNN", shape)[1]
    assert labels == [names[ids[place]] for place in range(len(ids))]
    return names, labels


def test_names_are_those_of_the_test_data_with_their_ids(named, warnings):
    assert named(OWN, OWN, OWN) == ({5: "cat", 6: "dog", 7: "newt"}, list(OWN))
    assert not warnings()


@pytest.mark.parametrize("config", [DETECTOR, LVIS])
@pytest.mark.parametrize("splits", [(None, OWN, None), (None, OWN, OWN), (None, None, OWN)])
def test_without_test_data_they_are_those_of_evaluation_or_training(named, warnings, config, splits):
    assert named(*splits, config=config) == ({7: "cat", 8: "dog", 9: "newt"}, list(OWN))
    (warning,) = warnings()
    assert warning.endswith("(EvalDataset.anno_path)" if splits[1] else "(TrainDataset.anno_path)")


def test_a_file_of_other_classes_that_was_left_in_the_config_is_left_aside(named, warnings):
    assert named(COCO_80, None, OWN)[1] == list(OWN)
    assert "has 80 classes, num_classes is 3: it is left aside" in warnings()[0]


def test_the_order_is_that_of_training(named, warnings):
    assert named(OWN[::-1], OWN[::-1], OWN) == ({7: "cat", 6: "dog", 5: "newt"}, list(OWN))
    assert "another order" in warnings()[0]


def test_other_names_than_those_of_training_are_refused(named):
    with pytest.raises(UserError, match="TestDataset.anno_path: .*class 3 is fox here, newt there"):
        named(["cat", "dog", "fox"], None, OWN)


@pytest.mark.parametrize("mode", ["infer", "export"])
@pytest.mark.parametrize("test, said", [(None, "is there"), (COCO_80, "has the 3 classes of num_classes")])
def test_without_names_nothing_is_drawn_or_exported(named, test, said, mode, monkeypatch, tmp_path):
    from ppcls_mixformer.paddledet import preflight

    monkeypatch.setattr(preflight, "find_pictures", lambda flags: [])
    with pytest.raises(UserError, match=f"^TestDataset.anno_path: neither .*TrainDataset's {said}.*, so"):
        named(test, mode=mode)


def test_the_names_of_coco_are_known(named, warnings):
    assert named(classes=80)[1][0] == "person"
    (warning,) = warnings()
    assert warning.endswith("the names are COCO's 80")


@pytest.mark.parametrize("encoding", ["utf-8-sig", "gb18030"])
def test_a_text_file_names_classes_as_well(host, files, tmp_path, encoding):
    path = tmp_path / "names.txt"
    path.write_text("background\n狐狸与狗\ndog\n\nnewt\n\n", encoding=encoding)
    overrides = ["num_classes=3", f"weights={files}/three", f"TestDataset.anno_path={path}"]
    names, labels = names_with(command_line(tmp_path, DETECTOR, *overrides))
    assert labels == ["狐狸与狗", "dog", "newt"] and list(names) == [0, 1, 2]


@pytest.mark.parametrize("indent", [None, 1])
def test_classes_are_found_without_reading_the_rest(tmp_path, indent):
    content = {**content_of(OWN), "annotations": "…"}
    path = tmp_path / "a.json"
    path.write_text(json.dumps(content, indent=indent)[:-1] + ", and so on")  # no JSON any longer
    content["images"][0].pop("categories")
    with pytest.raises(UserError, match="is not JSON"):  # two such keys: the whole file is read
        annotations.read_classes(str(path), "x", "COCO")
    path.write_text(json.dumps(content, indent=indent)[:-1] + ", and so on")
    assert annotations.names(annotations.read_classes(str(path), "x", "COCO").content) == list(OWN)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"categories": []}', '{"categories": [{"id": 1}]}', "\0"])
def test_a_file_without_classes_is_refused(tmp_path, text):
    path = tmp_path / "a.json"
    path.write_text(text)
    with pytest.raises(UserError, match=r"^x: .*a\.json "):
        annotations.read_classes(str(path), "x", "COCO")


def test_ids_are_repaired_as_for_training(tmp_path):
    path = tmp_path / "a.json"
    path.write_text(json.dumps({"categories": [{"id": "a", "name": "cat"}, {"id": "b", "name": "dog"}]}))
    file = annotations.read_classes(str(path), "x", "COCO")
    assert [category["id"] for category in file.content["categories"]] == [1, 2]


@pytest.mark.parametrize("config, kind", [(DETECTOR, "instances_{}2017"), (LVIS, "lvis_v1_{}")])
def test_a_lone_evaluation_takes_the_order_of_training(host, scenes, files, tmp_path, warnings, config, kind):
    from ppdet.core.workspace import create

    from ppcls_mixformer.paddledet.config import settings

    train, val = (
        json.loads((scenes / f"annotations/{kind.format(s)}.json").read_text()) for s in ("train", "val")
    )
    highest = max(category["id"] for category in val["categories"])
    for entry in val["categories"]:
        entry["id"] = highest + 1 - entry["id"]
    for entry in val["annotations"]:
        entry["category_id"] = highest + 1 - entry["category_id"]
    val["categories"].sort(key=lambda category: category["id"])
    (tmp_path / "val.json").write_text(json.dumps(val))
    overrides = [f"weights={files}/b0", f"EvalDataset.anno_path={tmp_path}/val.json"]
    settings(command_line(scenes, config, *overrides), "eval")
    assert any("another order" in warning for warning in warnings())
    dataset = create("EvalDataset")()
    dataset.parse_dataset()
    names = {category["id"]: category["name"] for category in val["categories"]}
    found = {place: names[number] for number, place in dataset.catid2clsid.items()}
    assert [found[place] for place in range(len(found))] == annotations.names(train)

    val["categories"][2]["name"] = "fox"
    (tmp_path / "val.json").write_text(json.dumps(val))
    with pytest.raises(UserError, match="^EvalDataset.anno_path: .*has other classes than"):
        settings(command_line(scenes, config, *overrides), "eval")
    left = f"TrainDataset.anno_path={write(tmp_path / 'three.json', OWN)}"
    settings(command_line(scenes, config, *overrides, left), "eval")
    assert any("has 3 classes, num_classes is 11: it is left aside" in warning for warning in warnings())


@pytest.mark.parametrize("config, kind", [(DETECTOR, "instances_{}2017"), (LVIS, "lvis_v1_{}")])
def test_evaluation_may_lack_classes_but_have_no_others(
    host, scenes, files, tmp_path, warnings, config, kind
):
    from ppdet.core.workspace import create

    from ppcls_mixformer.paddledet.config import settings

    train, val = (
        json.loads((scenes / f"annotations/{kind.format(s)}.json").read_text()) for s in ("train", "val")
    )
    first = val["categories"].pop(0)
    val["annotations"] = [a for a in val["annotations"] if a["category_id"] != first["id"]]
    (tmp_path / "val.json").write_text(json.dumps(val))
    overrides = [f"weights={files}/b0", f"EvalDataset.anno_path={tmp_path}/val.json"]
    settings(command_line(scenes, config, *overrides), "eval")
    assert any("1 of the 11 classes of " in warning for warning in warnings())
    dataset = create("EvalDataset")()
    dataset.parse_dataset()
    known = {category["id"]: category["name"] for category in val["categories"]}
    places = {known.get(number, first["name"]): place for number, place in dataset.catid2clsid.items()}
    assert places == {name: place for place, name in enumerate(annotations.names(train))}

    val["categories"] += [{**first, "id": 90, "name": name} for name in (first["name"], "fox")]
    val["categories"][-1]["id"] = 91
    (tmp_path / "val.json").write_text(json.dumps(val))
    settings(command_line(scenes, config, *overrides), "eval")
    assert any("1 of 12 categories have no object, and are no classes of " in text for text in warnings())
    val["annotations"][0]["category_id"] = 91
    (tmp_path / "val.json").write_text(json.dumps(val))
    with pytest.raises(UserError, match="^EvalDataset.anno_path: .*has other classes than .*class 1 is one "):
        settings(command_line(scenes, config, *overrides), "eval")


@pytest.mark.slow
def test_drawings_and_exports_bear_own_names(scenes, files, tmp_path):
    for split in ("train", "val"):
        path = scenes / f"annotations/instances_{split}2017.json"
        text = path.read_text().replace('"zero"', '"null 零"')
        (tmp_path / f"{split}.json").write_text(text)
    overrides = [f"weights={files}/b0", "TestDataset.anno_path=none.json"]
    overrides += [
        f"{k}Dataset.anno_path={tmp_path}/{n}.json" for k, n in (("Train", "train"), ("Eval", "val"))
    ]
    module("export", scenes, DETECTOR, *overrides, flags=["--output_dir", tmp_path])
    exported = yaml.safe_load((tmp_path / DETECTOR / "infer_cfg.yml").read_text())
    content = json.loads((tmp_path / "train.json").read_text())
    assert exported["label_list"] == annotations.names(content) and "null 零" in exported["label_list"]
    picture = next((scenes / "val2017").glob("*.jpg"))
    flags = ["--infer_img", picture, "--output_dir", tmp_path, "--save_results", "--draw_threshold", 0]
    module("infer", scenes, DETECTOR, *overrides, flags=flags)
    known = {category["id"] for category in content["categories"]}
    found = json.loads((tmp_path / "bbox.json").read_text())
    assert found and {box["category_id"] for box in found} <= known and (tmp_path / picture.name).is_file()
