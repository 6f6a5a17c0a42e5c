"""PaddleClas in this process, with its bridges, and a logger, without which parts of it cannot be built."""

import logging
import shutil

import pytest
import yaml
from commands import CONFIG, ROOT

from ppcls_mixformer.paddleclas import register


@pytest.fixture
def host(monkeypatch):
    """PaddleClas's root folder; its networks can be built, which want to log."""
    root = register()
    from ppcls.utils import logger

    monkeypatch.setattr(logger, "_logger", logging.getLogger("ppcls"))
    return root


@pytest.fixture(scope="module")
def bridged_paddleclas():
    """Registers the backbones; what was set up for a module's tests is undone after them."""
    register()
    from ppcls.utils import logger

    before = logger._logger
    if before is None:
        logger.init_logger()
    yield
    logger._logger = before


@pytest.fixture
def several_labels(digits, tmp_path):
    """A config for pictures with several labels, ten for each digit: the digit and those that divide it."""
    shutil.copytree(digits, tmp_path / "digits")
    for name in ("train_list.txt", "test_list.txt"):
        lines = [line.split() for line in (digits / name).read_text().splitlines()]
        rows = (
            f"{file}\t{','.join(str(int(n <= int(label))) for n in range(10))}\n" for file, label in lines
        )
        (tmp_path / "digits" / name).write_text("".join(rows))
    content = yaml.safe_load((ROOT / CONFIG).read_text())
    content["Global"]["use_multilabel"] = True
    for split in ("Train", "Eval"):
        content["DataLoader"][split]["dataset"]["name"] = "MultiLabelDataset"
        content["Loss"][split] = [{"MultiLabelLoss": {"weight": 1.0}}]
    content["Metric"] = {"Eval": [{"HammingDistance": None}]}
    path = tmp_path / "labels.yaml"
    path.write_text(yaml.safe_dump(content))
    return path
