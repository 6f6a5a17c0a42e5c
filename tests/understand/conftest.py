"""Evaluations whose numbers can be counted by hand."""

import numpy as np
import pytest

from ppcls_mixformer.understand import metrics, multilabel


@pytest.fixture
def evaluation():
    """Six pictures of three of four classes; the third and the fifth are taken for others."""
    scores = [
        [0.70, 0.10, 0.10, 0.10],
        [0.40, 0.30, 0.20, 0.10],
        [0.05, 0.90, 0.03, 0.02],  # of class 0
        [0.20, 0.60, 0.10, 0.10],
        [0.50, 0.05, 0.45, 0.00],  # of class 2
        [0.10, 0.10, 0.65, 0.15],
    ]
    names = ["cat", "dog", "<b>é & 中</b>", "none"]
    files = [f"folder/{number}.png" for number in range(6)]
    return metrics.Evaluation(files, np.array([0, 0, 0, 1, 2, 2]), np.array(scores), names)


@pytest.fixture
def several():
    """Six pictures with some of four labels each; a false alarm, two misses, and a class that none has."""
    true = [[1, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0], [0, 1, 0, 0], [1, 0, 1, 0], [0, 0, 1, 0]]
    scores = [
        [0.80, 0.70, 0.10, 0.10],
        [0.20, 0.90, 0.10, 0.10],  # no cat, but a dog
        [0.30, 0.40, 0.10, 0.10],
        [0.10, 0.60, 0.20, 0.10],
        [0.90, 0.05, 0.60, 0.05],
        [0.10, 0.20, 0.45, 0.02],  # nothing at all
    ]
    names = ["cat", "dog", "<script>alert(1)</script>", "none"]
    files = ["a b.png", "#1?.png", "50%.png", "中.png", "'\"&.png", "6.png"]
    return multilabel.Evaluation(files, np.array(true, bool), np.array(scores), names)
