"""Training, evaluation and inference through PaddleDetection, each command in a process of its own."""

import json
import math
import re
import shutil

import numpy as np
import paddle
import pytest
from det_tools import DETECTOR, KEYPOINTS, LVIS, module, tool, train
from PIL import Image
from pycocotools.coco import COCO

from ppcls_mixformer.hosting.whole import PREFIX

pytestmark = pytest.mark.slow

LOSSES = {"loss", "loss_mask", "loss_rpn_cls", "loss_rpn_reg", "loss_bbox_cls", "loss_bbox_reg"}
ANNOTATIONS = {DETECTOR: "annotations/instances_val2017.json", LVIS: "annotations/lvis_v1_val.json"}
PERSON_BOXES = "annotations/person_detection_results_val2017.json"


def steps(log):
    """`(epoch, {name: loss})` of every training step that a log shows, in order."""
    lines = re.findall(r"Epoch: \[(\d+)\] \[\d+/\d+\] (.*)", log)
    losses = [re.findall(r"(loss\w*): (\S+)", line) for _, line in lines]
    return [(int(epoch), {k: float(v) for k, v in step}) for (epoch, _), step in zip(lines, losses)]


def precisions(log):
    """The lines of a log that show AP or AR."""
    return re.findall(r"Average (?:Precision|Recall) .*|(?:bbox|segm): AP.*", log)


@pytest.mark.parametrize(
    "config, losses, count, lines",
    [(DETECTOR, LOSSES, 2, 24), (LVIS, LOSSES, 2, 2), (KEYPOINTS, {"loss"}, 1, 10)],
)
def test_trains_and_evaluates(scenes, trained, tmp_path, config, losses, count, lines):
    weights, log = trained(config)
    assert [epoch for epoch, _ in steps(log)] == [0] * count
    for _, step in steps(log):
        assert set(step) == losses and all(map(math.isfinite, step.values())) and step["loss"] > 0
    assert "warning: " not in log and "used the 820 entries of patch_embed and layers" in log
    files = {path.name for path in weights.parent.iterdir()}
    assert {"model_final.pdparams", "model_final.pdopt", "best_model.pdparams"} <= files
    assert not list(weights.parent.rglob(f"{PREFIX}*"))

    settings = [f"weights={weights}", f"save_dir={tmp_path}"]
    again = tool("eval", scenes, config, *settings, flags=["--output_eval", tmp_path])
    assert precisions(again) == precisions(log) and len(precisions(log)) == lines
    found = {path.name: json.loads(path.read_text()) for path in tmp_path.glob("*.json")}
    assert set(found) == ({"keypoints_results.json"} if config == KEYPOINTS else {"bbox.json", "mask.json"})
    assert all(found.values())


def test_resumes_at_the_next_epoch_with_the_optimizer(scenes, classifier, trained, tmp_path):
    weights, _ = trained(DETECTOR)
    log = train(scenes, classifier, tmp_path, DETECTOR, "epoch=2", flags=["-r", weights])
    assert [epoch for epoch, _ in steps(log)] == [1, 1]
    folders = weights.parent, tmp_path / DETECTOR
    before, after = (paddle.load(str(folder / "model_final.pdopt")) for folder in folders)
    assert (before["last_epoch"], after["last_epoch"]) == (1, 2)
    power = next(name for name in after if name.endswith("_beta1_pow_acc_0"))
    assert before[power].item() == pytest.approx(0.9**3) and after[power].item() == pytest.approx(0.9**5)
    assert after["LR_Scheduler"]["last_epoch"] == before["LR_Scheduler"]["last_epoch"] + 2


def test_keypoints_in_the_boxes_of_a_detector(scenes, trained, tmp_path):
    settings = [f"weights={trained(KEYPOINTS)[0]}", f"save_dir={tmp_path}", "EvalDataset.use_gt_bbox=False"]
    log = module("eval", scenes, KEYPOINTS, *settings)
    boxes = json.loads((scenes / PERSON_BOXES).read_text())
    assert f"Total sample number: {len(boxes)}," in log and len(precisions(log)) == 10


@pytest.fixture
def pictures(scenes, tmp_path):
    """A folder of two of the held-out pictures, the first with a person."""
    persons = COCO(scenes / "annotations/person_keypoints_val2017.json")
    with_person = {thing["image_id"] for thing in persons.anns.values()}
    names = sorted(persons.imgs, key=lambda number: number not in with_person)[:2]
    (tmp_path / "pictures").mkdir()
    for name in names:
        shutil.copy(scenes / f"val2017/{name:012d}.jpg", tmp_path / "pictures")
    return tmp_path / "pictures"


def changes(pictures, drawn):
    """Of each picture in a folder, by how much that in the folder `drawn` differs at most."""
    assert [path.name for path in sorted(drawn.glob("*.jpg"))] == [p.name for p in sorted(pictures.iterdir())]
    pairs = [(path, drawn / path.name) for path in sorted(pictures.iterdir())]
    read = [[np.asarray(Image.open(path).convert("RGB"), int) for path in pair] for pair in pairs]
    return [np.abs(before - after).max() for before, after in read]


@pytest.mark.parametrize("config", [DETECTOR, LVIS])
def test_infer_draws_boxes_and_masks(scenes, trained, pictures, tmp_path, config):
    flags = ["--infer_dir", pictures, "--output_dir", tmp_path / "drawn", "--draw_threshold", 0]
    tool("infer", scenes, config, f"weights={trained(config)[0]}", flags=[*flags, "--save_results"])
    assert min(changes(pictures, tmp_path / "drawn")) > 60
    known = {c["id"] for c in json.loads((scenes / ANNOTATIONS[config]).read_text())["categories"]}
    for name in ("bbox.json", "mask.json"):
        results = json.loads((tmp_path / "drawn" / name).read_text())
        assert len(results) > 2 and {result["category_id"] for result in results} <= known


def test_infer_draws_skeletons(scenes, trained, pictures, tmp_path):
    state = paddle.load(str(trained(KEYPOINTS)[0]))
    state["final_conv.bias"] = paddle.ones_like(state["final_conv.bias"])  # it is sure of every point
    paddle.save(state, str(tmp_path / "sure.pdparams"))
    flags = ["--infer_dir", pictures, "--output_dir", tmp_path / "drawn"]
    flags += ["--bbox_file", scenes / PERSON_BOXES]
    log = tool("infer", scenes, KEYPOINTS, f"weights={tmp_path}/sure", flags=flags)
    counts = [int(count) for count in re.findall(r": (\d+) persons", log)]
    assert len(counts) == 2 and max(counts) > 0
    for count, change in zip(counts, changes(pictures, tmp_path / "drawn")):
        assert (change > 60) == (count > 0)
