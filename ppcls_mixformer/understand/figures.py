"""The figures of a report, each a PNG file."""

import contextlib

import numpy as np

from ppcls_mixformer.understand import curves, lettering

DPI = 144
BLUE, ORANGE, GREY = "#2563a8", "#d9622b", "#8a94a0"
PHASES = (("Train", "training", BLUE), ("Eval", "evaluation", ORANGE), ("EMA", "averaged weights", GREY))
COUNTED = 25  # classes up to which the confusion matrix has its numbers in it
NAMED = 60  # classes up to which it has their names beside it
BESIDE = 10  # classes up to which two such stand side by side


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


def draw_curves(averages, metric, words, path):
    """Loss and a metric over epochs."""
    with _figure(path, 9, 3.1) as figure:
        for axis, key, title in zip(figure.subplots(1, 2), ("loss", metric), ("loss", words)):
            for phase, name, colour in PHASES:
                epochs, values = curves.points(averages, phase, key)
                if epochs:
                    axis.plot(epochs, values, marker="o", markersize=3, color=colour, label=name)
            axis.set(title=title)
            mark_epochs(axis)
            axis.grid(alpha=0.25)
            if axis.lines:
                axis.legend(frameon=False)
        axis.yaxis.set_major_formatter(shares())


def draw_runs(runs, metric, words, path):
    """Loss and a metric on evaluation over epochs, of several runs: `(name, averages)`."""
    with _figure(path, 9, 3.3) as figure:
        for axis, key, title in zip(figure.subplots(1, 2), ("loss", metric), ("loss", words)):
            for number, (name, averages) in enumerate(runs):
                epochs, values = curves.points(averages, "Eval", key)
                axis.plot(epochs, values, marker="o", markersize=3, label=lettering.shown(name, number))
            axis.set(title=f"{title}, evaluation")
            mark_epochs(axis)
            axis.grid(alpha=0.25)
        axis.yaxis.set_major_formatter(shares())
        figure.legend(*axis.get_legend_handles_labels(), frameon=False, loc="outside lower center", ncols=3)


def draw_confusion(matrix, names, path):
    """Shares of each true class (rows) that were taken for each class (columns)."""
    side = _side(names)
    with _figure(path, side + 1.2, side) as figure:
        axis = figure.subplots()
        image = _draw_matrix(axis, matrix, matrix.sum(axis=1), names)
        axis.set(xlabel="predicted", ylabel="true")
        figure.colorbar(image, ax=axis, format="{x:.0%}", shrink=0.7, label="of the true class")


def draw_together(there, given, names, path):
    """Of the pictures with each label (rows), shares that have each label, and to which each is given."""
    side, rows = _side(names), 1 if len(names) <= BESIDE else 2
    with _figure(path, side * (3 - rows) + 1.2, side * rows) as figure:
        axes = figure.subplots(rows, 3 - rows)
        for axis, counts, title in zip(axes, (there, given), ("labels that are there", "labels given")):
            image = _draw_matrix(axis, counts, np.diagonal(there), names)
            axis.set(title=title, ylabel="pictures with")
        figure.colorbar(image, ax=axes, format="{x:.0%}", shrink=0.7, label="of the pictures")


def _side(names):
    return min(max(4.2, 0.42 * len(names)), 11)


def _draw_matrix(axis, counts, totals, names):
    """`counts` `[classes, classes]` as shares of the `totals` of their rows; returns the image."""
    count = len(names)
    shares = counts / np.maximum(totals, 1)[:, None]
    image = axis.imshow(shares, cmap="Blues", vmin=0, vmax=1, interpolation="nearest")
    if count <= NAMED:
        shown = [lettering.shown(name, number) for number, name in enumerate(names)]
        axis.set_xticks(range(count), shown, rotation=90 if count > 6 else 0)
        axis.set_yticks(range(count), shown)
    if count <= COUNTED:
        for row, column in zip(*np.nonzero(counts)):
            colour = "white" if shares[row, column] > 0.5 else "black"
            axis.text(column, row, counts[row, column], ha="center", va="center", color=colour, size=8)
    return image


def draw_precision_recall(whole, by_class, path):
    """Precision by recall: of all labels together, and of some classes, `(name, curve)` each."""
    with _figure(path, 9, 4.2) as figure:
        axis = figure.subplots()
        for name, found in [*by_class, ("all labels", whole)]:
            style = {"color": "black", "linewidth": 2} if found is whole else {"linewidth": 1.2}
            (line,) = axis.plot(found.recall, found.precision, label=name, **style)
            axis.plot(*found.point, "o", color=line.get_color(), markersize=5)
        axis.set(xlabel="recall", ylabel="precision", xlim=(0, 1.02), ylim=(0, 1.02))
        for side in (axis.xaxis, axis.yaxis):
            side.set_major_formatter("{x:.0%}")
        axis.grid(alpha=0.25)
        axis.legend(frameon=False, loc="upper left", bbox_to_anchor=(1, 1))


def draw_by_class(found, bars, label, names, path):
    """`bars` and precision and recall of each class, the lowest first, of all or of the lowest forty.

    Args:
        found: has `precision`, `recall` and `support`, `[classes]` each.
        bars: what is drawn as bars, and `label` what that is.
    """
    order = [number for number in np.argsort(bars, kind="stable") if found.support[number]][:40]
    with _figure(path, 9, 0.8 + 0.22 * len(order)) as figure:
        axis = figure.subplots()
        for values, mark, colour, words in (
            (found.precision, "<", BLUE, "precision"),
            (found.recall, ">", ORANGE, "recall"),
        ):
            axis.plot(values[order], range(len(order)), mark, color=colour, label=words, markersize=6)
        axis.barh(range(len(order)), bars[order], color="#c9d6e4", label=label, height=0.7, zorder=0)
        axis.set_yticks(range(len(order)), [lettering.shown(names[number], number) for number in order])
        axis.invert_yaxis()
        axis.set_xlim(0, 1.02)
        axis.xaxis.set_major_formatter("{x:.0%}")
        axis.legend(frameon=False, loc="upper left", bbox_to_anchor=(1, 1))
        axis.grid(axis="x", alpha=0.25)


def draw_calibration(found, confidence, accuracy, counted, path):
    """The reliability diagram: accuracy by confidence, and how many answers each bin has.

    Args:
        confidence, accuracy, counted: what these are called.
    """
    width, filled = found.edges[1], found.counts > 0
    middles = (found.edges[:-1] + found.edges[1:]) / 2
    with _figure(path, 5.2, 5.2) as figure:
        above, below = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
        above.bar(middles[filled], found.accuracy[filled], width * 0.92, color=BLUE, label=accuracy)
        above.plot([0, 1], [0, 1], "--", color=GREY, label=f"{accuracy} = {confidence}")
        above.plot(found.confidence[filled], found.confidence[filled], "_", color=ORANGE, markersize=14)
        above.vlines(
            found.confidence[filled],
            found.accuracy[filled],
            found.confidence[filled],
            color=ORANGE,
            label="gap",
            linewidth=2,
        )
        above.set(ylabel=accuracy, ylim=(0, 1.02), xlim=(0, 1), title=f"ECE {found.error:.2%}")
        figure.legend(frameon=False, loc="outside lower center", ncols=3)
        below.bar(middles, found.counts, width * 0.92, color="#c9d6e4")
        below.set(xlabel=confidence, ylabel=counted)
        below.set_yscale("symlog", linthresh=1)
        below.yaxis.set_major_formatter("{x:,.0f}")
        for axis in (above, below):
            axis.grid(alpha=0.25)
