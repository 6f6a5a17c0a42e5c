"""Two pictures to look at: samples of each class, and a chart of how many and how large the pictures are."""

import math

from PIL import Image, ImageDraw

from ppcls_mixformer.hosting import charts
from ppcls_mixformer.hosting.charts import BLUE, FADED, GREEN, MARGIN, ORANGE, PALE, PAPER, Text, fitted
from ppcls_mixformer.hosting.pictures import decode
from ppcls_mixformer.predict.sources import Source

CELL, GAP = 112, 6  # pixels
SAMPLES = 8  # of each class
COLORS = {"train": BLUE, "val": ORANGE, "test": GREEN}
WORDS = {"train": "training", "val": "validation", "test": "test"}
PLOT = 420  # pixels: each side of the plot of sizes


def draw_samples(rows, total):
    """A sheet with a row for each class: its number and name, its count, and samples.

    Args:
        rows: `(title, count in words, paths)` of each class, at most `charts.ROWS` of them.
        total: how many classes there are.
    """
    text, label = Text(), 190
    height = len(rows) * (CELL + GAP) + 2 * MARGIN
    sheet = Image.new("RGB", (label + SAMPLES * (CELL + GAP) + 2 * MARGIN, height + MARGIN), PAPER)
    draw = ImageDraw.Draw(sheet)
    which = f"the first {len(rows)} of {total} classes" if total > len(rows) else f"{total} classes"
    text.write(draw, (MARGIN, MARGIN // 2), f"Pictures for training, {which}")
    for row, (title, count, paths) in enumerate(rows):
        top = 2 * MARGIN + row * (CELL + GAP)
        text.write(draw, (MARGIN, top + 4), text.cut(title, label - 10))
        text.write(draw, (MARGIN, top + 24), count, fill=FADED)
        for column, path in enumerate(paths[:SAMPLES]):
            picture = fitted(Image.fromarray(decode(Source(path).data())), CELL)
            left = MARGIN + label + column * (CELL + GAP)
            sheet.paste(picture, (left + (CELL - picture.width) // 2, top + (CELL - picture.height) // 2))
    return sheet


def draw_chart(counts, sizes, side):
    """A chart of the pictures of each class, by split, beside one of the sizes of all.

    Args:
        counts: `[(title, {split: count})]` of each class.
        sizes: `(width, height)` of each picture; `side`: of the input, which is drawn too.
    """
    text = Text()
    classes, between = charts.chosen_classes(counts)
    height = max(charts.height_of_counts(len(classes)), PLOT + 3 * MARGIN + 60)
    chart = Image.new("RGB", (charts.LEFT + PLOT + 4 * MARGIN, height), PAPER)
    draw = ImageDraw.Draw(chart)
    title = f"Pictures of each class{': ' + between if between else ''}"
    charts.draw_counts(draw, text, title, classes, {name: (WORDS[name], COLORS[name]) for name in COLORS})
    _draw_sizes(draw, text, (charts.LEFT, 2 * MARGIN), sizes, side)
    return chart


def _draw_sizes(draw, text, place, sizes, side):
    """Width against height, both on a scale of powers."""
    left, top = place[0] + 40, place[1] + 14
    title = f"Width (across) and height in pixels; the frame is the input, {side}x{side}"
    text.write(draw, (place[0], MARGIN // 2), title)
    smallest = min(side - 1, *(min(size) for size in sizes))  # so that the frame has an area
    low = math.floor(math.log2(max(1, smallest)))
    high = math.ceil(math.log2(max(side, *(max(size) for size in sizes)) + 1))

    def at(pixels):
        return PLOT * (math.log2(pixels) - low) / (high - low)

    for power in range(low, high + 1):
        x, y = left + at(2**power), top + PLOT - at(2**power)
        draw.line((x, top, x, top + PLOT), fill=PALE)
        draw.line((left, y, left + PLOT, y), fill=PALE)
        label = str(2**power)
        text.write(draw, (x - text.width(label) // 2, top + PLOT + 6), label)
        text.write(draw, (left - text.width(label) - 8, y - 8), label)
    for width, height in set(sizes):
        x, y = left + at(width), top + PLOT - at(height)
        draw.ellipse((x - 3, y - 3, x + 3, y + 3), fill=COLORS["train"])
    draw.rectangle((left, top + PLOT - at(side), left + at(side), top + PLOT), outline=COLORS["val"], width=2)
