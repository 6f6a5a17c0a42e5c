"""What a report says of pictures of one class each."""

from ppcls_mixformer.understand import figures, metrics, page
from ppcls_mixformer.understand.parts import Group, Logged, Number, Shown, calibration_table, percent

CONFUSIONS = 12  # most frequent ones that are listed


class OneLabel:
    """The parts of a report of a `metrics.Evaluation`; `several_labels` has the same for several labels.

    Attributes:
        labels: how many a picture has, in a word.
        figures: names of the files that `sections` draws.
        logged: what a training log has of such an evaluation, the best first.
        columns: of the table of predictions.
    """

    labels = "one"
    figures = ("confusion.png", "by_class.png", "calibration.png")
    logged = (Logged("top1", "top-1 accuracy", max),)
    columns = (
        "file_name",
        "true_id",
        "true_name",
        "predicted_id",
        "predicted_name",
        "score",
        "true_score",
        "is_right",
    )

    def __init__(self, evaluation):
        """Takes a `metrics.Evaluation`."""
        self.evaluation = evaluation

    @staticmethod
    def numbers(classes):
        """The `Number`s of the head of a report of so many classes; of few the top 5 are always right."""
        tops = [1, metrics.TOP] if classes > metrics.TOP else [1]
        return [
            *(Number(f"top{top}", f"top-{top} accuracy") for top in tops),
            Number("macro_f1", "macro F1"),
            Number("loss", "cross-entropy", "{:.4f}"),
            Number("ece", "calibration error"),
            Number("mistakes", "mistakes in {pictures:,} pictures", "{:,}", is_compared=False),
        ]

    def summary(self):
        """All numbers by name."""
        return metrics.summary(self.evaluation)

    def rows(self):
        """A row for each picture of the table of predictions, in the order of the list."""
        evaluation = self.evaluation
        return zip(
            evaluation.files,
            evaluation.true.tolist(),
            [evaluation.names[number] for number in evaluation.true],
            evaluation.predicted.tolist(),
            [evaluation.names[number] for number in evaluation.predicted],
            evaluation.confidence.tolist(),
            evaluation.true_scores.tolist(),
            evaluation.is_right.astype(int).tolist(),
        )

    def sections(self, draw):
        """Yields the `page.Section`s on classes and calibration.

        Args:
            draw: of the name of a figure, words, a function of `figures` and its arguments, makes HTML.
        """
        yield self._confusion(draw)
        yield self._classes(draw)
        yield self._calibration(draw)

    def _confusion(self, draw):
        evaluation, names = self.evaluation, self.evaluation.names
        matrix = metrics.confusion(evaluation)
        drawn = draw("confusion.png", "confusion matrix", figures.draw_confusion, matrix, names)
        pairs = metrics.frequent_confusions(evaluation, CONFUSIONS)
        listed = page.table(
            ["true", "taken for", "times"],
            [[names[true], names[predicted], (count, f"{count:,}")] for true, predicted, count in pairs],
            "confusions",
        )
        return page.Section(
            "Confusion",
            "Rows are true classes, columns what they were taken for; colours are shares of the row.",
            f'<div class="side"><div>{drawn}</div>{listed if pairs else ""}</div>',
        )

    def _classes(self, draw):
        names, found = self.evaluation.names, metrics.by_class(self.evaluation)
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
        words = "precision and recall by class"
        drawn = draw("by_class.png", words, figures.draw_by_class, found, found.f1, "F1", names)
        left_out = len(names) - len(rows)
        return page.Section(
            "Classes",
            "Of all predictions of a class, precision is the share that is right; recall is the share of its "
            "pictures that were found; F1 is their harmonic mean."
            + (f" {left_out:,} classes without pictures and predictions are left out." if left_out else ""),
            page.table(heads, rows, "classes") + drawn,
        )

    def _calibration(self, draw):
        found = metrics.calibration(self.evaluation)
        mean, right = self.evaluation.confidence.mean(), self.evaluation.is_right.mean()
        tone = "more sure than right" if mean > right else "less sure than right"
        words = "confidence", "accuracy", "pictures"
        drawn = draw("calibration.png", "reliability diagram", figures.draw_calibration, found, *words)
        return page.Section(
            "Calibration",
            f"The model is {tone}: its mean confidence is {percent(mean)}, its accuracy {percent(right)}. "
            f"The expected calibration error over {metrics.BINS} bins is {percent(found.error)}.",
            f'<div class="side"><div>{drawn}</div>{calibration_table(found, *words)}</div>',
        )

    def groups(self, most):
        """The `Group`s of pictures that are worth a look, at most so many in each."""
        found, wrong = metrics.mistakes(self.evaluation, most), int((~self.evaluation.is_right).sum())
        return [
            Group(title, words, list(map(self._shown, chosen)))
            for title, words, chosen in (
                ("The worst mistakes", f"The most confident of {wrong:,} mistakes.", found.worst),
                ("The most doubtful mistakes", "Wrong with the least confidence.", found.doubtful),
                (
                    "Right by a hair",
                    "Right answers with the smallest lead over the next class.",
                    found.narrow,
                ),
            )
        ]

    def _shown(self, number):
        """The predicted class with its heat map and that of the true one, or else of the second best."""
        evaluation = self.evaluation
        *_, second, first = evaluation.scores[number].argsort()
        true, is_right = evaluation.true[number], bool(evaluation.is_right[number])
        rest = "" if is_right else f"true: {evaluation.names[true]} {evaluation.true_scores[number]:.1%}"
        score = float(evaluation.confidence[number])
        return Shown(number, [first, second if is_right else true], first, score, is_right, rest)
