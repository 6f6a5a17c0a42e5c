"""A small network's published weights, the cache that they go to and a server that has them."""

import contextlib

import pytest
from stand_ins import NAME, save, server, small

from ppcls_mixformer import zoo


@pytest.fixture(scope="session")
def published():
    """State dict of a small model that stands for the published one."""
    return small().state_dict()


@pytest.fixture
def body(published, tmp_path):
    """That state dict as the bytes of a checkpoint."""
    return save(published, tmp_path / "body.pdparams").read_bytes()


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """Paddle's weights folder of a home of its own, not made yet."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    return tmp_path / "home/.cache/paddle/hapi/weights"


@pytest.fixture
def publish_at(monkeypatch):
    """Lets published weights be looked for at an address; returns MixFormer-B1's URL there."""

    def publish(address):
        monkeypatch.setattr(zoo, "WEIGHTS_URL", f"{address}/{{}}_pretrained.pdparams")
        return f"{address}/{NAME}"

    return publish


@pytest.fixture
def serve(publish_at):
    """Lets them be looked for at a local server that answers by `answer(handler)`."""
    with contextlib.ExitStack() as servers:
        yield lambda answer: publish_at(servers.enter_context(server(answer)))
