"""A few real pictures and one short training run, shared by the tests."""

import logging
import shutil
import subprocess
import sys

import pytest
from commands import HAS_ONNX, ROOT, checkpoint, overrides, tool

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
    """Lists and pictures of a few digits, 96 for training and 40 for testing; `parity_…` has two classes."""
    from demo.digits import TRAIN, ordered, picture_of  # with scikit-learn, which most tests do without

    folder, pictures = tmp_path_factory.mktemp("digits"), list(zip(*ordered()))
    for split, some in (("train", pictures[:96]), ("test", pictures[TRAIN : TRAIN + 40])):
        (folder / split).mkdir()
        lines = [(f"{split}/{number:04d}.png", digit) for _, digit, number in some]
        for (name, _), (image, _, _) in zip(lines, some):
            picture_of(image).save(folder / name)
        for kind, classes in (("", 10), ("parity_", 2)):
            text = "".join(f"{name} {digit % classes}\n" for name, digit in lines)
            (folder / f"{kind}{split}_list.txt").write_text(text)
    (folder / "label_list.txt").write_text("".join(f"{digit} digit {digit}\n" for digit in range(10)))
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
