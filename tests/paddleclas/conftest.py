"""PaddleClas in this process."""

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
