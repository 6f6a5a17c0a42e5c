"""The figures of a report, each a PNG file."""

import contextlib

import numpy as np

from ppcls_mixformer.understand import curves, lettering

DPI = 144
BLUE, ORANGE, GREY = "#2563a8", "#d9622b", "#8a94a0"
PHASES = (("Train", "training", BLUE), ("Eval", "evaluation", ORANGE), ("EMA", "averaged weights", GREY))
COUNTED = 25  # classes up to which the confusion matrix has its numbers in it
NAMED = 60  # classes up to which it has their names beside it


@contextlib.contextmanager
def _figure(path, width, height):
    """Yields a figure of so many inches, which is written to `path` at the end."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    style = {
        "font.sans-serif": lettering.fonts(),
        "font.size": 9,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.edgecolor": GREY,
        "axes.titlesize": 10,
        "axes.titlelocation": "left",
        "text.parse_math": False,
    }
    with rc_context(style):
        figure = Figure(figsize=(width, height), layout="constrained")
        yield figure
        figure.savefig(path, dpi=DPI, format="png")


def mark_epochs(axis):
    """Has whole numbers below, also where there is one only."""
    axis.set(xlabel="epoch")
    axis.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)


def shares():
    """Percents, with as many digits as tell the marks of an axis apart."""
    from matplotlib.ticker import PercentFormatter

    return PercentFormatter(1.0, decimals=None)


def draw_curves(averages, path):
    """Loss and top-1 accuracy over epochs."""
    with _figure(path, 9, 3.1) as figure:
        for axis, metric, title in zip(figure.subplots(1, 2), ("loss", "top1"), ("loss", "top-1 accuracy")):
            for phase, name, colour in PHASES:
                epochs, values = curves.points(averages, phase, metric)
                if epochs:
                    axis.plot(epochs, values, marker="o", markersize=3, color=colour, label=name)
            axis.set(title=title)
            mark_epochs(axis)
            axis.grid(alpha=0.25)
            if axis.lines:
                axis.legend(frameon=False)
            if metric == "top1":
                axis.yaxis.set_major_formatter(shares())


def draw_runs(runs, path):
    """Loss and top-1 accuracy on evaluation over epochs, of several runs: `(name, averages)`."""
    with _figure(path, 9, 3.3) as figure:
        for axis, metric, title in zip(figure.subplots(1, 2), ("loss", "top1"), ("loss", "top-1 accuracy")):
            for number, (name, averages) in enumerate(runs):
                epochs, values = curves.points(averages, "Eval", metric)
                axis.plot(epochs, values, marker="o", markersize=3, label=lettering.shown(name, number))
            axis.set(title=f"{title}, evaluation")
            mark_epochs(axis)
            axis.grid(alpha=0.25)
        axis.yaxis.set_major_formatter(shares())
        figure.legend(*axis.get_legend_handles_labels(), frameon=False, loc="outside lower center", ncols=3)


def draw_confusion(matrix, names, path):
    """Shares of each true class (rows) that were taken for each class (columns)."""
    count = len(names)
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    side = min(max(4.2, 0.42 * count), 11)
    with _figure(path, side + 1.2, side) as figure:
        axis = figure.subplots()
        image = axis.imshow(shares, cmap="Blues", vmin=0, vmax=1, interpolation="nearest")
        axis.set(xlabel="predicted", ylabel="true")
        if count <= NAMED:
            shown = [lettering.shown(name, number) for number, name in enumerate(names)]
            axis.set_xticks(range(count), shown, rotation=90 if count > 6 else 0)
            axis.set_yticks(range(count), shown)
        if count <= COUNTED:
            for row, column in zip(*np.nonzero(matrix)):
                colour = "white" if shares[row, column] > 0.5 else "black"
                axis.text(column, row, matrix[row, column], ha="center", va="center", color=colour, size=8)
        figure.colorbar(image, ax=axis, format="{x:.0%}", shrink=0.7, label="of the true class")


def draw_by_class(found, names, path):
    """F1 of each class, the lowest first, of all or of the lowest forty."""
    order = [number for number in np.argsort(found.f1, kind="stable") if found.support[number]][:40]
    with _figure(path, 9, 0.8 + 0.22 * len(order)) as figure:
        axis = figure.subplots()
        for values, mark, colour, label in (
            (found.precision, "<", BLUE, "precision"),
            (found.recall, ">", ORANGE, "recall"),
        ):
            axis.plot(values[order], range(len(order)), mark, color=colour, label=label, markersize=6)
        axis.barh(range(len(order)), found.f1[order], color="#c9d6e4", label="F1", height=0.7, zorder=0)
        axis.set_yticks(range(len(order)), [lettering.shown(names[number], number) for number in order])
        axis.invert_yaxis()
        axis.set_xlim(0, 1.02)
        axis.xaxis.set_major_formatter("{x:.0%}")
        axis.legend(frameon=False, loc="upper left", bbox_to_anchor=(1, 1))
        axis.grid(axis="x", alpha=0.25)


def draw_calibration(found, path):
    """The reliability diagram: accuracy by confidence, and how many pictures each bin has."""
    width, filled = found.edges[1], found.counts > 0
    middles = (found.edges[:-1] + found.edges[1:]) / 2
    with _figure(path, 5.2, 5.2) as figure:
        above, below = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
        above.bar(middles[filled], found.accuracy[filled], width * 0.92, color=BLUE, label="accuracy")
        above.plot([0, 1], [0, 1], "--", color=GREY, label="accuracy = confidence")
        above.plot(found.confidence[filled], found.confidence[filled], "_", color=ORANGE, markersize=14)
        above.vlines(
            found.confidence[filled],
            found.accuracy[filled],
            found.confidence[filled],
            color=ORANGE,
            label="gap",
            linewidth=2,
        )
        above.set(ylabel="accuracy", ylim=(0, 1.02), xlim=(0, 1), title=f"ECE {found.error:.2%}")
        figure.legend(frameon=False, loc="outside lower center", ncols=3)
        below.bar(middles, found.counts, width * 0.92, color="#c9d6e4")
        below.set(xlabel="confidence", ylabel="pictures")
        below.set_yscale("symlog", linthresh=1)
        below.yaxis.set_major_formatter("{x:,.0f}")
        for axis in (above, below):
            axis.grid(alpha=0.25)
