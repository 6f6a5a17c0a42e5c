"""PaddleClas in this process, with its bridges, and a logger, without which parts of it cannot be built."""

import logging

import pytest

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
