"""A sheet of pictures with what is annotated in them, and a chart of how much there is and how large."""

import math

from PIL import Image, ImageDraw
from tqdm import tqdm

from ppcls_mixformer.hosting import charts
from ppcls_mixformer.hosting.charts import FADED, MARGIN, PAPER
from ppcls_mixformer.hosting.errors import first_line

CELL, GAP, CAPTION = 300, 10, 18  # pixels
COLUMNS = 4
PATCH = 14  # pixels of a colour in the legend
PLOT = 420, 180  # pixels of a histogram
COLORS = (charts.BLUE, charts.ORANGE, charts.GREEN, (150, 90, 160), (120, 120, 120))
PATIENCE = 2  # seconds before a progress bar shows


def draw_sheet(found):
    """The sheet of a `Found`: pictures of each split, below a line on it, and the legend."""
    text, width = charts.Text(), COLUMNS * (CELL + GAP) + 2 * MARGIN
    rows = [_row_of_legend(found.legend, text, width)] if found.legend else []
    for part in found.splits:
        rows.append(_line(f"{part.name}: {part.words}; {len(part.samples)} of them below", text, width))
        cells = [
            _cell(part, sample, text)
            for sample in tqdm(
                part.samples, f"drawing {part.name}", unit="", delay=PATIENCE, disable=None, leave=False
            )
        ]
        rows += [_joined(cells[n : n + COLUMNS], width) for n in range(0, len(cells), COLUMNS)]
    sheet = Image.new("RGB", (width, sum(row.height for row in rows) + 2 * MARGIN), PAPER)
    top = MARGIN
    for row in rows:
        sheet.paste(row, (0, top))
        top += row.height
    return sheet


def _line(words, text, width):
    line = Image.new("RGB", (width, 2 * MARGIN), PAPER)
    text.write(ImageDraw.Draw(line), (MARGIN, MARGIN // 2), text.cut(words, width - 2 * MARGIN))
    return line


def _cell(part, sample, text):
    """A picture and its caption."""
    cell = Image.new("RGB", (CELL, CELL + CAPTION), PAPER)
    try:
        caption, picture = part.draw(sample, CELL)
    except (OSError, ValueError) as error:  # what only decoding the whole file finds
        caption, picture = first_line(error), Image.new("RGB", (CELL, CELL), charts.PALE)
    cell.paste(picture, ((CELL - picture.width) // 2, CAPTION + (CELL - picture.height) // 2))
    text.write(ImageDraw.Draw(cell), (0, 0), text.cut(caption, CELL), fill=FADED)
    return cell


def _joined(cells, width):
    row = Image.new("RGB", (width, CELL + CAPTION + GAP), PAPER)
    for column, cell in enumerate(cells):
        row.paste(cell, (MARGIN + column * (CELL + GAP), 0))
    return row


def _row_of_legend(legend, text, width):
    """Name and colour of each class, in columns."""
    room = min(width - 2 * MARGIN, max(text.width(name) for name, _ in legend) + PATCH + 3 * GAP)
    columns = max(1, (width - 2 * MARGIN) // room)
    row = Image.new("RGB", (width, charts.ROW * math.ceil(len(legend) / columns) + MARGIN), PAPER)
    draw = ImageDraw.Draw(row)
    for place, (name, color) in enumerate(legend):
        left, top = MARGIN + place % columns * room, place // columns * charts.ROW
        draw.rectangle((left, top, left + PATCH, top + PATCH), fill=color, outline=charts.INK)
        text.write(draw, (left + PATCH + GAP, top), text.cut(name, room - PATCH - 2 * GAP))
    return row


def draw_chart(found):
    """The chart of a `Found`: counts of the classes, and histograms of the sizes of boxes and pictures."""
    text = charts.Text()
    colors = [COLORS[number % len(COLORS)] for number in range(len(found.splits))]
    titles = dict.fromkeys(title for part in found.splits for title in part.counts)
    counts = [
        (title, {n: part.counts.get(title, 0) for n, part in enumerate(found.splits)}) for title in titles
    ]
    classes, between = charts.chosen_classes(counts)
    plots = list(_lengths(found))
    height = max(charts.height_of_counts(len(classes)), MARGIN + len(plots) * (PLOT[1] + 4 * MARGIN))
    chart = Image.new("RGB", (charts.LEFT + PLOT[0] + 3 * MARGIN, height), PAPER)
    draw = ImageDraw.Draw(chart)
    series = {n: (part.name, color) for n, (part, color) in enumerate(zip(found.splits, colors))}
    charts.draw_counts(draw, text, f"{found.counted}{': ' + between if between else ''}", classes, series)
    for place, (what, lengths) in enumerate(plots):
        title = f"Side of a square as large as the {what}, in pixels"
        top = MARGIN // 2 + place * (PLOT[1] + 4 * MARGIN)
        histograms = list(zip(map(charts.half_octaves, lengths), colors))
        charts.draw_histogram(draw, text, (charts.LEFT, top), PLOT, title, histograms)
    return chart


def _lengths(found):
    """What has a size, and of each split the sides of squares of the same area."""
    kinds = [("boxes", "box"), ("sizes", "picture")]
    for field, words in kinds:
        of_splits = [getattr(part, field) for part in found.splits]
        if None not in of_splits:
            yield words, [sides(values) for values in of_splits]


def sides(sizes):
    """Of each `(width, height)` the side of a square as large."""
    return [math.sqrt(width * height) for width, height in sizes]
