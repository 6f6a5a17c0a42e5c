"""A sheet for one picture: what the network looked at, stage by stage."""

from typing import List, NamedTuple, Tuple

import numpy as np

from ppcls_mixformer.understand import heat, lettering, saliency

TILE = 2.1  # inches
DPI = 120


class Explained(NamedTuple):
    """What is known of one picture.

    Attributes:
        picture: as the network saw it, or several times as large, `uint8` `[H, W, 3]`.
        title: the answer.
        strides: pixels of this picture that a position of each stage's map has.
        cams: title and maps `[height, width]` of each class, a map for each stage.
        gates: a map for each stage, the mean of its blocks.
        windows: a `saliency.Window` of this picture alone, for each stage.
        point: `(x, y)` in pixels, whose windows these are.
    """

    picture: np.ndarray
    title: str
    strides: List[int]
    cams: List[Tuple[str, List[np.ndarray]]]
    gates: List[np.ndarray]
    windows: List[saliency.Window]
    point: Tuple[float, float]


def draw(explained, path):
    """Writes the sheet of an `Explained` as a PNG file."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    rows, columns = len(explained.cams) + 2, len(explained.strides) + 1
    with rc_context({"font.sans-serif": lettering.fonts()}):
        figure = Figure(figsize=(TILE * columns + 0.3, (TILE + 0.28) * rows + 0.35), layout="constrained")
        axes = figure.subplots(rows, columns, squeeze=False)
        for row in axes:
            for axis in row:
                axis.set(xticks=[], yticks=[])
            row[0].imshow(explained.picture)
        for row, (title, maps) in zip(axes, explained.cams):
            _label(row[0], f"Grad-CAM\n{title}")
            _draw_cams(row[1:], explained, maps)
        _label(axes[-2][0], "spatial gates")
        _draw_gates(axes[-2][1:], explained)
        _label(axes[-1][0], "attention of +")
        axes[-1][0].plot(*explained.point, "+", color="white", markersize=14, markeredgewidth=4)
        axes[-1][0].plot(*explained.point, "+", color="crimson", markersize=13, markeredgewidth=2)
        _draw_windows(axes[-1][1:], explained)
        for number, axis in enumerate(axes[0][1:], 1):
            height, width = explained.gates[number - 1].shape
            axis.set_title(f"stage {number}, {height}×{width}", fontsize=9)
        figure.suptitle(explained.title, fontsize=11, parse_math=False)
        figure.savefig(path, dpi=DPI, format="png")


def _label(axis, words):
    axis.set_ylabel(words, fontsize=9, parse_math=False)


def _draw_cams(axes, explained, maps):
    for axis, values, stride in zip(axes, maps, explained.strides):
        axis.imshow(heat.of_grad_cam(explained.picture, values, stride))
        if not values.any():
            axis.set_xlabel("nothing speaks for it", fontsize=8)


def _draw_gates(axes, explained):
    for axis, values, stride in zip(axes, explained.gates, explained.strides):
        axis.imshow(heat.of_map(explained.picture, values, stride))
        axis.set_xlabel(_range(values), fontsize=8)


def _draw_windows(axes, explained):
    for axis, window, stride in zip(axes, explained.windows, explained.strides):
        weights = window.weights[0].mean(axis=0)
        axis.imshow(heat.of_window(explained.picture, window, weights, stride))
        said = _range(weights)
        if window.padding[0] > 0.005:
            said += f", {window.padding[0]:.0%} on padding"
        axis.set_xlabel(said, fontsize=8)


def _range(values):
    low, high = f"{values.min():.3f}", f"{values.max():.3f}"
    return low if low == high else f"{low} to {high}"
