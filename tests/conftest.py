"""A few real pictures and one short training run, shared by the tests."""

import sys

import pytest
from commands import overrides, run, tool


@pytest.fixture(scope="session")
def digits(tmp_path_factory):
    """A few of the digits, 96 for training and 40 for testing."""
    folder = tmp_path_factory.mktemp("digits")
    run(sys.executable, "tools/prepare_digits.py", "--output", folder)
    for name, count in (("train_list.txt", 96), ("test_list.txt", 40)):
        lines = (folder / name).read_text().splitlines(keepends=True)
        (folder / name).write_text("".join(lines[:count]))
    return folder


@pytest.fixture(scope="session")
def trained(digits, tmp_path_factory):
    """Output folder and log of a short training run, two epochs of two steps."""
    output = tmp_path_factory.mktemp("trained")
    return output, tool("train", *overrides(digits, output))
