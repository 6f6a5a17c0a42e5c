"""Detection, long-tailed detection, keypoints and segmentation on small real data, one after another.

Each task trains from the quick start's checkpoint, is measured before and after, and draws held-out
pictures. A task whose result is there is not trained again; delete its folder to start over.
"""

import argparse
import json
import re
import sys
from pathlib import Path
from typing import NamedTuple

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from PIL import Image

from ppcls_mixformer.hosting import cli
from ppcls_mixformer.hosting.whole import whole_file

from .quick_start import TOUR
from .tour import command, step

START = TOUR.weights
DATA = Path("dataset/scenes")
OUTPUT = Path("output/scenes")
PICTURES = 6  # of each task on the sheet

DET_LOSS = re.compile(r"Epoch: \[\d+\].* loss: ([\d.]+)")
SEG_LOSS = re.compile(r"\[TRAIN\].* loss: ([\d.]+)")


class Task(NamedTuple):
    """A task: its config, its metrics, and a pattern that finds their values in a log, in that order."""

    name: str
    host: str
    config: str
    metrics: tuple[str, ...]
    pattern: str


BOXES_AND_MASKS = ("box AP", "mask AP")
COCO_AP = r"Average Precision  \(AP\) @\[ IoU=0.50:0.95 \| area=   all \| maxDets=100 \] = (-?[\d.]+)"
LVIS_AP = r"(?:bbox|segm): AP (-?[\d.]+)"
TASKS = (
    Task("detection", "det", "mask_rcnn_mixformer_b0", BOXES_AND_MASKS, COCO_AP),
    Task("long-tailed detection", "det", "mask_rcnn_mixformer_b0_lvis", BOXES_AND_MASKS, LVIS_AP),
    Task("keypoints", "det", "simple_baseline_mixformer_b0", ("keypoint AP",), r"^\| (-?\d\.\d+) \|"),
    Task("segmentation", "seg", "upernet_mixformer_b0", ("mIoU",), r"\[EVAL\] #Images: .* mIoU: ([\d.]+)"),
)


def train_detector(task, folder, log):
    """Trains with PaddleDetection; `before.log` is of a run that changes nothing, `log` of the real one."""
    start = ("LearningRate.base_lr=0.0", "epoch=1", f"save_dir={folder / 'before'}")
    few = ("TrainDataset.sample_num=16",) if "simple" not in task.config else ()
    command("det train", "-c", task.config, "--eval", "-o", *start, *few, log=folder / "before.log")
    settings = ("-o", f"save_dir={folder}")
    command("det train", "-c", task.config, "--eval", "--seed", 0, *settings, log=log)
    weights = ("-o", f"weights={folder / task.config / 'best_model'}")
    command("det infer", "-c", task.config, *weights, *infer_flags(task, folder))
    command("det export", "-c", task.config, *weights, "--output_dir", folder / "inference")


def infer_flags(task, folder):
    """Flags that tell `det infer` which pictures to draw, from which score on, and where to."""
    flags = ["--infer_dir", DATA / "coco/val2017", "--output_dir", folder / "pictures"]
    if task.name == "keypoints":
        flags += ["--bbox_file", DATA / "coco/annotations/person_detection_results_val2017.json"]
    return *flags, "--draw_threshold", 0.5


def train_segmenter(task, folder, log):
    """Trains with PaddleSeg, with the same logs as `train_detector`."""
    config = ("--config", task.config)
    start = ("--iters", 1, "--learning_rate", 2e-6, "--save_dir", folder / "before")
    command("seg train", *config, "--do_eval", *start, log=folder / "before.log")
    settings = ("--do_eval", "--seed", 0, "--save_dir", folder)
    command("seg train", *config, *settings, log=log)
    model = ("--model_path", folder / "best_model/model.pdparams")
    pictures = DATA / "ADEChallengeData2016/images/validation"
    command("seg predict", *config, *model, "--image_path", pictures, "--save_dir", folder / "pictures")
    command("seg export", *config, *model, "--save_dir", folder / "inference")


def measured(task, log):
    """`{metric: value}` from the last evaluation that a log shows."""
    found = re.findall(task.pattern, log, re.MULTILINE)[-len(task.metrics) :]
    return {name: float(value) for name, value in zip(task.metrics, found)}


def draw_curves(results, path):
    """Writes the loss curves of all tasks, with what was measured before and after, to a PNG file."""
    figure, axes = plt.subplots(1, len(results), figsize=(4 * len(results), 3.2), constrained_layout=True)
    for axis, (name, result) in zip(axes, results.items()):
        axis.plot(result["losses"])
        axis.set(xlabel="logged step", ylabel="loss", ylim=(0, None))
        changes = (f"{k} {result['before'][k]:.3f} to {v:.3f}" for k, v in result["after"].items())
        axis.set_title("\n".join([name, *changes]), fontsize=9)
        axis.grid(alpha=0.3)
    figure.savefig(path, dpi=110)


def draw_sheet(folders, path):
    """Writes a sheet of drawn held-out pictures, one row for each folder, to a PNG file."""
    figure, axes = plt.subplots(
        len(folders), PICTURES, figsize=(2 * PICTURES, 2.2 * len(folders)), constrained_layout=True
    )
    for row, (name, folder) in zip(axes, folders.items()):
        files = sorted(p for p in folder.rglob("*") if p.suffix in (".jpg", ".png"))
        for axis, file in zip(row, files):
            axis.imshow(Image.open(file).convert("RGB"))
        for axis in row:
            axis.axis("off")
        row[0].set_title(name, fontsize=9, loc="left")
    figure.savefig(path, dpi=110)


def main(argv=None):
    """Runs the tasks that have no result yet, then writes and prints the results of all."""
    argparse.ArgumentParser(description=__doc__).parse_args(argv)
    if not START.is_file():
        sys.exit(f"error: there is no {START}, which all tasks start from; run `make quickstart` first")
    if not DATA.is_dir():
        step("scenes", "--output", DATA)
    results = {}
    for task in TASKS:
        folder = OUTPUT / task.config
        folder.mkdir(parents=True, exist_ok=True)
        if not (folder / "train.log").is_file():
            with whole_file(folder / "train.log") as log:
                (train_detector if task.host == "det" else train_segmenter)(task, folder, log)
        log = (folder / "train.log").read_text()
        losses = (DET_LOSS if task.host == "det" else SEG_LOSS).findall(log)
        results[task.name] = {
            "before": measured(task, (folder / "before.log").read_text()),
            "after": measured(task, log),
            "losses": [float(loss) for loss in losses],
        }
    (OUTPUT / "results.json").write_text(json.dumps(results, indent=1))
    draw_curves(results, OUTPUT / "curves.png")
    draw_sheet({t.name: OUTPUT / t.config / "pictures" for t in TASKS}, OUTPUT / "pictures.png")
    print(f"\n{'':34}{'before':>8}{'after':>8}")
    for name, result in results.items():
        for metric, value in result["after"].items():
            print(f"{name + ', ' + metric:34}{result['before'][metric]:8.3f}{value:8.3f}")
    print(f"\n  {OUTPUT}/curves.png: losses\n  {OUTPUT}/pictures.png: held-out pictures, drawn")


if __name__ == "__main__":
    cli.run(main)
