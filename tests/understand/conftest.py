"""An evaluation whose numbers can be counted by hand."""

import numpy as np
import pytest

from ppcls_mixformer.understand import metrics


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
