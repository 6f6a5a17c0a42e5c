"""Each number of an evaluation of several labels, against the same by hand or by another function."""

import warnings

import numpy as np
import pytest
from sklearn import metrics as sklearn

from ppcls_mixformer.understand import multilabel


def test_the_counts(several):
    found = multilabel.counts(several)
    assert [part.tolist() for part in found] == [[2, 2, 1, 0], [0, 1, 0, 0], [1, 0, 1, 0], [3, 3, 4, 6]]
    np.testing.assert_allclose(found.precision, [1, 2 / 3, 1, 0])
    np.testing.assert_allclose(found.recall, [2 / 3, 1, 1 / 2, 0])
    assert found.support.tolist() == [3, 2, 2, 0] and found.predictions.tolist() == [2, 3, 1, 0]


def test_the_summary(several):
    found = multilabel.counts(several)
    precisions = multilabel.average_precision(several)
    summary = multilabel.summary(several, found, precisions)
    assert (summary["pictures"], summary["mistakes"]) == (6, 3)
    assert summary["hamming"] == pytest.approx(3 / 24) and summary["accuracy"] == pytest.approx(21 / 24)
    assert summary["exact_match"] == pytest.approx(4 / 6)
    true, given = several.true.astype(int), several.predicted.astype(int)
    assert summary["micro_f1"] == pytest.approx(sklearn.f1_score(true, given, average="micro"))
    of_present = sklearn.f1_score(true[:, :3], given[:, :3], average="macro")
    assert summary["macro_f1"] == pytest.approx(of_present)
    assert np.isnan(precisions[3])
    assert summary["mean_ap"] == pytest.approx(
        sklearn.average_precision_score(true[:, :3], several.scores[:, :3], average="macro")
    )
    assert summary["loss"] == pytest.approx(sklearn.log_loss(true.ravel(), several.scores.ravel()))


def test_calibration_is_of_all_labels(several):
    found = multilabel.calibration(several)
    assert found.counts.sum() == 24
    lowest = several.scores <= 1 / 15
    assert found.counts[0] == lowest.sum() == 3 and found.accuracy[0] == 0
    assert found.confidence[0] == pytest.approx(several.scores[lowest].mean())


def test_curves_end_at_full_recall_and_mark_the_threshold(several):
    found = multilabel.counts(several)
    whole = multilabel.curve(several.true.ravel(), several.scores.ravel(), multilabel.total(found), most=9)
    assert 5 < len(whole.recall) <= 9 and (whole.recall[0], whole.recall[-1]) == (1, 0)
    assert whole.point == pytest.approx((5 / 7, 5 / 6))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        none = multilabel.curve(several.true[:, 3], several.scores[:, 3], multilabel.total(found))
    assert not len(none.recall)


def test_labels_together_and_what_is_taken_for_what(several):
    there, given = multilabel.together(several)
    assert there.tolist() == [[3, 1, 1, 0], [1, 2, 0, 0], [1, 0, 2, 0], [0, 0, 0, 0]]
    assert given.tolist() == [[2, 2, 1, 0], [1, 2, 0, 0], [1, 0, 1, 0], [0, 0, 0, 0]]
    assert multilabel.frequent_confusions(several, 9) == [(0, 1, 1)]


def test_mistakes_that_are_worth_a_look(several):
    assert multilabel.mistakes(several, 9) == ([(1, 1)], [(1, 0), (5, 2)])
    assert multilabel.mistakes(several, 1) == ([(1, 1)], [(1, 0)])
    assert multilabel.mistakes(several, 0) == ([], [])


def test_one_label_and_no_picture_that_has_it():
    evaluation = multilabel.Evaluation(["a", "b"], np.zeros((2, 1), bool), np.array([[0.7], [0.2]]), ["x"])
    found, precisions = multilabel.counts(evaluation), multilabel.average_precision(evaluation)
    summary = multilabel.summary(evaluation, found, precisions)
    assert summary["mean_ap"] == summary["macro_f1"] == summary["micro_f1"] == 0
    assert summary["accuracy"] == summary["exact_match"] == 0.5


def test_sigmoid_of_large_logits():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = multilabel.sigmoid(np.array([-1000.0, -30.0, 0.0, 2.0, 1000.0], "float32"))
    np.testing.assert_allclose(found, [0, np.exp(-30), 0.5, 1 / (1 + np.exp(-2)), 1], rtol=1e-12)
