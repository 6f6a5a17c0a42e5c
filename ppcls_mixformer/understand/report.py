"""A report of an evaluation: one HTML page, its figures as PNG files, and every prediction as CSV."""

import csv
import json
from typing import Any, Callable, List, NamedTuple, Optional

from ppcls_mixformer.hosting import written
from ppcls_mixformer.hosting.whole import whole_set
from ppcls_mixformer.understand import beside, curves, figures, page
from ppcls_mixformer.understand.beside import ESCAPED, SUMMARY, TABLE
from ppcls_mixformer.understand.one_label import OneLabel
from ppcls_mixformer.understand.several_labels import SeveralLabels

PAGE = "report.html"
FIGURES = ("comparison.png", "curves.png", *dict.fromkeys((*OneLabel.figures, *SeveralLabels.figures)))
FILES = (*FIGURES, TABLE, PAGE, SUMMARY)


class Report(NamedTuple):
    """What a report is made of.

    Attributes:
        title: its heading.
        lines: what was evaluated, a text each.
        parts: a `OneLabel` or `SeveralLabels` of the evaluation.
        averages: what `curves.read_averages` returns; None without a log.
        log: of which file that is; or why there is none.
        tiles: of `(number of a picture, classes)`, makes caption and picture of each tile of that.
        heat: how the heat maps were made.
        most: pictures of each kind that are shown.
        others: `beside.Other`s to compare it with.
        foot: a text at its end.
    """

    title: str
    lines: List[str]
    parts: Any
    averages: Optional[dict]
    log: str
    tiles: Callable[[int, List[int]], List[Any]]
    heat: str
    most: int
    others: List[beside.Other]
    foot: str

    @property
    def numbers(self):
        """The `parts.Number`s of its head."""
        return self.parts.numbers(len(self.parts.evaluation.names))


def check_output(flag, folder):
    """Refuses a folder in which files would be replaced that no report has written, or not like that.

    Args:
        flag: that names it.

    Raises:
        UserError: names the file.
    """
    written.check(flag, folder, [folder / name for name in FILES], SUMMARY)


def write(report, folder):
    """Writes the files of a `Report` into a folder, all or none, and returns its numbers."""
    found, placed = report.parts.summary(), []
    with whole_set(folder, asked=(*FIGURES, TABLE, PAGE)) as part:

        def place(name):
            placed.append(part(folder / name))
            return placed[-1]

        def draw(name, words, function, *arguments):
            path = place(name)
            function(*arguments, path)
            return page.figure(path.read_bytes(), words)

        write_predictions(report.parts, place(TABLE))
        sections = [
            *_beside(report, found, draw),
            *_curves(report, draw),
            *report.parts.sections(draw),
            *_worth_a_look(report, found),
        ]
        head = page.numbers(
            [(number.name, *number.cell(found), number.label.format(**found)) for number in report.numbers]
        )
        text = page.page(report.title, report.lines, head, sections, report.foot)
        place(PAGE).write_bytes(text.encode("utf-8", ESCAPED))
        digests = {path.name: written.digest(path) for path in placed}
        with open(part(folder / SUMMARY), "w", encoding="utf-8") as file:
            json.dump(_summary(report, found, digests), file, indent=1)
    return found


def _summary(report, found, digests):
    """What report.json says."""
    return {
        "title": report.title,
        "labels": report.parts.labels,
        **found,
        "classes": report.parts.evaluation.names,
        "averages": report.averages,
        "files": digests,
    }


def write_predictions(parts, path):
    """Writes a row for each picture, in the order of the list."""
    with open(path, "w", encoding="utf-8", errors=ESCAPED, newline="") as file:
        rows = csv.writer(file)
        rows.writerow(parts.columns)
        rows.writerows(parts.rows())


def _beside(report, found, draw):
    if not report.others:
        return
    evaluation, compared = report.parts.evaluation, [n for n in report.numbers if n.is_compared]
    own = dict(zip(map(beside.known_as, evaluation.files), evaluation.is_right.tolist()))
    rows = [[f"{report.title} (this one)", *_compared(found, compared), *[(-1, "")] * 3]]
    for other in report.others:
        counts = beside.only_one_right(own, other.is_right)
        counted = ((count, f"{count:,}") for count in counts)
        rows.append([other.title, *_compared(other.numbers, compared), *counted])
    heads = ["report", *(number.label for number in compared), "pictures"]
    heads += ["only this one right", "only the other right", "in both"]
    runs = [(name, run) for name, run in [("this one", report.averages)] if run]
    runs += [(other.title, other.averages) for other in report.others if other.averages]
    drawn = ""
    if runs:
        metric = _logged(report.parts, [averages for _, averages in runs])
        words = "evaluation by epoch, side by side"
        drawn = draw("comparison.png", words, figures.draw_runs, runs, metric.name, metric.words)
    words = "The last columns compare picture by picture, those that are in both reports."
    strange = [other.title for other in report.others if other.classes not in (None, evaluation.names)]
    if strange:
        words += f" Its numbers are of other classes: {', '.join(strange)}."
    yield page.Section("Side by side", words, page.table(heads, rows, "beside") + drawn)


def _compared(found, compared):
    pictures = int(found["pictures"])
    return [*(number.cell(found) for number in compared), (pictures, f"{pictures:,}")]


def _logged(parts, logs):
    """The first metric that an evaluation in one of the `logs` has."""
    for metric in parts.logged:
        if any(curves.points(averages, "Eval", metric.name)[0] for averages in logs):
            return metric
    return parts.logged[0]


def _curves(report, draw):
    if not report.averages:
        return [page.Section("Training", report.log, "")]
    metric = _logged(report.parts, [report.averages])
    measured = [
        (value, epoch)
        for phase in ("Eval", "EMA")
        for epoch, value in zip(*curves.points(report.averages, phase, metric.name))
    ]
    words = f"From {report.log}."
    if measured:
        value = metric.best(value for value, _ in measured)
        epoch = min(epoch for other, epoch in measured if other == value)
        last = max(epoch for _, epoch in measured)
        words += f" The best epoch was {epoch} of {last}, with {value:.2%} on evaluation."
    drawn = draw(
        "curves.png",
        "loss and accuracy by epoch",
        figures.draw_curves,
        *(report.averages, metric.name, metric.words),
    )
    return [page.Section("Training", words, drawn)]


def _worth_a_look(report, found):
    if not found["mistakes"]:
        yield page.Section("Mistakes", "There are none.", "")
    heat = report.heat  # said once
    for group in report.parts.groups(report.most):
        if group.shown:
            cards = (_card(report, shown) for shown in group.shown)
            yield page.Section(group.title, f"{group.words} {heat}".strip(), page.cards(cards))
            heat = ""


def _card(report, shown):
    evaluation = report.parts.evaluation
    return page.Card(
        evaluation.files[shown.number],
        evaluation.names[shown.answer],
        shown.score,
        shown.is_right,
        shown.rest,
        report.tiles(shown.number, shown.classes),
    )
