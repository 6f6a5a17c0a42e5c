"""Published weights in every host, for real: downloaded, checked, loaded, and there at the next start."""

import numpy as np
import paddle
import pytest
from commands import error_line
from stand_ins import HTML, NAME, files, load_published, save, send, server

from ppcls_mixformer import MixFormer_B1, MixFormer_B2, paddleclas, paddledet, paddleseg
from ppcls_mixformer.hosting import source

pytestmark = pytest.mark.slow

HOSTS = {host.key: host for host in (paddleclas.HOST, paddledet.HOST, paddleseg.HOST)}
TRUNK = ("patch_embed", "layers")


@pytest.fixture(scope="module")
def classifiers(tmp_path_factory):
    """Bytes of the checkpoints of two variants, by their names."""
    folder = tmp_path_factory.mktemp("classifiers")
    models = {"B1": MixFormer_B1(), "B2": MixFormer_B2()}
    return {k: save(model.state_dict(), folder / k).read_bytes() for k, model in models.items()}


@pytest.fixture(scope="module")
def trees():
    """Where each host is, looked up before a test has another home folder."""
    return {key: source.locate(host) for key, host in HOSTS.items()}


@pytest.fixture(params=HOSTS)
def host(request, monkeypatch, trees):
    """Name of a host that is found from every home folder."""
    monkeypatch.setenv(HOSTS[request.param].home, str(trees[request.param]))
    return request.param


def start(host, address, output):
    """Starts a trainer's backbone with published weights; returns what it printed."""
    return load_published(host, address, output).communicate(timeout=300)[0]


def test_weights_are_downloaded_checked_and_loaded_and_there_at_the_next_start(
    host, cache, classifiers, tmp_path
):
    asked = []
    with server(lambda h: (asked.append(h.path), send(h, classifiers["B1"]))) as address:
        logs = [start(host, address, tmp_path / name) for name in ("first", "second")]
    assert asked == [f"/{NAME}"], logs
    assert files(cache) == [NAME] and (cache / NAME).read_bytes() == classifiers["B1"]
    theirs = paddle.load(str(cache / NAME))
    for name in ("first", "second"):
        loaded = paddle.load(str(tmp_path / name))
        trunk = [entry for entry in loaded if entry.startswith(TRUNK)]
        assert trunk == [entry for entry in theirs if entry.startswith(TRUNK)]
        assert all(np.array_equal(loaded[entry], theirs[entry]) for entry in trunk)


@pytest.mark.parametrize(
    "wrong, reason",
    [("B2", "is not a checkpoint of this"), ("HTML", "not a whole Paddle checkpoint")],
)
def test_a_wrong_file_is_refused_in_one_line_and_not_kept(host, cache, classifiers, tmp_path, wrong, reason):
    content = classifiers.get(wrong, HTML)
    with server(lambda handler: send(handler, content)) as address:
        line = error_line(start(host, address, tmp_path / "loaded"))
    assert f"{address}/{NAME}" in line and reason in line
    assert not files(cache) and not (tmp_path / "loaded").exists()
