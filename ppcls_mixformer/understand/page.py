"""A report as one HTML page that needs nothing outside itself: pictures are in it as data."""

import base64
import io
from html import escape
from typing import List, NamedTuple, Tuple

import numpy as np
from PIL import Image

POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"
TILE = 180  # pixels of a thumbnail's longer side
QUALITY = 88  # of its JPEG

STYLE = """
:root { --ink: #1c2733; --soft: #5c6b7a; --line: #dde3ea; --blue: #2563a8; --bad: #b3392f; --good: #2c7a4b;
  --page: #f4f6f9; --card: #fff; }
@media screen and (prefers-color-scheme: dark) {
  :root { --ink: #e3e9f0; --soft: #9dadbd; --line: #34414f; --blue: #7db1ee; --bad: #f0897e; --good: #6fcb97;
    --page: #10161d; --card: #1a232d; color-scheme: dark; }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink);
  font: 15px/1.5 "Segoe UI", "Helvetica Neue", "PingFang SC", "Microsoft YaHei", "Noto Sans CJK SC",
    sans-serif; }
header { background: #12263f; color: #fff; padding: 28px 0 64px; }
header p { margin: 4px 0 0; color: #b9c7d8; overflow-wrap: anywhere; }
h1 { margin: 0; font-size: 26px; font-weight: 600; }
h2 { margin: 0 0 4px; font-size: 19px; font-weight: 600; }
.wide { max-width: 1120px; margin: 0 auto; padding: 0 24px; }
section, .number { background: var(--card); border: 1px solid var(--line); border-radius: 10px; }
section { padding: 22px 24px; margin: 18px 0; }
section > p { color: var(--soft); margin: 0 0 14px; max-width: 110ch; }
.numbers { display: grid; grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); gap: 14px;
  margin-top: -42px; }
.number { padding: 14px 18px; }
.number data { display: block; font-size: 25px; font-weight: 600; font-variant-numeric: tabular-nums; }
.number span { color: var(--soft); font-size: 13px; }
img { max-width: 100%; height: auto; }
.figure { display: block; margin: 0 auto; border-radius: 6px; }
.rows + .figure { margin-top: 20px; }
.side { display: flex; flex-wrap: wrap; gap: 28px; align-items: flex-start; }
.side > * { flex: 1 1 320px; min-width: 0; }
.rows { overflow-x: auto; max-height: 560px; overflow-y: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th { position: sticky; top: 0; background: var(--card); text-align: right;
  color: var(--soft); font-weight: 600; font-size: 13px; padding: 6px 10px;
  border-bottom: 2px solid var(--line); vertical-align: bottom; }
td { text-align: right; padding: 5px 10px; border-bottom: 1px solid var(--line); }
th:first-child, td:first-child, .text { text-align: left; }
td.text { overflow-wrap: anywhere; min-width: 8em; }
th button { all: unset; cursor: pointer; }
th button:hover, th button:focus-visible { color: var(--blue); text-decoration: underline; }
.cards { display: grid; grid-template-columns: repeat(auto-fill, minmax(330px, 1fr)); gap: 16px; }
.card { border: 1px solid var(--line); border-radius: 8px; padding: 12px; margin: 0; min-width: 0; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(90px, 1fr)); gap: 6px; }
.tiles div { max-width: 180px; overflow-wrap: anywhere;
  font-size: 11px; color: var(--soft); text-align: center; }
.tiles img { display: block; width: 100%; border-radius: 4px; }
figcaption { margin-top: 8px; font-size: 14px; overflow-wrap: anywhere; }
figcaption .file { display: block; color: var(--soft); font-size: 12px; }
.bad { color: var(--bad); } .good { color: var(--good); }
footer { color: var(--soft); font-size: 13px; padding: 4px 0 36px; }
@media print {
  body { background: #fff; }
  section, .card { break-inside: avoid; }
  .rows { max-height: none; }
}
"""

# Headings of tables become buttons that sort; without scripts the tables stay as they are.
SCRIPT = """
for (const table of document.querySelectorAll("table")) {
  table.querySelectorAll("th").forEach((head, column) => {
    const button = document.createElement("button");
    button.textContent = head.textContent;
    head.replaceChildren(button);
    let up = false;
    button.onclick = () => {
      up = !up;
      const value = row => row.cells[column].dataset.value ?? row.cells[column].textContent;
      const order = (a, b) => isNaN(a) || isNaN(b) ? String(a).localeCompare(String(b)) : a - b;
      const rows = [...table.tBodies[0].rows].sort((a, b) => order(value(a), value(b)) * (up ? 1 : -1));
      table.tBodies[0].append(...rows);
    };
  });
}
"""


class Card(NamedTuple):
    """A picture that is worth a look.

    Attributes:
        file: its name.
        answer: name of a class.
        score: of that, 0 to 1.
        is_right: whether the answer is.
        rest: what else is to be said, a text.
        tiles: caption and `uint8` `[H, W, 3]` of the picture, and of the heat maps over it.
    """

    file: str
    answer: str
    score: float
    is_right: bool
    rest: str
    tiles: List[Tuple[str, np.ndarray]]


class Section(NamedTuple):
    """A part of the page: its heading, a sentence as text, and its content as HTML."""

    title: str
    words: str
    content: str


def data_uri(content, kind):
    """The bytes of a picture as an address that holds them."""
    return f"data:image/{kind};base64,{base64.b64encode(content).decode('ascii')}"


def figure(content, words):
    """A PNG file's bytes as an image, `words` for those who cannot see it."""
    return f'<img class="figure" alt="{escape(words)}" src="{data_uri(content, "png")}">'


def thumbnail(picture):
    """A picture `uint8` `[H, W, 3]` as the address of a small JPEG."""
    small = Image.fromarray(picture)
    small.thumbnail((TILE, TILE))
    file = io.BytesIO()
    small.save(file, "JPEG", quality=QUALITY)
    return data_uri(file.getvalue(), "jpeg")


def cards(found):
    """`Card`s beside each other."""
    return f'<div class="cards">{"".join(map(_card, found))}</div>'


def _card(card):
    tiles = "".join(
        f'<div><img alt="{escape(words)}" src="{thumbnail(picture)}">{escape(words)}</div>'
        for words, picture in card.tiles
    )
    tone = "good" if card.is_right else "bad"
    said = f'<b class="{tone}">{escape(card.answer)}</b> {card.score:.1%}'
    if card.rest:
        said += f" · {escape(card.rest)}"
    caption = f'<figcaption>{said}<span class="file">{escape(card.file)}</span></figcaption>'
    return f'<figure class="card"><div class="tiles">{tiles}</div>{caption}</figure>'


def table(heads, rows, name=""):
    """A table that can be sorted.

    Args:
        heads: texts.
        rows: of each, a cell for each head: a text, or `(value, text)`.
        name: its id.
    """
    top = "".join(f"<th{_is_text(rows, column)}>{escape(head)}</th>" for column, head in enumerate(heads))
    body = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in rows)
    return (
        f'<div class="rows"><table id="{escape(name)}"><thead><tr>{top}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def _is_text(rows, column):
    return ' class="text"' if rows and isinstance(rows[0][column], str) else ""


def _cell(cell):
    if isinstance(cell, str):
        return f'<td class="text">{escape(cell)}</td>'
    value, text = cell
    return f'<td data-value="{value!r}">{escape(text)}</td>'


def numbers(found):
    """`(name, value, text, label)` of each number that the page starts with."""
    return "".join(
        f'<div class="number"><data id="{name}" value="{value!r}">{escape(text)}</data>'
        f"<span>{escape(label)}</span></div>"
        for name, value, text, label in found
    )


def page(title, lines, head, sections, foot):
    """The page as a text.

    Args:
        title: its heading.
        lines: texts below it.
        head: what `numbers` returns.
        sections: a `Section` for each part.
        foot: a text at its end.
    """
    parts = "".join(
        f"<section><h2>{escape(part.title)}</h2>"
        + (f"<p>{escape(part.words)}</p>" if part.words else "")
        + f"{part.content}</section>"
        for part in sections
    )
    below = "".join(f"<p>{escape(line)}</p>" for line in lines)
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{POLICY}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)}</title>
<link rel="icon" href="data:,">
<style>{STYLE}</style>
</head>
<body>
<header><div class="wide"><h1>{escape(title)}</h1>{below}</div></header>
<main class="wide"><div class="numbers">{head}</div>{parts}</main>
<footer class="wide">{escape(foot)}</footer>
<script>{SCRIPT}</script>
</body>
</html>
"""
