"""What a report says of pictures with several labels each, or none."""

import functools

import numpy as np

from ppcls_mixformer.understand import figures, lettering, metrics, multilabel, page
from ppcls_mixformer.understand.parts import Group, Logged, Number, Shown, calibration_table, percent

BETWEEN = "|"  # labels of one picture in a cell
CONFUSIONS = 12  # most frequent ones that are listed
CURVES = 10  # classes that have a curve of their own
SAID = 5  # labels of a picture that its card names


class SeveralLabels:
    """The parts of a report of a `multilabel.Evaluation`, with the methods of `one_label.OneLabel`."""

    labels = "several"
    figures = ("precision_recall.png", "by_class.png", "together.png", "calibration.png")
    logged = (
        Logged("AccuracyScore", "AccuracyScore", max),
        Logged("HammingDistance", "HammingDistance", min),
    )

    def __init__(self, evaluation):
        """Takes a `multilabel.Evaluation`."""
        self.evaluation = evaluation
        self.found = multilabel.counts(evaluation)

    @staticmethod
    def numbers(classes):
        """The `Number`s of the head of a report."""
        return [
            Number("mean_ap", "mAP"),
            Number("macro_f1", "macro F1"),
            Number("micro_f1", "micro F1"),
            Number("accuracy", "labels right, AccuracyScore"),
            Number("hamming", "labels wrong, HammingDistance"),
            Number("exact_match", "pictures all right"),
            Number("loss", "binary cross-entropy", "{:.4f}"),
            Number("ece", "calibration error"),
            Number("mistakes", "wrong labels of {pictures:,} pictures", "{:,}", is_compared=False),
        ]

    @property
    def columns(self):
        """Of the table of predictions; the last ones are probabilities."""
        names = (f"score {name}" for name in self.evaluation.names)
        return ("file_name", "true_ids", "true_names", "predicted_ids", "predicted_names", "is_right", *names)

    @functools.cached_property
    def average_precision(self):
        """Of each class; nan for one without pictures."""
        return multilabel.average_precision(self.evaluation)

    def summary(self):
        """All numbers by name."""
        return multilabel.summary(self.evaluation, self.found, self.average_precision)

    def rows(self):
        """A row for each picture of the table of predictions, in the order of the list."""
        found = self.evaluation
        for row in zip(found.files, found.true, found.predicted, found.is_right.tolist(), found.scores):
            file, true, predicted, is_right, scores = row
            yield (file, *self._cells(true), *self._cells(predicted), int(is_right), *scores.tolist())

    def _cells(self, given):
        numbers = np.flatnonzero(given).tolist()
        return BETWEEN.join(map(str, numbers)), BETWEEN.join(self.evaluation.names[n] for n in numbers)

    def sections(self, draw):
        """Yields the `page.Section`s on classes and calibration.

        Args:
            draw: of the name of a figure, words, a function of `figures` and its arguments, makes HTML.
        """
        yield self._precision_recall(draw)
        yield self._classes(draw)
        yield self._together(draw)
        yield self._calibration(draw)

    def _precision_recall(self, draw):
        evaluation, found, precisions = self.evaluation, self.found, self.average_precision
        order = [number for number in np.argsort(precisions, kind="stable") if found.support[number]]
        curves = [
            (lettering.shown(evaluation.names[number], number), self._curve(number))
            for number in order[:CURVES]
        ]
        whole = multilabel.curve(evaluation.true.ravel(), evaluation.scores.ravel(), multilabel.total(found))
        words, draw_curves = "precision by recall", figures.draw_precision_recall
        drawn = draw("precision_recall.png", words, draw_curves, whole, curves)
        few = len(order) <= CURVES
        which = "each class" if few else f"the {CURVES} classes of the lowest average precision"
        return page.Section(
            "Precision and recall",
            "As the threshold falls, more labels are found and more are wrong. Dots mark the threshold of "
            f"{multilabel.THRESHOLD}, above which a label counts as given. Curves are of all labels together "
            f"and of {which}.",
            drawn,
        )

    def _curve(self, number):
        evaluation = self.evaluation
        found = multilabel.Counts(*(part[number] for part in self.found))
        return multilabel.curve(evaluation.true[:, number], evaluation.scores[:, number], found)

    def _classes(self, draw):
        names, found, precisions = self.evaluation.names, self.found, self.average_precision
        rows = [
            [
                name,
                (-1, "") if np.isnan(precisions[number]) else _share(precisions[number]),
                *(_share(values[number]) for values in (found.precision, found.recall, found.f1)),
                *((int(values[number]), f"{values[number]:,}") for values in (found.support, *found)),
            ]
            for number, name in enumerate(names)
            if found.support[number] or found.predictions[number]
        ]
        heads = ["class", "AP", "precision", "recall", "F1", "pictures"]
        heads += ["right yes", "false alarms", "missed", "right no"]
        words = "average precision, precision and recall by class"
        drawn = draw(
            "by_class.png", words, figures.draw_by_class, found, precisions, "average precision", names
        )
        left_out = len(names) - len(rows)
        return page.Section(
            "Classes",
            "AP, average precision, is the area below the curve of a class, at all thresholds. Of the "
            "pictures that are given a label, precision is the share that has it; recall is the share of its "
            "pictures that are given it; F1 is their harmonic mean."
            + (f" {left_out:,} classes without pictures and predictions are left out." if left_out else ""),
            page.table(heads, rows, "classes") + drawn,
        )

    def _together(self, draw):
        evaluation, names = self.evaluation, self.evaluation.names
        matrices = multilabel.together(evaluation)
        drawn = draw("together.png", "labels that come together", figures.draw_together, *matrices, names)
        pairs = multilabel.frequent_confusions(evaluation, CONFUSIONS)
        listed = page.table(
            ["missed", "given instead", "pictures"],
            [[names[missed], names[given], (count, f"{count:,}")] for missed, given, count in pairs],
            "confusions",
        )
        return page.Section(
            "Labels together",
            "Of the pictures that have the label of a row, the share that has the label of a column, too, "
            "and the share that is given it. What is darker on the right is given too often beside the label "
            "of its row; the diagonal on the right is recall.",
            drawn + (listed if pairs else ""),
        )

    def _calibration(self, draw):
        found = multilabel.calibration(self.evaluation)
        mean, there = self.evaluation.scores.mean(), self.evaluation.true.mean()
        words = "probability", "share that is there", "labels"
        drawn = draw("calibration.png", "reliability diagram", figures.draw_calibration, found, *words)
        return page.Section(
            "Calibration",
            f"Of all labels of all pictures, {percent(there)} are there, and the mean probability is "
            f"{percent(mean)}. The expected calibration error over {metrics.BINS} bins is "
            f"{percent(found.error)}.",
            f'<div class="side"><div>{drawn}</div>{calibration_table(found, *words)}</div>',
        )

    def groups(self, most):
        """The `Group`s of pictures that are worth a look, at most so many in each."""
        found = multilabel.mistakes(self.evaluation, most)
        alarms, misses = int(self.found.alarms.sum()), int(self.found.misses.sum())
        words = f"The most probable of {alarms:,} labels that are given and not there."
        missed = f"The least probable of {misses:,} labels that are there and not given."
        return [
            Group("The worst false alarms", words, [self._shown(*pair, "there") for pair in found.alarms]),
            Group("The worst misses", missed, [self._shown(*pair, "given") for pair in found.misses]),
        ]

    def _shown(self, number, chosen, kind):
        """A label that is wrong, beside those that are there or given."""
        evaluation = self.evaluation
        row = (evaluation.true if kind == "there" else evaluation.predicted)[number]
        others = sorted(np.flatnonzero(row), key=lambda other: -evaluation.scores[number, other])
        names = ", ".join(f"{evaluation.names[n]} {evaluation.scores[number, n]:.1%}" for n in others[:SAID])
        rest = f"{kind}: {names or 'none'}"
        if len(others) > SAID:
            rest += f" and {len(others) - SAID:,} more"
        return Shown(number, [chosen], chosen, float(evaluation.scores[number, chosen]), False, rest)


def _share(value):
    return float(value), percent(value)
