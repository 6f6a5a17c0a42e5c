"""What sheets of pictures and charts are drawn with: writing, small pictures, bars and histograms.

Pillow alone draws them, so that they need neither Matplotlib nor a framework.
"""

import math
from collections import Counter

from PIL import Image, ImageFont

MARGIN = 24  # pixels
ROWS = 40  # classes in a chart
BAR, ROW = 320, 22  # pixels: the longest bar of a class, and its line
NAMES, NUMBERS = 200, 90  # pixels: of the names of classes, and of the numbers beside the bars
LEFT = NAMES + BAR + NUMBERS + 3 * MARGIN  # pixels, of what stands to the right of the bars
INK, FADED, PALE, PAPER = (40, 40, 40), (120, 120, 120), (205, 205, 205), (255, 255, 255)
BLUE, ORANGE, GREEN = (55, 110, 175), (235, 145, 50), (95, 160, 90)
WIDEST = 60  # pixels of a column of a histogram
NOT_A_LETTER = "\uffff"  # which fonts draw as what they lack
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


def fitted(picture, side):
    """A picture whose longer side is `side` pixels; small ones are enlarged without smoothing."""
    scale = side / max(picture.size)
    size = [max(1, round(length * scale)) for length in picture.size]
    return picture.resize(size, Image.NEAREST if scale > 1 else Image.BOX)


def chosen_classes(counts):
    """The classes in a chart, the most frequent first, and a line on those that are left out.

    Args:
        counts: `[(title, {series: count})]` of each class.
    """
    order = sorted(counts, key=lambda item: -sum(item[1].values()))
    if len(order) <= ROWS:
        return order, ""
    half = ROWS // 2
    words = f"the {half} most frequent and the {half} rarest of {len(order)} classes"
    return order[:half] + order[-half:], words


def height_of_counts(classes):
    """Pixels that `draw_counts` needs for so many classes."""
    return classes * ROW + 3 * MARGIN + 30


def draw_counts(draw, text, title, classes, series):
    """Draws bars of the counts of `classes`, one for each, below a title and the series' names.

    Args:
        draw: of the whole chart, whose left side is taken.
        classes: `[(title, {series: count})]`, see `chosen_classes`.
        series: `{series: (name, colour)}`.
    """
    most = max([1, *(sum(parts.values()) for _, parts in classes)])
    text.write(draw, (MARGIN, MARGIN // 2), title)
    left = MARGIN
    for key in [key for key in series if any(key in parts for _, parts in classes)]:
        name, color = series[key]
        draw.rectangle((left, MARGIN + 14, left + 11, MARGIN + 25), fill=color)
        text.write(draw, (left + 17, MARGIN + 11), name)
        left += 17 + text.width(name) + 20
    for row, (name, parts) in enumerate(classes):
        top, left = 2 * MARGIN + 14 + row * ROW, MARGIN + NAMES
        text.write(draw, (MARGIN, top), text.cut(name, NAMES - 10))
        for key, (_, color) in series.items():
            width = round(BAR * parts.get(key, 0) / most)
            if width:
                draw.rectangle((left, top + 2, left + width - 1, top + 16), fill=color)
            left += width
        text.write(draw, (left + 6, top), f"{sum(parts.values()):,}", fill=FADED)


def half_octaves(values):
    """How many lengths above 0 are in each half octave, `{n: count}`, which starts at `2 ** (n / 2)`."""
    return dict(sorted(Counter(math.floor(2 * math.log2(value) + 1e-9) for value in values).items()))


def draw_histogram(draw, text, place, size, title, series):
    """Draws a histogram of lengths in pixels, on a scale of powers.

    Args:
        place: left and top; `size`: width and height, in pixels.
        series: `[(histogram, colour)]`, each of `half_octaves`, one on top of the other.
    """
    left, top, (width, height) = place[0], place[1] + MARGIN, size
    text.write(draw, place, title)
    bins = sorted({number for histogram, _ in series for number in histogram})
    if not bins:
        return
    low, high = bins[0] - bins[0] % 2, bins[-1] + 1
    high += high % 2
    most = max(sum(histogram.get(number, 0) for histogram, _ in series) for number in bins)
    step, bottom = min(width / (high - low), WIDEST), top + height
    for number in bins:
        base = bottom
        for histogram, color in series:
            tall = round((height - MARGIN) * histogram.get(number, 0) / most)
            if tall:
                x = left + (number - low) * step
                draw.rectangle((x + 1, base - tall, max(x + 1, x + step - 2), base - 1), fill=color)
            base -= tall
        total = f"{sum(histogram.get(number, 0) for histogram, _ in series):,}"
        middle = left + (number - low + 0.5) * step
        if text.width(total) < step:
            text.write(draw, (middle - text.width(total) / 2, base - 18), total, fill=FADED)
    draw.line((left, bottom, left + step * (high - low), bottom), fill=PALE)
    for number in range(low, high + 1, 2 if step > MARGIN else 4):
        x, label = left + (number - low) * step, f"{2 ** (number / 2):g}"
        draw.line((x, bottom, x, bottom + 4), fill=PALE)
        text.write(draw, (x - text.width(label) / 2, bottom + 6), label)
