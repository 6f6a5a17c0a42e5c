"""Two pictures to look at: samples of each class, and a chart of how many and how large the pictures are."""

import math

from PIL import Image, ImageDraw, ImageFont

from ppcls_mixformer.hosting.pictures import decode
from ppcls_mixformer.predict.sources import Source

CELL, GAP, MARGIN = 112, 6, 24  # pixels
SAMPLES = 8  # of each class
ROWS = 40  # classes on the sheet, and in the chart
INK, PALE, PAPER = (40, 40, 40), (205, 205, 205), (255, 255, 255)
COLORS = {"train": (55, 110, 175), "val": (235, 145, 50), "test": (95, 160, 90)}
WORDS = {"train": "training", "val": "validation", "test": "test"}
NOT_A_LETTER = "\uffff"  # which fonts draw as what they lack
BAR, PLOT = 320, 420  # pixels: the longest bar, and each side of the plot of sizes
FONTS = (  # the first that this machine has; those before DejaVu have Chinese, Japanese and Korean too
    *("NotoSansCJK-Regular.ttc", "NotoSansCJKsc-Regular.otf", "wqy-microhei.ttc", "msyh.ttc", "simhei.ttf"),
    *("PingFang.ttc", "DejaVuSans.ttf", "LiberationSans-Regular.ttf", "Arial.ttf", "arial.ttf"),
)


class Text:
    """Writes on pictures, with a font of this machine or Pillow's own, marking letters that it lacks."""

    def __init__(self, size=14):
        self.font, self.known = _font(size), {}

    def shown(self, text):
        return "".join(letter if self._has(letter) else "?" for letter in text)

    def _has(self, letter):
        if letter not in self.known:
            try:
                drawn = bytes(self.font.getmask(letter))
                self.known[letter] = letter.isspace() or drawn != bytes(self.font.getmask(NOT_A_LETTER))
            except UnicodeEncodeError:  # of a font that knows Latin letters only
                self.known[letter] = ord(letter) < 128
        return self.known[letter]

    def width(self, text):
        return self.font.getmask(self.shown(text)).size[0]

    def cut(self, text, width):
        """`text`, shortened to `width` pixels."""
        if self.width(text) <= width:
            return text
        while text and self.width(f"{text}...") > width:
            text = text[:-1]
        return f"{text}..."

    def write(self, draw, place, text, fill=INK):
        draw.text(place, self.shown(text), font=self.font, fill=fill)


def _font(size):
    for name in FONTS:
        try:
            return ImageFont.truetype(name, size)
        except OSError:
            continue
    try:
        return ImageFont.load_default(size)
    except TypeError:  # Pillow before 10.1
        return ImageFont.load_default()


def draw_samples(rows, total):
    """A sheet with a row for each class: its number and name, its count, and samples.

    Args:
        rows: `(title, count in words, paths)` of each class, at most ROWS of them.
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
        text.write(draw, (MARGIN, top + 24), count, fill=(120, 120, 120))
        for column, path in enumerate(paths[:SAMPLES]):
            picture = _fitted(Image.fromarray(decode(Source(path).data())))
            left = MARGIN + label + column * (CELL + GAP)
            sheet.paste(picture, (left + (CELL - picture.width) // 2, top + (CELL - picture.height) // 2))
    return sheet


def _fitted(picture):
    """A picture whose longer side is CELL; small ones are enlarged without smoothing."""
    scale = CELL / max(picture.size)
    size = [max(1, round(side * scale)) for side in picture.size]
    return picture.resize(size, Image.NEAREST if scale > 1 else Image.BOX)


def draw_chart(counts, sizes, side):
    """A chart of the pictures of each class, by split, beside one of the sizes of all.

    Args:
        counts: `[(title, {split: count})]` of each class.
        sizes: `(width, height)` of each picture; `side`: of the input, which is drawn too.
    """
    text = Text()
    chosen, between = _chosen(counts)
    height = max(len(chosen) * 22 + 3 * MARGIN + 30, PLOT + 3 * MARGIN + 60)
    chart = Image.new("RGB", (200 + BAR + 90 + PLOT + 7 * MARGIN, height), PAPER)
    draw = ImageDraw.Draw(chart)
    _draw_counts(draw, text, chosen, between)
    _draw_sizes(draw, text, (200 + BAR + 90 + 3 * MARGIN, 2 * MARGIN), sizes, side)
    return chart


def _chosen(counts):
    """The classes in the chart, the most frequent first, and a line on those that are left out."""
    order = sorted(counts, key=lambda item: -sum(item[1].values()))
    if len(order) <= ROWS:
        return order, ""
    half = ROWS // 2
    words = f"the {half} most frequent and the {half} rarest of {len(order)} classes"
    return order[:half] + order[-half:], words


def _draw_counts(draw, text, chosen, between):
    most = max(sum(parts.values()) for _, parts in chosen)
    text.write(draw, (MARGIN, MARGIN // 2), f"Pictures of each class{': ' + between if between else ''}")
    left = MARGIN
    for split in [name for name in COLORS if any(name in parts for _, parts in chosen)]:
        draw.rectangle((left, MARGIN + 14, left + 11, MARGIN + 25), fill=COLORS[split])
        text.write(draw, (left + 17, MARGIN + 11), WORDS[split])
        left += 17 + text.width(WORDS[split]) + 20
    for row, (title, parts) in enumerate(chosen):
        top, left = 2 * MARGIN + 14 + row * 22, MARGIN + 200
        text.write(draw, (MARGIN, top), text.cut(title, 190))
        for split, color in COLORS.items():
            width = round(BAR * parts.get(split, 0) / most)
            if width:
                draw.rectangle((left, top + 2, left + width - 1, top + 16), fill=color)
            left += width
        text.write(draw, (left + 6, top), f"{sum(parts.values()):,}", fill=(120, 120, 120))


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
