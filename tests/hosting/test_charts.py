"""What sheets and charts are drawn with."""

import numpy as np
from PIL import Image, ImageDraw

from ppcls_mixformer.hosting import charts


def test_half_octaves_begin_at_powers_of_two_and_halfway_between():
    assert charts.half_octaves([1, 1.41, 1.42, 2, 2.8, 2.9, 32, 0.5]) == {
        -2: 1,
        0: 2,
        1: 1,
        2: 2,
        3: 1,
        10: 1,
    }


def canvas():
    image = Image.new("RGB", (900, 400), charts.PAPER)
    return image, ImageDraw.Draw(image)


def test_bars_are_as_long_as_their_counts():
    image, draw = canvas()
    classes = [("a", {0: 6, 1: 2}), ("b", {0: 4})]
    charts.draw_counts(draw, charts.Text(), "", classes, {0: ("x", charts.BLUE), 1: ("y", charts.ORANGE)})
    pixels = np.asarray(image)[2 * charts.MARGIN + 14 :, charts.MARGIN + charts.NAMES :]
    rows = [pixels[10 + charts.ROW * row] for row in range(2)]
    assert [(row == charts.BLUE).all(-1).sum() for row in rows] == [charts.BAR * 6 // 8, charts.BAR // 2]
    assert [(row == charts.ORANGE).all(-1).sum() for row in rows] == [charts.BAR // 4, 0]


def test_a_histogram_is_as_high_as_its_counts_and_nothing_is_drawn_of_nothing():
    image, draw = canvas()
    series = [({4: 30}, charts.BLUE), ({4: 10, 6: 20}, charts.ORANGE)]
    charts.draw_histogram(draw, charts.Text(), (10, 10), (400, 204), "", series)
    pixels = np.asarray(image)
    heights = [(pixels == color).all(-1).sum(axis=0).max() for color in (charts.BLUE, charts.ORANGE)]
    assert heights == [135, 90]  # of 180 for 40
    image, draw = canvas()
    charts.draw_histogram(draw, charts.Text(), (10, 10), (400, 204), "", [({}, charts.BLUE)])
    assert not (np.asarray(image) != charts.PAPER).any()
