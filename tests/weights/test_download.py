"""What downloads of published weights leave in the cache, and what they refuse."""

import hashlib
import os
import re
import signal
import threading
import time

import paddle
import pytest
from commands import error_line
from stand_ins import NAME, SMALL, files, load_small, same, send, server, small, small_trunk

from ppcls_mixformer import VARIANTS, MixFormer_B0, MixFormer_B5, WeightsError, zoo
from ppcls_mixformer.__main__ import COMMANDS
from ppcls_mixformer.hosting import configs
from ppcls_mixformer.weights import download
from ppcls_mixformer.weights.download import Published, fetch


def test_published_weights_are_downloaded_once_with_a_progress_bar(cache, serve, published, body, capfd):
    asked = []
    serve(lambda handler: (asked.append(handler.path), send(handler, body)))
    assert same(small(pretrained=True), published)
    bar = capfd.readouterr().err
    assert NAME in bar and "100%" in bar
    assert files(cache) == [NAME] and (cache / NAME).read_bytes() == body
    umask = os.umask(0)
    os.umask(umask)
    assert (cache / NAME).stat().st_mode & 0o777 == 0o666 & ~umask
    assert same(small(pretrained=True), published) and asked == [f"/{NAME}"]


def test_the_cache_is_that_of_paddle():
    assert str(download.CACHE.expanduser()) == paddle.utils.download.WEIGHTS_HOME


def test_published_weights_go_into_a_model_of_other_classes(cache, serve, published, body, caplog):
    serve(lambda handler: send(handler, body))
    model = small(pretrained=True, class_num=3)
    assert (model.norm.weight.numpy() == published["norm.weight"].numpy()).all()
    assert [record.getMessage() for record in caplog.records] == [
        f"{cache / NAME}: loaded all but the head, which has 5 classes there and 3 here"
    ]


def test_a_checkpoint_of_another_network_never_reaches_the_cache(cache, serve, body):
    url = serve(lambda handler: send(handler, body))
    with pytest.raises(WeightsError, match=f"^{url} is not a checkpoint of this MixFormer"):
        small(pretrained=True, embed_dim=32)
    assert not files(cache)


def test_a_dense_predictor_takes_the_trunk_of_what_it_downloads_once(cache, serve, published, body):
    asked = []
    serve(lambda handler: (asked.append(handler.path), send(handler, body)))
    for _ in range(2):
        model = small_trunk()
        zoo.load_dense(model, "MixFormer_B1", True)
        trunk = {n: v for n, v in model.state_dict().items() if n.startswith(("patch_embed", "layers"))}
        assert trunk and all(
            (value.numpy() == published[name].numpy()).all() for name, value in trunk.items()
        )
    assert files(cache) == [NAME] and asked == [f"/{NAME}"]


def test_a_dense_predictor_keeps_no_checkpoint_of_another_network(cache, serve, body):
    url = serve(lambda handler: send(handler, body))
    with pytest.raises(WeightsError, match=f"^{url} is not a checkpoint of this DenseMixFormer"):
        zoo.load_dense(small_trunk(embed_dim=32), "MixFormer_B1", True)
    assert not files(cache)


def test_a_recorded_sha256_is_checked_on_arrival_and_in_the_cache(cache, serve, body):
    url, sha256 = serve(lambda handler: send(handler, body)), hashlib.sha256(body).hexdigest()
    accepted = []
    with pytest.raises(WeightsError, match=f"cannot download {url}: .*{sha256}, not 0000"):
        fetch(Published(url, "0" * 64), fits=accepted.append)
    assert not files(cache) and not accepted
    assert fetch(Published(url, sha256), fits=accepted.append) == cache / NAME
    assert files(cache) == [NAME] and len(accepted) == 1
    with pytest.raises(WeightsError, match=f"{cache / NAME}: .*{sha256}, not 0000.*delete it"):
        fetch(Published(url, "0" * 64), fits=accepted.append)


def test_a_damaged_file_in_the_cache_is_named_and_kept(cache, serve, body):
    asked = []
    serve(lambda handler: (asked.append(handler.path), send(handler, body)))
    cache.mkdir(parents=True)
    (cache / NAME).write_bytes(body[:2000])
    with pytest.raises(WeightsError, match="delete it") as error:
        small(pretrained=True)
    assert str(cache / NAME) in str(error.value) and files(cache) == [NAME] and not asked


def test_a_folder_that_cannot_be_written_is_named(cache, serve, body):
    url = serve(lambda handler: send(handler, body))
    cache.parent.mkdir(parents=True)
    cache.write_text("a file in the way")
    with pytest.raises(WeightsError, match=f"cannot download {url}: .*{cache}"):
        small(pretrained=True)


def test_a_full_disk_leaves_nothing(cache, body, tmp_path):
    with server(lambda handler: send(handler, body)) as address:
        process = load_small(address, tmp_path / "loaded", "--largest-file", len(body) // 2)
        line = error_line(process.communicate(timeout=120)[0])
    assert "File too large" in line and str(cache / NAME) in line
    assert cache.is_dir() and not files(cache)


def test_an_interrupted_download_leaves_nothing(cache, body, tmp_path):
    over = threading.Event()

    def half(handler):
        send(handler, body[: len(body) // 2], Content_Length=len(body))
        over.wait(60)

    with server(half) as address:
        process = load_small(address, tmp_path / "loaded")
        deadline = time.monotonic() + 60
        while not any(path.stat().st_size for path in cache.rglob(NAME)) and time.monotonic() < deadline:
            time.sleep(0.02)
        assert files(cache) and NAME not in files(cache)
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=60)
        over.set()
    assert "KeyboardInterrupt" in output or "error: interrupted" in output
    assert not files(cache)


@pytest.mark.slow
def test_several_processes_download_at_once(cache, published, body, tmp_path):
    """As the ranks of a distributed training do: none sees a half file, and one whole file stays."""
    together = threading.Barrier(3, timeout=60)

    def answer(handler):
        together.wait()
        send(handler, body[:2000], Content_Length=len(body))
        together.wait()
        handler.wfile.write(body[2000:])

    outputs = [tmp_path / f"loaded{rank}" for rank in range(3)]
    with server(answer) as address:
        processes = [load_small(address, output) for output in outputs]
        logs = [process.communicate(timeout=120)[0] for process in processes]
    assert all(output.is_file() for output in outputs), logs
    assert all(same(small(pretrained=output), published) for output in outputs)
    assert files(cache) == [NAME] and (cache / NAME).read_bytes() == body


@pytest.mark.parametrize("builder", [MixFormer_B0, MixFormer_B5])
def test_variants_without_weights_say_what_to_do(builder):
    others = ", ".join(name for name, variant in VARIANTS.items() if variant.has_weights)
    with pytest.raises(WeightsError, match="no weights were ever published") as error:
        builder(pretrained=True, **SMALL)
    command, config = re.search(r"\(python -m ppcls_mixformer (\w+) -c (\w+)\)", str(error.value)).groups()
    assert command in COMMANDS and config == builder.__name__ and configs.find(config)
    assert str(error.value).endswith(f"or take one that has them: {others}")
