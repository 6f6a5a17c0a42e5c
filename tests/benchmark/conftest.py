"""A small exported classifier, in copies that are compared."""

import shutil

import paddle
import pytest
from small_export import DESCRIPTION, export


@pytest.fixture(scope="session")
def small(tmp_path_factory):
    """Folder of an export for pictures of 16×24 (height × width), three classes."""
    return export(tmp_path_factory.mktemp("small"), paddle.nn.Softmax(), DESCRIPTION)


@pytest.fixture
def foreign(small, tmp_path):
    """The same as others export it: a program for Paddle, and nothing that describes it."""
    return shutil.copytree(small, tmp_path / "foreign", ignore=shutil.ignore_patterns("*.yml", "*.onnx"))
