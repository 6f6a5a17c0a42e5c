"""A report of an evaluation: one HTML page, its figures as PNG files, and every prediction as CSV."""

import csv
import json
from typing import Any, Callable, List, NamedTuple, Optional

from ppcls_mixformer.hosting.whole import whole_set
from ppcls_mixformer.understand import beside, curves, figures, metrics, page
from ppcls_mixformer.understand.beside import ESCAPED, SUMMARY, TABLE

PAGE = "report.html"
FIGURES = ("comparison.png", "curves.png", "confusion.png", "by_class.png", "calibration.png")
COLUMNS = (
    "file_name",
    "true_id",
    "true_name",
    "predicted_id",
    "predicted_name",
    "score",
    "true_score",
    "is_right",
)
CONFUSIONS = 12  # most frequent ones that are listed


class Report(NamedTuple):
    """What a report is made of.

    Attributes:
        title: its heading.
        lines: what was evaluated, a text each.
        evaluation: a `metrics.Evaluation`.
        averages: what `curves.read_averages` returns; None without a log.
        log: of which file that is; or why there is none.
        tiles: from numbers of pictures to caption and picture of each of their tiles.
        heat: how the heat maps were made.
        most: pictures of each kind that are shown.
        others: `beside.Other`s to compare it with.
        foot: a text at its end.
    """

    title: str
    lines: List[str]
    evaluation: metrics.Evaluation
    averages: Optional[dict]
    log: str
    tiles: Callable[[List[int]], List[Any]]
    heat: str
    most: int
    others: List[beside.Other]
    foot: str


def write(report, folder):
    """Writes the files of a `Report` into a folder, all or none, and returns the numbers of its head."""
    found = metrics.summary(report.evaluation)
    with whole_set(folder, asked=(*FIGURES, TABLE, SUMMARY)) as part:
        write_predictions(report.evaluation, part(folder / TABLE))
        with open(part(folder / SUMMARY), "w", encoding="utf-8") as file:
            json.dump({"title": report.title, **found, "averages": report.averages}, file, indent=1)
        sections = [
            *_beside(report, found, part, folder),
            *_curves(report, part, folder),
            *_classes(report.evaluation, part, folder),
            _calibration(report.evaluation, part, folder),
            *_mistakes(report),
        ]
        head = page.numbers(_head(found, _accuracies(report.evaluation)))
        text = page.page(report.title, report.lines, head, sections, report.foot)
        part(folder / PAGE).write_bytes(text.encode("utf-8", ESCAPED))
    return found


def write_predictions(evaluation, path):
    """Writes a row for each picture, in the order of the list."""
    columns = (
        evaluation.files,
        evaluation.true.tolist(),
        [evaluation.names[number] for number in evaluation.true],
        evaluation.predicted.tolist(),
        [evaluation.names[number] for number in evaluation.predicted],
        evaluation.confidence.tolist(),
        evaluation.true_scores.tolist(),
        evaluation.is_right.astype(int).tolist(),
    )
    with open(path, "w", encoding="utf-8", errors=ESCAPED, newline="") as file:
        rows = csv.writer(file)
        rows.writerow(COLUMNS)
        rows.writerows(zip(*columns))


def _accuracies(evaluation):
    """`{name: words}` of the accuracies that say something; of so few classes the top 5 are always right."""
    tops = [1, metrics.TOP] if len(evaluation.names) > metrics.TOP else [1]
    return {f"top{top}": f"top-{top}" for top in tops}


def _head(found, accuracies):
    def share(name):
        return found[name], f"{found[name]:.2%}"

    return [
        *((name, *share(name), f"{words} accuracy") for name, words in accuracies.items()),
        ("macro_f1", *share("macro_f1"), "macro F1"),
        ("loss", found["loss"], f"{found['loss']:.4f}", "cross-entropy"),
        ("ece", *share("ece"), "calibration error"),
        (
            "mistakes",
            found["mistakes"],
            f"{found['mistakes']:,}",
            f"mistakes in {found['pictures']:,} pictures",
        ),
    ]


def _drawn(name, words, part, folder, draw, *arguments):
    """Draws a figure to its file, and returns it as HTML."""
    path = part(folder / name)
    draw(*arguments, path)
    return page.figure(path.read_bytes(), words)


def _beside(report, found, part, folder):
    if not report.others:
        return
    evaluation, accuracies = report.evaluation, _accuracies(report.evaluation)
    own = dict(zip(map(beside.known_as, evaluation.files), evaluation.is_right.tolist()))
    rows = [[f"{report.title} (this one)", *_compared(found, accuracies), *[(-1, "")] * 3]]
    for other in report.others:
        counts = beside.only_one_right(own, other.is_right)
        counted = ((count, f"{count:,}") for count in counts)
        rows.append([other.title, *_compared(other.numbers, accuracies), *counted])
    heads = ["report", *accuracies.values(), "macro F1", "cross-entropy", "calibration error", "pictures"]
    heads += ["only this one right", "only the other right", "in both"]
    runs = [(name, run) for name, run in [("this one", report.averages)] if run]
    runs += [(other.title, other.averages) for other in report.others if other.averages]
    drawn = ""
    if runs:
        drawn = _drawn(
            "comparison.png", "evaluation by epoch, side by side", part, folder, figures.draw_runs, runs
        )
    yield page.Section(
        "Side by side",
        "The last columns compare picture by picture, those that are in both reports.",
        page.table(heads, rows, "beside") + drawn,
    )


def _compared(found, accuracies):
    shares = ((found[name], f"{found[name]:.2%}") for name in (*accuracies, "macro_f1"))
    rest = (found["loss"], f"{found['loss']:.4f}"), (found["ece"], f"{found['ece']:.2%}")
    return [*shares, *rest, (int(found["pictures"]), f"{int(found['pictures']):,}")]


def _curves(report, part, folder):
    if not report.averages:
        return [page.Section("Training", report.log, "")]
    measured = [
        (value, -epoch)  # the first of equals is the greatest
        for phase in ("Eval", "EMA")
        for epoch, value in zip(*curves.points(report.averages, phase, "top1"))
    ]
    words = f"From {report.log}."
    if measured:
        value, epoch = max(measured)
        last = -min(epoch for _, epoch in measured)
        words += f" The best epoch was {-epoch} of {last}, with {value:.2%} on evaluation."
    drawn = _drawn(
        "curves.png", "loss and accuracy by epoch", part, folder, figures.draw_curves, report.averages
    )
    return [page.Section("Training", words, drawn)]


def _classes(evaluation, part, folder):
    names, found = evaluation.names, metrics.by_class(evaluation)
    matrix = _drawn(
        "confusion.png",
        "confusion matrix",
        part,
        folder,
        figures.draw_confusion,
        metrics.confusion(evaluation),
        names,
    )
    pairs = metrics.frequent_confusions(evaluation, CONFUSIONS)
    listed = page.table(
        ["true", "taken for", "times"],
        [[names[true], names[predicted], (count, f"{count:,}")] for true, predicted, count in pairs],
        "confusions",
    )
    yield page.Section(
        "Confusion",
        "Rows are true classes, columns what they were taken for; colours are shares of the row.",
        f'<div class="side"><div>{matrix}</div>{listed if pairs else ""}</div>',
    )
    rows = [
        [
            name,
            *((float(values[number]), f"{values[number]:.2%}") for values in found[:3]),
            *((int(values[number]), f"{values[number]:,}") for values in found[3:]),
        ]
        for number, name in enumerate(names)
        if found.support[number] or found.predictions[number]
    ]
    heads = ["class", "precision", "recall", "F1", "pictures", "predictions"]
    drawn = _drawn(
        "by_class.png", "precision and recall by class", part, folder, figures.draw_by_class, found, names
    )
    left_out = len(names) - len(rows)
    yield page.Section(
        "Classes",
        "Of all predictions of a class, precision is the share that is right; recall is the share of its "
        "pictures that were found; F1 is their harmonic mean."
        + (f" {left_out:,} classes without pictures and predictions are left out." if left_out else ""),
        page.table(heads, rows, "classes") + drawn,
    )


def _calibration(evaluation, part, folder):
    found = metrics.calibration(evaluation)
    mean, right = evaluation.confidence.mean(), evaluation.is_right.mean()
    tone = "more sure than right" if mean > right else "less sure than right"
    drawn = _drawn("calibration.png", "reliability diagram", part, folder, figures.draw_calibration, found)
    return page.Section(
        "Calibration",
        f"The model is {tone}: its mean confidence is {mean:.2%}, its accuracy {right:.2%}. The expected "
        f"calibration error over {metrics.BINS} bins is {found.error:.2%}.",
        f'<div class="side"><div>{drawn}</div>{_bins(found)}</div>',
    )


def _bins(found):
    rows = [
        [
            (low, f"{low:.0%} to {high:.0%}"),
            (int(count), f"{count:,}"),
            (float(confidence), f"{confidence:.2%}"),
            (float(accuracy), f"{accuracy:.2%}"),
        ]
        for low, high, count, confidence, accuracy in zip(
            found.edges[:-1].tolist(), found.edges[1:], found.counts, found.confidence, found.accuracy
        )
        if count
    ]
    return page.table(["confidence", "pictures", "mean confidence", "accuracy"], rows, "bins")


def _mistakes(report):
    found = metrics.mistakes(report.evaluation, report.most)
    wrong = int((~report.evaluation.is_right).sum())
    if not wrong:
        yield page.Section("Mistakes", "There are none.", "")
    for title, words, chosen in (
        ("The worst mistakes", f"The most confident of {wrong:,} mistakes. {report.heat}", found.worst),
        ("The most doubtful mistakes", "Wrong with the least confidence.", found.doubtful),
        ("Right by a hair", "Right answers with the smallest lead over the next class.", found.narrow),
    ):
        if chosen:
            yield page.Section(title, words.strip(), page.cards(_cards(report, chosen)))


def _cards(report, chosen):
    evaluation = report.evaluation
    for number, tiles in zip(chosen, report.tiles(chosen)):
        yield page.Card(
            evaluation.files[number],
            evaluation.names[evaluation.true[number]],
            evaluation.names[evaluation.predicted[number]],
            float(evaluation.confidence[number]),
            float(evaluation.true_scores[number]),
            tiles,
        )
