"""A few real pictures and one short training run, shared by the tests."""

import logging
import shutil
import subprocess
import sys

import pytest
from commands import HAS_ONNX, ROOT, checkpoint, overrides, run, tool

SOURCES = ("ppcls_mixformer", "configs", "demo", "setup.py", "pyproject.toml", "README.md", "LICENSE")


@pytest.fixture(autouse=True)
def logging_as_it_was():
    """Undoes what a command that ran in this process has set up."""
    package = logging.getLogger("ppcls_mixformer")
    before = package.handlers, package.propagate, package.level
    yield
    package.handlers, package.propagate, package.level = before


@pytest.fixture(scope="session")
def digits(tmp_path_factory):
    """A few of the digits, 96 for training and 40 for testing."""
    folder = tmp_path_factory.mktemp("digits")
    run(sys.executable, "tools/prepare_digits.py", "--output", folder)
    for name, count in (("train_list.txt", 96), ("test_list.txt", 40)):
        for path in (folder / name, folder / f"parity_{name}"):
            path.write_text("".join(path.read_text().splitlines(keepends=True)[:count]))
    return folder


@pytest.fixture(scope="session")
def trained(digits, tmp_path_factory):
    """Output folder and log of a short training run, two epochs of two steps."""
    output = tmp_path_factory.mktemp("trained")
    return output, tool("train", *overrides(digits, output))


@pytest.fixture(scope="session")
def exported(digits, trained, tmp_path_factory):
    """Folder of an export of the short run's last checkpoint, and what the tool printed."""
    folder = tmp_path_factory.mktemp("exported")
    weights = checkpoint(trained[0], "latest")
    settings = [f"Global.pretrained_model={weights}", f"Global.save_inference_dir={folder}"]
    flags = ["--onnx", "--fp16"] if HAS_ONNX else []
    return folder, tool("export_model", *overrides(digits, trained[0]), *settings, flags=flags)


@pytest.fixture(scope="session")
def wheel(tmp_path_factory):
    """Path of the wheel of this checkout, built from a copy, which holds nothing of an earlier build."""
    folder = tmp_path_factory.mktemp("wheel")
    (folder / "source").mkdir()
    for name in SOURCES:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copyfile
        copy(ROOT / name, folder / "source" / name)
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", folder]
    subprocess.run([*command, folder / "source"], check=True)
    return next(folder.glob("*.whl"))
