"""The dense demo on runs that are there already: what it measured before and after, and its pictures."""

import json

import pytest
from PIL import Image

from demo import dense_demo

COCO = " Average Precision  (AP) @[ IoU=0.50:0.95 | area=   all | maxDets=100 ] = {}\n"
EVALUATIONS = {  # of each task, as its trainer logs it
    "detection": 2 * COCO,
    "long-tailed detection": "bbox: AP {}, AP50 0.9\nsegm: AP {}, AP50 0.9\n",
    "keypoints": "| AP | Ap .5 |\n| {} | 0.9 |\n",
    "segmentation": "[EVAL] #Images: 3 mIoU: {} Acc: 0.9\n",
}
STEPS = {
    "det": "Epoch: [{0}] [0/4] learning_rate: 0.1 loss: {1}\n",
    "seg": "[TRAIN] epoch: 1, iter: {0}/2, loss: {1}, lr: 0.1\n",
}


def finished_run(task):
    """Writes what a finished run of a task leaves, in the current folder."""
    folder = dense_demo.OUTPUT / task.config
    (folder / "pictures").mkdir(parents=True)
    Image.new("RGB", (8, 8)).save(folder / "pictures/1.jpg")
    evaluation = EVALUATIONS[task.name]
    (folder / "before.log").write_text(evaluation.replace("{}", "0.1"))
    steps = [STEPS[task.host].format(number, loss) for number, loss in enumerate((4.5, 2.5), 1)]
    log = steps[0] + evaluation.replace("{}", "0.2") + steps[1] + evaluation.replace("{}", "0.3")
    (folder / "train.log").write_text(log)


def test_results_are_of_the_last_evaluation(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for folder in (dense_demo.START.parent, dense_demo.DATA):
        folder.mkdir(parents=True)
    dense_demo.START.touch()
    for task in dense_demo.TASKS:
        finished_run(task)
    dense_demo.main([])
    results = json.loads((dense_demo.OUTPUT / "results.json").read_text())
    for task in dense_demo.TASKS:
        assert results[task.name] == {
            "before": dict.fromkeys(task.metrics, 0.1),
            "after": dict.fromkeys(task.metrics, 0.3),
            "losses": [4.5, 2.5],
        }
    for name in ("curves.png", "pictures.png"):
        assert Image.open(dense_demo.OUTPUT / name).size[0] > 500
    assert "segmentation, mIoU" in capsys.readouterr().out


def test_says_what_it_starts_from(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit, match="MixFormer_B0_digits.pdparams.*run `make quickstart` first"):
        dense_demo.main([])
