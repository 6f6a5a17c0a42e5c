"""Each number of an evaluation, against the same by hand."""

import numpy as np
import pytest

from ppcls_mixformer.understand import metrics


def test_the_summary(evaluation):
    found = metrics.summary(evaluation)
    assert found["top1"] == pytest.approx(4 / 6) and found["top5"] == 1
    assert (found["pictures"], found["mistakes"]) == (6, 2)
    scores = [0.7, 0.4, 0.05, 0.6, 0.45, 0.65]
    assert found["loss"] == pytest.approx(-np.mean(np.log(scores)))
    assert found["balanced_accuracy"] == pytest.approx((2 / 3 + 1 + 1 / 2) / 3)
    assert found["macro_f1"] == pytest.approx((2 / 3 + 2 / 3 + 2 / 3) / 3)  # of classes with pictures
    gaps = [0.3, 0.6, -0.9, 0.4, -0.5, 0.35]  # right or not, less the confidence; each in a bin of its own
    assert found["ece"] == pytest.approx(np.mean(np.abs(gaps)))


def test_top5_counts_the_places_of_many_classes():
    scores = np.tile(np.linspace(0.3, 0.1, 8), (2, 1))
    evaluation = metrics.Evaluation(["a", "b"], np.array([4, 5]), scores, list("abcdefgh"))
    assert metrics.summary(evaluation)["top5"] == 0.5


def test_calibration_joins_pictures_of_one_bin():
    scores = np.array([[0.62, 0.38], [0.66, 0.34], [0.64, 0.36]])
    evaluation = metrics.Evaluation(["a", "b", "c"], np.array([0, 1, 0]), scores, ["x", "y"])
    found = metrics.calibration(evaluation)
    assert found.counts.tolist() == [3 * (number == 9) for number in range(15)]
    assert found.accuracy[9] == pytest.approx(2 / 3) and found.confidence[9] == pytest.approx(0.64)
    assert found.error == pytest.approx(2 / 3 - 0.64)


def test_confusion_and_classes(evaluation):
    matrix = metrics.confusion(evaluation)
    assert matrix.tolist() == [[2, 1, 0, 0], [0, 1, 0, 0], [1, 0, 1, 0], [0, 0, 0, 0]]
    found = metrics.by_class(evaluation)
    assert found.support.tolist() == [3, 1, 2, 0] and found.predictions.tolist() == [3, 2, 1, 0]
    np.testing.assert_allclose(found.precision, [2 / 3, 1 / 2, 1, 0])
    np.testing.assert_allclose(found.recall, [2 / 3, 1, 1 / 2, 0])
    assert metrics.frequent_confusions(evaluation, 9) == [(0, 1, 1), (2, 0, 1)]
    assert metrics.frequent_confusions(evaluation, 1) == [(0, 1, 1)]


def test_mistakes_that_are_worth_a_look(evaluation):
    assert metrics.mistakes(evaluation, 1) == ([2], [4], [1])
    assert metrics.mistakes(evaluation, 9) == ([2, 4], [], [1, 3, 5, 0])
    assert metrics.mistakes(evaluation, 0) == ([], [], [])


def test_softmax_of_large_logits():
    found = metrics.softmax(np.array([[1000.0, 999.0], [-1000.0, -1000.0]], "float32"))
    np.testing.assert_allclose(found, [[1 / (1 + np.exp(-1)), 1 / (1 + np.exp(1))], [0.5, 0.5]])
