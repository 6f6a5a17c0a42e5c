"""What an evaluation of pictures with several labels says: each class is a yes or no of its own."""

from typing import List, NamedTuple

import numpy as np

from ppcls_mixformer.understand import metrics

THRESHOLD = 0.5  # above which PaddleClas, too, takes a label for given
TINY = 1e-15


class Evaluation(NamedTuple):
    """Probabilities of the labels of pictures, of which each has any number.

    Attributes:
        files: name of each picture.
        true: whether it has each label, bool `[N, classes]`.
        scores: probabilities, float64 `[N, classes]`.
        names: of all classes.
    """

    files: List[str]
    true: np.ndarray
    scores: np.ndarray
    names: List[str]

    @property
    def predicted(self):
        """Whether the picture is said to have each label, bool `[N, classes]`."""
        return self.scores > THRESHOLD

    @property
    def is_right(self):
        """Whether all labels of the picture are right, `[N]`."""
        return (self.predicted == self.true).all(axis=1)


class Counts(NamedTuple):
    """Right yes, false alarms, misses and right no of each class, or of all together."""

    hits: np.ndarray
    alarms: np.ndarray
    misses: np.ndarray
    rest: np.ndarray

    @property
    def precision(self):
        """Of the labels that are given, the share that is right; 0 where none are given."""
        return self.hits / np.maximum(self.hits + self.alarms, 1)

    @property
    def recall(self):
        """Of the labels that pictures have, the share that is given; 0 where there are none."""
        return self.hits / np.maximum(self.support, 1)

    @property
    def f1(self):
        """Harmonic mean of precision and recall; 0 where both are."""
        return 2 * self.hits / np.maximum(2 * self.hits + self.alarms + self.misses, 1)

    @property
    def support(self):
        """Pictures that have the label."""
        return self.hits + self.misses

    @property
    def predictions(self):
        """Pictures that are said to have the label."""
        return self.hits + self.alarms


class Curve(NamedTuple):
    """Precision by recall, as the threshold falls; and both at `THRESHOLD`, `point`."""

    recall: np.ndarray
    precision: np.ndarray
    point: tuple


def sigmoid(logits):
    """Probabilities of `logits`, in float64."""
    return np.exp(-np.logaddexp(0, -logits.astype("float64")))


def counts(evaluation):
    """The `Counts` of each class, `[classes]` each."""
    true, predicted = evaluation.true, evaluation.predicted
    parts = (true & predicted, ~true & predicted, true & ~predicted, ~true & ~predicted)
    return Counts(*(part.sum(axis=0) for part in parts))


def total(found):
    """The `Counts` of all classes together."""
    return Counts(*(part.sum() for part in found))


def average_precision(evaluation):
    """The area below the curve of precision by recall, `[classes]`; nan for a class without pictures."""
    from sklearn.metrics import average_precision_score

    return np.array(
        [
            average_precision_score(true, scores) if true.any() else np.nan
            for true, scores in zip(evaluation.true.T, evaluation.scores.T)
        ]
    )


def curve(true, scores, found, most=1000):
    """The `Curve` of labels and probabilities, `[N]` each, in at most so many points.

    Args:
        found: their `Counts`.
    """
    from sklearn.metrics import precision_recall_curve

    point = float(found.recall), float(found.precision)
    if not true.any():
        return Curve(np.zeros(0), np.zeros(0), point)
    precision, recall, _ = precision_recall_curve(true, scores)
    by_number = np.linspace(0, len(recall) - 1, most // 2).astype(int)
    by_recall = np.searchsorted(-recall, np.linspace(-1, 0, most - most // 2))
    kept = np.unique([*by_number, *by_recall])
    return Curve(recall[kept], precision[kept], point)


def losses(evaluation):
    """Binary cross-entropy of each label, in nats, `[N, classes]`."""
    scores = evaluation.scores
    return -np.log(np.maximum(np.where(evaluation.true, scores, 1 - scores), TINY))


def summary(evaluation, found, precisions):
    """The numbers in one line each, by name: shares from 0 to 1, a loss in nats, and counts.

    Macro F1 and mAP are means of the classes that have pictures. `accuracy` is what PaddleClas calls
    AccuracyScore, `exact_match` the same with `base: sample`, and `hamming` its HammingDistance.

    Args:
        found: the `Counts` of the evaluation, `precisions`: its average precision by class.
    """
    whole, present, labels = total(found), found.support > 0, evaluation.true.size
    wrong = int(whole.alarms + whole.misses)
    return {
        "mean_ap": _mean(precisions[present]),
        "macro_f1": _mean(found.f1[present]),
        "micro_f1": float(whole.f1),
        "accuracy": 1 - wrong / labels,
        "exact_match": float(evaluation.is_right.mean()),
        "hamming": wrong / labels,
        "loss": float(losses(evaluation).mean()),
        "ece": calibration(evaluation).error,
        "pictures": len(evaluation.true),
        "mistakes": wrong,
    }


def _mean(values):
    return float(values.mean()) if len(values) else 0.0


def calibration(evaluation):
    """The `metrics.Calibration` of all labels: how often pictures have them, by probability."""
    return metrics.calibrated(evaluation.scores.ravel(), evaluation.true.ravel())


def together(evaluation):
    """How many pictures that have one label (rows) have each, and are said to have each, wrongly or not.

    Returns:
        Two arrays, `[classes, classes]`.
    """
    true = evaluation.true.astype("float32")  # whose products are fast, and exact below 2 to the 24th
    return tuple(np.rint(true.T @ other).astype(int) for other in (true, evaluation.predicted))


def frequent_confusions(evaluation, most):
    """`(missed, given instead, pictures)` of the classes that are taken for another most often."""
    alarms = (evaluation.predicted & ~evaluation.true).astype("float32")
    misses = (evaluation.true & ~evaluation.predicted).astype("float32")
    times = np.rint(misses.T @ alarms).astype(int)
    order = np.argsort(-times, axis=None, kind="stable")[:most]
    pairs = zip(*np.unravel_index(order, times.shape))
    return [(int(row), int(column), int(times[row, column])) for row, column in pairs if times[row, column]]


class Mistakes(NamedTuple):
    """`(picture, class)` of labels that are worth a look, the worst first.

    Attributes:
        alarms: given with a high probability, and not there.
        misses: there, with a low probability.
    """

    alarms: List[tuple]
    misses: List[tuple]


def mistakes(evaluation, most):
    """The `Mistakes` of an evaluation, at most so many of each kind."""
    true, predicted, scores = evaluation.true, evaluation.predicted, evaluation.scores
    alarms = _first(predicted & ~true, -scores, most)
    return Mistakes(alarms, _first(true & ~predicted, scores, most))


def _first(chosen, keys, most):
    """Places in two arrays at which the first is True, by the second, the least first."""
    rows, columns = np.nonzero(chosen)
    order = np.argsort(keys[rows, columns], kind="stable")[:most]
    return list(zip(rows[order].tolist(), columns[order].tolist()))
