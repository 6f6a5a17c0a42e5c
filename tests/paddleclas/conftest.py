"""PaddleClas with its bridges, and a logger, without which parts of it cannot be built."""

import pytest


@pytest.fixture(scope="module")
def bridged_paddleclas():
    """Registers the backbones; what was set up for a module's tests is undone after them."""
    from ppcls_mixformer.paddleclas import register

    register()
    from ppcls.utils import logger

    before = logger._logger
    if before is None:
        logger.init_logger()
    yield
    logger._logger = before
