"""How many operators a training step calls: those of a GPU, counted on whatever runs the test."""

import re
import sys
from pathlib import Path

import paddle
import pytest

from ppcls_mixformer.hosting.errors import UserError
from ppcls_mixformer.selftest import operators


@pytest.fixture(scope="module")
def block():
    return operators.count(parts=["block"])["block"]


def test_a_mixing_block_calls_few_operators(block):
    assert 30 < block["forward"]["calls"] <= 60 and 30 < block["backward"]["calls"] <= 58


def test_nothing_is_cast_in_float32(block):
    assert block["forward"]["casts"] == block["backward"]["casts"] == 0


@pytest.mark.skipif(paddle.__version__.startswith("2."), reason="Paddle 2 has no graph with casts")
def test_a_mixing_block_casts_little_in_mixed_precision():
    block = operators.count(amp_level="O1", parts=["block"])["block"]
    assert 10 < block["forward"]["casts"] <= 40 and 10 < block["backward"]["casts"] <= 40


def test_a_network_that_cannot_be_counted_is_one_line():
    with pytest.raises(UserError, match="MixFormer_B9 could not be counted: .*MixFormer_B9"):
        operators.count("MixFormer_B9")


def test_operators_are_counted_of_the_package_that_asks(monkeypatch, tmp_path):
    python = tmp_path / "python"
    python.write_text('#!/bin/sh\necho "Error: $PYTHONPATH" >&2\nexit 1\n')
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))
    monkeypatch.delenv("PYTHONPATH", raising=False)
    root = Path(operators.__file__).parents[2]
    with pytest.raises(UserError, match=f"counted: Error: {re.escape(str(root))}$"):
        operators.count(parts=["block"])


def test_the_log_is_read_between_its_marks():
    log = (
        "Running AD API: relu\n== block forward ==\nI1 x.cc:1] Running AD API: matmul\n"
        "Running AD API: cast\n"
        "== block backward ==\nRunning AD API GRAD: cast_grad\nRunning AD API GRAD: matmul_grad\n"
        "== end of ==\nRunning AD API: relu\n"
    )
    assert operators.of_log(log) == {
        "block": {"forward": {"matmul": 1, "cast": 1}, "backward": {"cast_grad": 1, "matmul_grad": 1}}
    }
