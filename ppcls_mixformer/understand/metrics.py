"""What an evaluation of pictures of one class each says: accuracy, confusion, calibration, mistakes."""

from typing import List, NamedTuple

import numpy as np

BINS = 15  # of confidence, as usual for the expected calibration error
TOP = 5


class Evaluation(NamedTuple):
    """Scores of pictures of one class each, which is known.

    Attributes:
        files: name of each picture.
        true: number of its class, int `[N]`.
        scores: `[N, classes]`, each row adds up to 1.
        names: of all classes.
    """

    files: List[str]
    true: np.ndarray
    scores: np.ndarray
    names: List[str]

    @property
    def predicted(self):
        """Number of the class with the highest score, `[N]`."""
        return self.scores.argmax(axis=1)

    @property
    def confidence(self):
        """That score, `[N]`."""
        return self.scores.max(axis=1)

    @property
    def is_right(self):
        """Whether it is the true class, `[N]`."""
        return self.predicted == self.true

    @property
    def margin(self):
        """The highest score less the second highest, `[N]`."""
        if self.scores.shape[1] < 2:
            return self.confidence
        second, first = np.partition(self.scores, -2, axis=1)[:, -2:].T
        return first - second

    @property
    def true_scores(self):
        """The score of the true class, `[N]`."""
        return self.scores[np.arange(len(self.true)), self.true]


class Calibration(NamedTuple):
    """How far confidence can be taken for a probability, by bins of confidence.

    Attributes:
        edges: of the bins, `[BINS + 1]`.
        counts, accuracy, confidence: of the answers in each bin, `[BINS]`; nan where there are none.
        error: the expected calibration error, 0 to 1.
    """

    edges: np.ndarray
    counts: np.ndarray
    accuracy: np.ndarray
    confidence: np.ndarray
    error: float


class ByClass(NamedTuple):
    """Precision, recall and F1 (0 to 1), pictures, and predictions of each class, `[classes]` each."""

    precision: np.ndarray
    recall: np.ndarray
    f1: np.ndarray
    support: np.ndarray
    predictions: np.ndarray


def softmax(logits):
    """Scores of `logits` `[N, classes]`, in float64."""
    powers = np.exp(logits.astype("float64") - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def summary(evaluation):
    """The numbers in one line each, by name: shares from 0 to 1, a loss in nats, and counts."""
    found, present = by_class(evaluation), np.unique(evaluation.true)
    top = min(TOP, evaluation.scores.shape[1])
    better = (evaluation.scores > evaluation.true_scores[:, None]).sum(axis=1)
    return {
        "top1": float(evaluation.is_right.mean()),
        f"top{TOP}": float((better < top).mean()),
        "macro_f1": float(found.f1[present].mean()),
        "balanced_accuracy": float(found.recall[present].mean()),
        "loss": float(-np.log(np.maximum(evaluation.true_scores, 1e-30)).mean()),
        "ece": calibration(evaluation).error,
        "pictures": len(evaluation.true),
        "mistakes": int((~evaluation.is_right).sum()),
    }


def confusion(evaluation):
    """How often each class (rows) was taken for each (columns), `[classes, classes]`."""
    from sklearn.metrics import confusion_matrix

    return confusion_matrix(evaluation.true, evaluation.predicted, labels=range(len(evaluation.names)))


def by_class(evaluation):
    """The `ByClass` of an evaluation; what would be a division by 0 is 0."""
    from sklearn.metrics import precision_recall_fscore_support

    classes = len(evaluation.names)
    found = precision_recall_fscore_support(
        evaluation.true, evaluation.predicted, labels=range(classes), zero_division=0
    )
    return ByClass(*found, np.bincount(evaluation.predicted, minlength=classes))


def calibration(evaluation):
    """The `Calibration` of an evaluation."""
    return calibrated(evaluation.confidence, evaluation.is_right)


def calibrated(confidence, is_right):
    """The `Calibration` of answers, `[N]` each (arXiv 1706.04599, bins of equal width)."""
    edges = np.linspace(0, 1, BINS + 1)
    numbers = np.clip(np.ceil(confidence * BINS).astype(int) - 1, 0, BINS - 1)
    counts = np.bincount(numbers, minlength=BINS)
    with np.errstate(invalid="ignore"):
        accuracy, confidence = (
            np.bincount(numbers, values, BINS) / counts for values in (is_right.astype("float64"), confidence)
        )
    error = np.nansum(np.abs(accuracy - confidence) * counts) / counts.sum()
    return Calibration(edges, counts, accuracy, confidence, float(error))


def frequent_confusions(evaluation, most):
    """`(true, predicted, count)` of the most frequent mistakes, at most so many."""
    wrong = ~evaluation.is_right
    pairs = np.stack([evaluation.true[wrong], evaluation.predicted[wrong]], axis=1)
    found, counts = np.unique(pairs, axis=0, return_counts=True)
    order = np.argsort(-counts, kind="stable")[:most]
    return [(*map(int, found[index]), int(counts[index])) for index in order]


class Mistakes(NamedTuple):
    """Numbers of pictures that are worth a look, in their order.

    Attributes:
        worst: wrong, and most sure of it.
        doubtful: wrong, and least sure of it; none of the worst.
        narrow: right, by the smallest margin.
    """

    worst: List[int]
    doubtful: List[int]
    narrow: List[int]


def mistakes(evaluation, most):
    """The `Mistakes` of an evaluation, at most so many of each kind."""
    (wrong,), (right,) = np.nonzero(~evaluation.is_right), np.nonzero(evaluation.is_right)
    wrong = wrong[np.argsort(-evaluation.confidence[wrong], kind="stable")]
    right = right[np.argsort(evaluation.margin[right], kind="stable")]
    worst, rest = wrong[:most], wrong[most:]
    return Mistakes(worst.tolist(), rest[::-1][:most].tolist(), right[:most].tolist())
