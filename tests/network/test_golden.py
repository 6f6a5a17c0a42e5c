"""The network against the golden files of the published architecture."""

import numpy as np
import pytest
from golden import EVALUATIONS, GOLDEN

import ppcls_mixformer
from ppcls_mixformer.network import ops
from ppcls_mixformer.selftest import replay


@pytest.mark.parametrize("path", EVALUATIONS, ids=lambda p: p.stem)
def test_evaluation_is_the_published_architecture(path):
    finding = replay.evaluation(path)
    assert finding.holds, finding


def test_training_is_the_published_architecture():
    for finding in replay.training_step():
        assert finding.holds, finding


@pytest.mark.parametrize("name", ["B0", "B4"])
def test_state_dict_is_that_of_the_published_checkpoints(name):
    state = getattr(ppcls_mixformer, f"MixFormer_{name}")().state_dict()
    lines = {f"{k} {'x'.join(map(str, v.shape))} {str(v.dtype).split('.')[-1]}" for k, v in state.items()}
    assert lines == set((GOLDEN / f"state_dict_{name}.txt").read_text().split("\n")[:-1])


@pytest.mark.slow
def test_sixty_training_steps_follow_the_published_code():
    for finding in replay.trajectory():
        assert finding.holds, finding


def test_another_network_is_told_from_the_published_one(monkeypatch):
    """Attention that forgets its softmax; the loss alone would not show a gradient that is wrong."""
    monkeypatch.setattr(ops, "softmax", lambda x: x)
    assert not replay.evaluation(replay.EVALUATIONS[0]).holds
    monkeypatch.undo()
    add_bias = ops.add_bias
    monkeypatch.setattr(ops, "add_bias", lambda x, bias: add_bias(x, bias) + 0.5 * (bias - bias.detach()))
    loss, gradients, statistics = replay.training_step()
    assert loss.holds and statistics.holds and not gradients.holds and gradients.where.endswith(".bias")


@pytest.mark.parametrize(
    ("found", "expected"), [([1.0, 2.0], [1.0, 2.5]), ([1.0], [1.0, 1.0]), ([np.nan, 1.0], [1.0, 1.0])]
)
def test_a_difference_is_seen(found, expected):
    assert not replay.distance(found, expected) <= 0.1
