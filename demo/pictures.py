"""Draws a training run: its curve from the trainer's log, and a sheet of pictures as they were predicted."""

import argparse
import ast
import re
import sys
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from PIL import Image

from ppcls_mixformer.understand.curves import read_averages

PREDICTION = re.compile(r"class_ids: (\[[^]]*\]), scores: (\[[^]]*\]), .*filename: (\S+)")
SHEET = (6, 8)  # rows and columns


def draw_curve(averages, path):
    """Writes loss and top-1 accuracy (%) over epochs to the PNG file `path`."""
    figure, axes = plt.subplots(1, 2, figsize=(9, 3.4), constrained_layout=True)
    for axis, metric, scale, label in (
        (axes[0], "loss", 1, "loss"),
        (axes[1], "top1", 100, "top-1 accuracy, %"),
    ):
        for phase, name in (("Train", "training"), ("Eval", "test")):
            points = [(e, v[metric] * scale) for e, v in sorted(averages[phase].items()) if metric in v]
            if points:
                axis.plot(*zip(*points), marker="o", markersize=3, label=name)
        axis.set(xlabel="epoch", ylabel=label)
        axis.grid(alpha=0.3)
        axis.legend()
    figure.savefig(path, dpi=120)


def read_predictions(log):
    """`{file name: (class id, score)}` of the best class from the log of the predict command."""
    return {
        Path(name).name: (ast.literal_eval(ids)[0], ast.literal_eval(scores)[0])
        for ids, scores, name in PREDICTION.findall(log)
    }


def draw_sheet(predictions, labels, folder, path):
    """Writes a sheet of pictures, wrong ones first and in red, to the PNG file `path`.

    `predictions` and `labels` are keyed by file name; `folder` holds the pictures.
    """
    wrong = [name for name in labels if name in predictions and predictions[name][0] != labels[name]]
    right = [name for name in labels if name in predictions and name not in wrong]
    figure, axes = plt.subplots(*SHEET, figsize=(9.6, 8.4), constrained_layout=True)
    for axis in axes.flat:
        axis.axis("off")
    for axis, name in zip(axes.flat, wrong + right):
        predicted, score = predictions[name]
        axis.imshow(Image.open(folder / name).convert("RGB"))
        axis.set_title(
            f"predicted {predicted} ({score:.0%})\ntrue {labels[name]}",
            fontsize=8,
            color="black" if predicted == labels[name] else "red",
        )
    figure.suptitle(f"{len(right)} of {len(right) + len(wrong)} test pictures right")
    figure.savefig(path, dpi=120)


def main():
    """Writes `curve.png` and `predictions.png`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--train_log", type=Path, required=True, help="train.log of PaddleClas")
    parser.add_argument("--predict_log", type=Path, required=True, help="output of the predict command")
    parser.add_argument("--list", type=Path, required=True, help="list file with the true labels")
    parser.add_argument("--images", type=Path, required=True, help="folder of the predicted pictures")
    parser.add_argument("--output", type=Path, required=True, help="folder for curve.png and predictions.png")
    arguments = parser.parse_args()
    try:
        lines = (line.split() for line in arguments.list.read_text().splitlines())
        labels = {Path(name).name: int(label) for name, label in lines}
        averages = read_averages(arguments.train_log.read_text())
        predictions = read_predictions(arguments.predict_log.read_text())
    except OSError as error:
        sys.exit(f"error: {error.filename}: {error.strerror}")
    except ValueError:
        sys.exit(f"error: {arguments.list} is not a list of `image label` lines, or a log is not text")
    if not averages["Train"] or not predictions:
        sys.exit("error: --train_log or --predict_log holds no line of a training or of a prediction")
    draw_curve(averages, arguments.output / "curve.png")
    draw_sheet(predictions, labels, arguments.images, arguments.output / "predictions.png")


if __name__ == "__main__":
    main()
