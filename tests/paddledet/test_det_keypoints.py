"""Keypoints of any joints: what they are comes from the annotations, and reaches all that depends on them."""

import json
import logging
import re

import numpy as np
import paddle
import pytest
import yaml
from commands import error_line
from det_tools import KEYPOINTS, command_line, module, tool, train

from ppcls_mixformer import MixFormer_B0
from ppcls_mixformer.hosting.errors import UserError
from ppcls_mixformer.paddledet import joints

FIVE = ["head", "left_hand", "right_hand", "left_foot", "right_foot"]
PLACES = (0, 9, 10, 15, 16)  # of the five among COCO's
ALONE = ["num_joints=5", "oks_sigmas=0.08"]
CATEGORY = {"id": 7, "name": "figure", "keypoints": FIVE, "skeleton": [[1, 2], [1, 3], [1, 4], [1, 5]]}


def path_of(split):
    return f"annotations/five_{split}2017.json"


@pytest.fixture(scope="module")
def five(scenes, tmp_path_factory):
    """The scenes, whose figures have five joints and are of class 7."""
    folder = tmp_path_factory.mktemp("five")
    for split in ("train", "val"):
        content = json.loads((scenes / f"annotations/person_keypoints_{split}2017.json").read_text())
        content["categories"] = [dict(CATEGORY)]
        for person in content["annotations"]:
            points = np.reshape(person["keypoints"], [17, 3])[list(PLACES)]
            person.update(category_id=7, keypoints=points.ravel().tolist(), num_keypoints=5)
        (folder / "annotations").mkdir(exist_ok=True)
        (folder / path_of(split)).write_text(json.dumps(content))
        (folder / f"{split}2017").symlink_to(scenes / f"{split}2017")
    return folder


def overrides_of(*others):
    files = [f"TrainDataset.anno_path={path_of('train')}", f"EvalDataset.anno_path={path_of('val')}"]
    return [*files, *ALONE, *others]


@pytest.fixture
def settle(host, five, tmp_path):
    """The config of a training with evaluation, after a change to the category in both files."""

    def settle(*overrides, change=None, split=("train", "val"), mode="train"):
        from ppcls_mixformer.paddledet.config import settings

        folder = tmp_path / "data"
        if not folder.exists():
            folder.mkdir()
            (folder / "annotations").mkdir()
            for name in ("train", "val"):
                (folder / f"{name}2017").symlink_to(five / f"{name}2017")
                content = json.loads((five / path_of(name)).read_text())
                if change and name in split:
                    change(content)
                (folder / path_of(name)).write_text(json.dumps(content))
        flags = ["--eval"] if mode == "train" else []
        overrides = overrides_of(f"save_dir={tmp_path}", *overrides)
        return settings(command_line(folder, KEYPOINTS, *overrides, flags=flags), mode).config

    return settle


def category(**values):
    """A change of an annotation file: of its category."""
    return lambda content: content["categories"][0].update(values)


def person(**values):
    """A change of an annotation file: of its first person."""
    return lambda content: content["annotations"][0].update(values)


@pytest.mark.parametrize(
    "names, pairs, alone",
    [
        (joints.COCO_NAMES, joints.COCO_PAIRS, []),
        (["leftEye", "RightEye", "tip"], [[0, 1]], []),
        (["eye_r", "tip", "eye_l"], [[0, 2]], []),
        (["L1", "R1", "L2", "R2"], [[0, 1], [2, 3]], []),
        (["Left hand", "Right hand", "left-foot"], [[0, 1]], ["left-foot"]),
        (["top left corner", "top right corner", "bottom"], [[0, 1]], []),
        (["RShoulder", "LShoulder", "REye", "LEye", "Neck"], [[0, 1], [2, 3]], []),
        (["lefteye", "righteye", "LEFT_HIP", "RIGHT_HIP"], [[0, 1], [2, 3]], []),
        (["左眼", "右眼", "鼻"], [[0, 1]], []),
        (["leftover", "rim", "lip"], [], ["leftover"]),
    ],
)
def test_names_say_which_joints_change_places_in_a_mirror(names, pairs, alone):
    assert joints.find_pairs(names) == (pairs, alone)


def test_all_parts_of_a_config_know_the_joints(settle):
    config = settle()
    pairs = [[1, 2], [3, 4]]
    assert config["TopDownHRNet"]["num_joints"] == 5 and config["TopDownHRNet"]["flip_perm"] == pairs
    assert config["TrainDataset"]["num_joints"] == config["EvalDataset"]["num_joints"] == 5
    (augmentation,) = (t for t in config["TrainReader"]["sample_transforms"] if "RandomFlip" in str(t))
    (arguments,) = augmentation.values()
    assert arguments["flip_pairs"] == pairs and arguments["prob_half_body"] == 0
    assert config["joints"] == joints.Joints(FIVE, pairs, [[0, 1], [0, 2], [0, 3], [0, 4]])
    assert config["oks_sigmas"] == [0.08] * 5


@pytest.mark.parametrize(
    "change, overrides, pairs, sigmas",
    [
        (None, ["flip_perm=[[1,2]]"], [[1, 2]], [0.08] * 5),
        (category(keypoints=None), ["flip_perm=[[3,4]]"], [[3, 4]], [0.08] * 5),
        (category(keypoints=None), ["flip_perm=[]"], [], [0.08] * 5),
        (None, ["oks_sigmas=[1,2,3,4,5]"], [[1, 2], [3, 4]], [1, 2, 3, 4, 5]),
        (category(sigmas=[0.1] * 5), ["oks_sigmas=null"], [[1, 2], [3, 4]], [0.1] * 5),
        (
            category(keypoints=["nose", "left_eye", "right_eye", "left_hip", "right_hip"]),
            ["oks_sigmas=null"],
            [[1, 2], [3, 4]],
            [0.026, 0.025, 0.025, 0.107, 0.107],
        ),
    ],
)
def test_what_the_category_lacks_comes_from_the_config(settle, change, overrides, pairs, sigmas):
    config = settle(*overrides, change=change)
    assert (config["joints"].pairs, config["oks_sigmas"]) == (pairs, sigmas)


@pytest.mark.parametrize(
    "change, overrides, error",
    [
        (None, ["num_joints=17"], "has 5 joints, num_joints is 17: set -o num_joints=5"),
        (None, ["oks_sigmas=null"], "head is none of COCO's 17, whose are known: set oks_sigmas=0.05"),
        (None, ["oks_sigmas=[1,2]"], "oks_sigmas: [1, 2] is neither a number above 0 nor a list of 5"),
        (None, ["oks_sigmas=0"], "oks_sigmas: 0 is neither a number above 0"),
        (None, ["flip_perm=[[1,9]]"], "flip_perm: [[1, 9]] is no list of pairs of joints"),
        (None, ["flip_perm=[[1,2],[2,3]]"], "from 0 to 4, each in one pair at most"),
        (None, ["flip_perm=3"], "flip_perm: 3 is no list of pairs of joints"),
        (category(sigmas=["a"]), ["oks_sigmas=null"], "sigmas: ['a'] is neither a number above 0 nor"),
        (category(keypoints=None), [], "has no names of the 5 keypoints in its class figure"),
        (
            category(keypoints=["a"] * 5),
            [],
            "class figure whose `keypoints` are no list of different",
        ),
        (category(keypoints="abcde"), [], "whose `keypoints` are no list of different names"),
        (person(keypoints=[1, 2, 2]), [], "(id "),
        (
            lambda c: (category(keypoints=None)(c), person(keypoints=5)(c)),
            ["flip_perm=[]"],
            "have keypoints other than 15 numbers",
        ),
        (person(keypoints=5), [], "have keypoints other than 15 numbers, x, y and a flag"),
        (person(keypoints=[1, 2, -1] * 5), [], "have keypoints other than 15 numbers, x, y and a flag"),
        (person(keypoints=["a", 2, 1] * 5), [], "have keypoints other than 15 numbers, x, y and a flag"),
        (lambda c: [a.update(keypoints=[0.1, 0.2, 2] * 5) for a in c["annotations"]], [], "not in shares"),
        (
            lambda c: [a.update(keypoints=[9000, 2, 2] * 3 + [1, 2, 2] * 2) for a in c["annotations"]],
            [],
            "labelled keypoints are outside of their pictures: are these of another size?",
        ),
        (lambda c: [a.update(keypoints=[0] * 15) for a in c["annotations"]], [], "no person with a labelled"),
        (
            lambda c: c["categories"].append({"id": 8, "name": "dog", "keypoints": ["a", "b"]}),
            [],
            "has 2 classes, this network learns the keypoints of one: leave one of these classes",
        ),
    ],
)
def test_what_is_not_known_or_not_so_is_said_in_one_line(settle, change, overrides, error):
    with pytest.raises(UserError) as refused:
        settle(*overrides, change=change)
    assert error in str(refused.value) and "\n" not in str(refused.value)


def test_files_of_other_joints_are_not_taken_together(settle):
    with pytest.raises(UserError, match="has other joints than .*five_train2017.json"):
        settle(change=category(keypoints=FIVE[::-1]), split=["val"])


def test_what_can_be_told_is_repaired_and_said(settle, caplog):
    caplog.set_level(logging.WARNING, "ppcls_mixformer")

    def change(content):
        content["categories"][0]["skeleton"] = [[1, 2], [1, 9]]
        content["categories"].append({"id": 8, "name": "dog"})
        first, second = content["annotations"][:2]
        content["annotations"] += [{**first, "id": 1, "category_id": 8, "keypoints": [1, 2, 2]}]
        first["num_keypoints"] = 0
        first["keypoints"][:3] = [-9, 2, 1]
        second.pop("keypoints")

    config = settle(change=change, split=["train"])
    assert config["joints"].edges == [[0, 1]]
    notes = " ".join(record.getMessage() for record in caplog.records)
    for said in (
        "annotations are of other classes than figure, and are left out (id 1)",
        "annotations have no keypoints: they count as not labelled",
        "have another num_keypoints than flags above 0: it is counted anew",
        "have a labelled keypoint outside of the picture",
        "1 of 2 lines of its skeleton do not connect two of the joints 1 to 5, and are left out",
    ):
        assert said in notes


@pytest.mark.parametrize("overrides, count", [([], 2), (["flip_perm=[]"], 0)])
def test_names_without_sides_are_mentioned(settle, caplog, overrides, count):
    names = ["tête", "main gauche", "main droite", "pied gauche", "pied droit"]
    assert settle(*overrides, change=category(keypoints=names))["joints"].pairs == []
    assert caplog.text.count("none of its joints is named as the mirror image") == count


def test_a_skeleton_that_counts_from_0_is_known_by_that(settle):
    assert settle(change=category(skeleton=[[0, 1], [0, 4]]))["joints"].edges == [[0, 1], [0, 4]]


@pytest.mark.parametrize("sigma, found", [(0.08, 1.0), (0.02, 0.0)])
def test_precision_follows_the_tolerances_and_the_class(host, five, tmp_path, sigma, found):
    """Every joint is off by a tenth of the size: OKS is 0.82 for a tolerance of 0.08, 0.04 for 0.02."""
    from ppcls_mixformer.paddledet.keypoint_metric import KeypointMetric

    persons = json.loads((five / path_of("val")).read_text())["annotations"]
    metric = KeypointMetric(str(five / path_of("val")), len(persons), [sigma] * 5, str(tmp_path))
    for truth in persons:
        points = np.reshape(truth["keypoints"], [5, 3]).astype("float32")
        points[:, 0] += 0.1 * truth["area"] ** 0.5
        points[:, 2] = 1
        x, y, width, height = truth["bbox"]
        inputs = {"center": np.array([[x + width / 2, y + height / 2]]), "scale": np.ones([1, 2]) / 4}
        inputs.update(image=np.zeros([1]), score=np.ones([1]), im_id=[truth["image_id"]])
        metric.update(inputs, {"keypoint": [[points[None], None]]})
    metric.accumulate()
    assert metric.get_results()["keypoint"][2] == pytest.approx(found)
    results = json.loads((tmp_path / "keypoints_results.json").read_text())
    assert {result["category_id"] for result in results} == {7}


@pytest.fixture
def drawn(host, five, scenes, tmp_path):
    """The joints that are drawn and exported, where the splits have the files of the given joints."""

    def drawn(count, **files):
        from ppcls_mixformer.paddledet.config import settings

        found = {
            5: five / path_of("val"),
            17: scenes / "annotations/person_keypoints_val2017.json",
            0: "none",
        }
        paths = {name: found[files.get(name.lower(), 0)] for name in ("Test", "Eval", "Train")}
        overrides = [f"{name}Dataset.anno_path={path}" for name, path in paths.items()]
        paddle.save({**trunk(), "final_conv.bias": paddle.zeros([count])}, str(tmp_path / "x.pdparams"))
        overrides += [f"num_joints={count}", f"weights={tmp_path / 'x'}"]
        return settings(command_line(tmp_path, KEYPOINTS, *overrides), "export").config["joints"].names

    return drawn


def trunk():
    """As much of a keypoint network's checkpoint as says which backbone it has."""
    return {f"backbone.backbone.{n}": v for n, v in MixFormer_B0(class_num=10).state_dict().items()}


def test_joints_that_are_drawn_are_those_of_a_file_with_as_many(drawn, caplog):
    assert drawn(5, test=5) == drawn(5, train=5) == FIVE
    assert drawn(17) == drawn(17, eval=17) == joints.COCO_NAMES
    assert "left aside" not in caplog.text
    assert drawn(5, test=17, eval=5) == FIVE
    assert "has 17 joints, num_joints is 5: it is left aside" in caplog.text
    with pytest.raises(UserError, match="file is there with 5 joints, so their names, mirror"):
        drawn(5, test=17)


@pytest.mark.slow
def test_five_joints_are_trained_evaluated_drawn_and_exported(scenes, five, classifier, tmp_path):
    log = train(five, classifier, tmp_path, KEYPOINTS, *overrides_of(), flags=["--eval"])
    folder = tmp_path / KEYPOINTS
    assert "mirror images: left_hand–right_hand, left_foot–right_foot" in log
    weights = f"weights={folder / 'best_model'}"
    overrides = overrides_of(weights, f"save_dir={tmp_path}")
    again = module("eval", five, KEYPOINTS, *overrides)
    lines = [re.findall(r"Average (?:Precision|Recall) .*", text) for text in (log, again)]
    assert lines[0] == lines[1] and len(lines[0]) == 10
    results = json.loads((folder / "keypoints_results.json").read_text())
    assert {(result["category_id"], len(result["keypoints"])) for result in results} == {(7, 15)}

    drawn = tmp_path / "drawn"
    flags = ["--infer_dir", five / "val2017", "--output_dir", drawn]
    flags += ["--bbox_file", scenes / "annotations/person_detection_results_val2017.json"]
    tool("infer", five, KEYPOINTS, *overrides, "bbox_category=1", flags=flags)
    assert len(list(drawn.glob("*.jpg"))) == len(list((five / "val2017").iterdir()))
    log = module("infer", five, KEYPOINTS, *overrides, flags=flags, check=False)
    assert "none has category 7, they have 1: say which one to keep" in error_line(log)

    tool("export", five, KEYPOINTS, *overrides, flags=["--output_dir", tmp_path / "exported"])
    described = yaml.safe_load((tmp_path / "exported" / KEYPOINTS / "infer_cfg.yml").read_text())
    assert (described["keypoints"], described["skeleton"]) == (FIVE, CATEGORY["skeleton"])

    log = module("eval", five, KEYPOINTS, *overrides, "num_joints=17", check=False)
    assert "was trained for 5 joints, num_joints is 17" in error_line(log)


def test_a_skeleton_is_drawn_by_its_edges_and_sides():
    from ppcls_mixformer.paddledet import drawing

    image = np.zeros([40, 40, 3], "uint8")
    points = np.array([[20, 5, 1], [5, 20, 1], [35, 20, 1], [5, 35, 0], [35, 35, 1]], "float32")
    drawing.draw_skeleton(image, points, joints.Joints(FIVE, [], [[0, 1], [2, 4], [1, 3]]), 0.5)
    assert tuple(image[5, 20]) == drawing.YELLOW and tuple(image[20, 5]) == drawing.ORANGE
    assert tuple(image[20, 35]) == drawing.BLUE and image[28, 35].any()
    assert not image[28, 5].any() and not image[35, 5].any()
