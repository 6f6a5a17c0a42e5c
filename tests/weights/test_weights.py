"""Weights: downloads from servers that behave and that do not, and every kind of checkpoint file."""

import hashlib
import os
import pickle
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import paddle
import pytest

from ppcls_mixformer import VARIANTS, MixFormer_B0, MixFormer_B1, MixFormer_B5, WeightsError, zoo
from ppcls_mixformer.weights import checkpoint as weights

ROOT = Path(__file__).parents[2]
SMALL = {"embed_dim": 16, "depths": (1, 1), "num_heads": (1, 2), "class_num": 5}
NAME = "MixFormer_B1_pretrained.pdparams"


def small(**arguments):
    return MixFormer_B1(**{**SMALL, **arguments})


def same(model, state):
    entries = model.state_dict()
    return entries.keys() == state.keys() and all(
        (value.numpy() == np.asarray(state[name])).all() for name, value in entries.items()
    )


@pytest.fixture(scope="module")
def trained():
    """State dict of a small model that stands for the published one."""
    return small().state_dict()


@pytest.fixture
def body(trained, tmp_path):
    """That state dict as the bytes of a checkpoint."""
    path = tmp_path / "body.pdparams"
    paddle.save(trained, str(path))
    return path.read_bytes()


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """Paddle's weights folder of a home of its own, not made yet."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    return tmp_path / "home/.cache/paddle/hapi/weights"


@pytest.fixture
def serve(monkeypatch):
    """Starts a local server that answers GET by `answer(handler)`; weights are looked for there."""
    servers = []

    def start(answer):
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                self.close_connection = True
                answer(self)

            def log_message(self, *args):
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        server.block_on_close = False
        servers.append(server)
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        return publish_at(monkeypatch, f"http://127.0.0.1:{server.server_port}")

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def publish_at(monkeypatch, address):
    monkeypatch.setattr(zoo, "WEIGHTS_URL", address + "/{}_pretrained.pdparams")
    return f"{address}/{NAME}"


def send(handler, content, status=200, **headers):
    """Answers with `content`; Content-Length is right unless given, and left out if None."""
    headers = {"Content_Length": len(content), **headers}
    handler.send_response(status)
    for name, value in headers.items():
        if value is not None:
            handler.send_header(name.replace("_", "-"), str(value))
    handler.end_headers()
    handler.wfile.write(content)
    handler.wfile.flush()


def script(code, **variables):
    """A Python process that loads the small model with published weights from `zoo.WEIGHTS_URL`."""
    code = (
        "from ppcls_mixformer import MixFormer_B1, WeightsError, zoo\n"
        f"zoo.WEIGHTS_URL = {zoo.WEIGHTS_URL!r}\n"
        f"small = lambda: MixFormer_B1(pretrained=True, **{SMALL!r})\n" + code
    )
    return subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, **variables},
    )


def files(folder):
    return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []


# What a download leaves


def test_published_weights_are_downloaded_once_with_a_progress_bar(cache, serve, trained, body, capfd):
    asked = []
    serve(lambda handler: (asked.append(handler.path), send(handler, body)))
    assert same(small(pretrained=True), trained)
    bar = capfd.readouterr().err
    assert NAME in bar and "100%" in bar
    assert files(cache) == [NAME] and (cache / NAME).read_bytes() == body
    umask = os.umask(0)
    os.umask(umask)
    assert (cache / NAME).stat().st_mode & 0o777 == 0o666 & ~umask
    assert same(small(pretrained=True), trained) and asked == [f"/{NAME}"]


def test_the_cache_is_that_of_paddle():
    assert str(weights.CACHE.expanduser()) == paddle.utils.download.WEIGHTS_HOME


def test_a_body_without_content_length_is_taken_when_it_is_whole(cache, serve, trained, body):
    serve(lambda handler: send(handler, body, Content_Length=None))
    assert same(small(pretrained=True), trained) and files(cache) == [NAME]


def test_published_weights_go_into_a_model_of_other_classes(cache, serve, trained, body, caplog):
    serve(lambda handler: send(handler, body))
    model = small(pretrained=True, class_num=3)
    assert (model.norm.weight.numpy() == trained["norm.weight"].numpy()).all()
    assert [record.getMessage() for record in caplog.records] == [
        f"{cache / NAME}: loaded all but the head, which has 5 classes there and 3 here"
    ]


HTML = b"<!doctype html><title>Sign in</title>" * 50


def cut_chunks(handler, body):
    send(handler, b"%x\r\n" % len(body) + body[:2000], Content_Length=None, Transfer_Encoding="chunked")


@pytest.mark.parametrize(
    "answer, reason",
    [
        (lambda h, body: send(h, body[:2000], Content_Length=len(body)), r"ended after 2\S* of \d+ bytes"),
        (cut_chunks, "IncompleteRead"),
        (lambda h, body: send(h, body[:-1], Content_Length=None), "not a whole Paddle checkpoint"),
        (lambda h, body: send(h, HTML), "not a whole Paddle checkpoint"),
        (lambda h, body: send(h, HTML, Content_Length=None), "not a whole Paddle checkpoint"),
        (lambda h, body: send(h, b""), "not a whole Paddle checkpoint"),
        (lambda h, body: send(h, HTML, status=404), "HTTP Error 404"),
        (lambda h, body: h.wfile.write(b"220 mail.example.org ESMTP\r\n"), "220 mail"),
        (lambda h, body: None, "closed connection without response"),
    ],
    ids=["cut", "cut-chunks", "cut-no-length", "html", "html-no-length", "empty", "404", "no-http", "closed"],
)
def test_what_is_no_whole_checkpoint_never_reaches_the_cache(cache, serve, body, answer, reason):
    url = serve(lambda handler: answer(handler, body))
    with pytest.raises(WeightsError, match=reason) as error:
        small(pretrained=True)
    assert url in str(error.value) and str(cache / NAME) in str(error.value)
    assert "\n" not in str(error.value) and not files(cache)


def test_a_checkpoint_of_another_network_never_reaches_the_cache(cache, serve, body):
    url = serve(lambda handler: send(handler, body))
    with pytest.raises(WeightsError, match=f"^{url} is not a checkpoint of this MixFormer"):
        small(pretrained=True, embed_dim=32)
    assert not files(cache)


def test_a_recorded_sha256_is_checked_on_arrival_and_in_the_cache(cache, serve, trained, body):
    model, url = small(), serve(lambda handler: send(handler, body))
    wrong = weights.Pretrained("MixFormer_B1", url, "0" * 64)
    right = weights.Pretrained("MixFormer_B1", url, hashlib.sha256(body).hexdigest())
    with pytest.raises(WeightsError, match=f"{right.sha256}, not 0000"):
        weights.load_pretrained(model, wrong, True, weights.load_into)
    assert not files(cache)
    weights.load_pretrained(model, right, True, weights.load_into)
    assert same(model, trained) and files(cache) == [NAME]
    with pytest.raises(WeightsError, match=f"{cache / NAME}.*{right.sha256}, not 0000.*delete it"):
        weights.load_pretrained(model, wrong, True, weights.load_into)


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


def test_a_full_disk_leaves_nothing(cache, serve, body):
    serve(lambda handler: send(handler, body))
    limit = f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({len(body) // 2},) * 2)\n"
    output, _ = script(limit + "try: small()\nexcept WeightsError as error: print(error)").communicate()
    assert "File too large" in output and str(cache / NAME) in output and "Traceback" not in output
    assert cache.is_dir() and not files(cache)


def test_an_interrupted_download_leaves_nothing(cache, serve, body):
    over = threading.Event()

    def half(handler):
        send(handler, body[: len(body) // 2], Content_Length=len(body))
        over.wait(60)

    serve(half)
    # A job in the background of a shell has SIGINT ignored.
    process = script("import signal; signal.signal(signal.SIGINT, signal.default_int_handler); small()")
    deadline = time.monotonic() + 60
    while not any((cache / name).stat().st_size for name in files(cache)) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert files(cache) and NAME not in files(cache)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=60)
    over.set()
    assert "KeyboardInterrupt" in output and not files(cache)


def test_several_processes_download_at_once(cache, serve, trained, body):
    """As the ranks of a distributed training do: none sees a half file, and one whole file stays."""
    together = threading.Barrier(3, timeout=60)

    def answer(handler):
        together.wait()
        send(handler, body[:2000], Content_Length=len(body))
        together.wait()
        handler.wfile.write(body[2000:])

    serve(answer)
    processes = [script("small(); print('loaded')") for _ in range(3)]
    outputs = [process.communicate(timeout=120)[0] for process in processes]
    assert all("loaded" in output for output in outputs), outputs
    assert files(cache) == [NAME] and (cache / NAME).read_bytes() == body


# Without a network


@pytest.fixture
def silent():
    """Address of a server that accepts and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


@pytest.fixture
def refused():
    """Address where nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    return f"http://127.0.0.1:{port}"


def quick_error(cache, url, reason):
    start = time.monotonic()
    with pytest.raises(WeightsError, match=f"cannot download {re.escape(url)}: .*{reason}") as error:
        small(pretrained=True)
    assert time.monotonic() - start < 5
    assert f"put it at {cache / NAME}" in str(error.value) and not files(cache)


def test_no_such_host_and_a_refused_connection_end_at_once(cache, monkeypatch, refused):
    quick_error(cache, publish_at(monkeypatch, "http://weights.invalid"), "")
    quick_error(cache, publish_at(monkeypatch, refused), "Connection refused")


def test_ten_seconds_are_waited():
    assert weights.TIMEOUT == 10


def test_a_server_that_never_answers(cache, monkeypatch, silent):
    monkeypatch.setattr(weights, "TIMEOUT", 0.5)
    quick_error(cache, publish_at(monkeypatch, silent), "timed out|no answer within 0.5 seconds")


def test_a_server_that_drips_its_answer_is_given_up_in_time(cache, monkeypatch, serve):
    """Each byte would start urllib's own timeout anew."""
    monkeypatch.setattr(weights, "TIMEOUT", 0.5)

    def drip(handler):
        for _ in range(100):
            handler.wfile.write(b"H")
            time.sleep(0.1)

    quick_error(cache, serve(drip), "no answer within 0.5 seconds")


def test_a_server_that_stalls_midway(cache, monkeypatch, serve, body):
    monkeypatch.setattr(weights, "TIMEOUT", 0.5)

    def stall(handler):
        send(handler, body[:2000], Content_Length=len(body))
        time.sleep(10)

    quick_error(cache, serve(stall), "timed out")


@pytest.mark.parametrize("builder", [MixFormer_B0, MixFormer_B5])
def test_variants_without_weights_say_what_to_do(builder):
    with_weights = ", ".join(name[-2:] for name, variant in VARIANTS.items() if variant.has_weights)
    name = builder.__name__
    text = (
        f"no weights were ever published for {name}: train it (configs/ImageNet/MixFormer/{name}.yaml), "
        f"pass pretrained=<path of your checkpoint>, or take a variant that has them ({with_weights})"
    )
    with pytest.raises(WeightsError, match=re.escape(text)):
        builder(pretrained=True, **SMALL)
    assert (ROOT / f"configs/ImageNet/MixFormer/{name}.yaml").is_file()


# Checkpoints at a path


def save(state, path):
    paddle.save(state, str(path))
    return path


def test_a_path_with_and_without_suffix_and_with_the_home_folder(tmp_path, monkeypatch, trained):
    monkeypatch.setenv("HOME", str(tmp_path))
    save(trained, tmp_path / "best.model.pdparams")
    (tmp_path / "best.model").mkdir()  # a folder of the same name does not stand in the way
    for path in ("~/best.model", "~/best.model.pdparams", tmp_path / "best.model", f"{tmp_path}/best.model"):
        assert same(small(pretrained=path), trained), path


def test_what_is_not_there_or_no_path_is_named(tmp_path, trained):
    save(trained, tmp_path / "latest.pdparams")
    with pytest.raises(WeightsError, match=rf"{tmp_path} is a folder.*\(latest.pdparams\)"):
        small(pretrained=tmp_path)
    (tmp_path / "none").mkdir()
    with pytest.raises(WeightsError, match="is a folder.*it holds no .pdparams"):
        small(pretrained=f"{tmp_path}/none/")
    for path in (tmp_path / "lates", "~nobody-of-that-name/latest", "no/such/folder"):
        with pytest.raises(WeightsError, match=f"checkpoint not found: {path}"):
            small(pretrained=path)
    with pytest.raises(WeightsError, match="path of a checkpoint, got 1"):
        small(pretrained=1)


def test_a_file_that_is_no_checkpoint_is_named(tmp_path, body):
    path = tmp_path / "x.pdparams"
    for content in (b"", body[:2000], body[:-1], HTML, bytes(500)):
        path.write_bytes(content)
        with pytest.raises(WeightsError, match=f"{path}: not a whole Paddle checkpoint.*delete it"):
            small(pretrained=path)


def test_a_checkpoint_of_another_variant_is_refused_and_nothing_is_loaded(tmp_path, trained):
    other = MixFormer_B1(**{**SMALL, "depths": (1, 2)})
    path = save(other.state_dict(), tmp_path / "other.pdparams")
    model = small()
    before = {name: value.numpy() for name, value in model.state_dict().items()}
    with pytest.raises(WeightsError, match=r"layers.1.blocks.1\S+ is unknown;.* and \d+ more"):
        weights.load_into(model, weights.read_checkpoint(path), path)
    save(trained, path)
    with pytest.raises(WeightsError, match=r"layers.1.blocks.1\S+ is missing"):
        weights.load_into(other, weights.read_checkpoint(path), path)
    with pytest.raises(WeightsError, match=r"patch_embed\S+ is \[8, 3, 3, 3\], not \[16, 3, 3, 3\]"):
        small(embed_dim=32, pretrained=path)
    assert same(model, before)


def test_a_head_of_other_classes_is_left_out_in_one_line(tmp_path, trained, caplog, recwarn):
    path = save(trained, tmp_path / "x.pdparams")
    model = small(pretrained=path, class_num=3)
    loaded = {n: v for n, v in model.state_dict().items() if not n.startswith("head.")}
    assert all((value.numpy() == trained[name].numpy()).all() for name, value in loaded.items())
    assert model.head.weight.shape[1] == 3
    assert [record.getMessage() for record in caplog.records] == [
        f"{path}: loaded all but the head, which has 5 classes there and 3 here"
    ]
    assert not [warning for warning in recwarn if "head" in str(warning.message)]


@pytest.mark.parametrize("shapes", [([8, 5], [5]), ([1280, 5], [4]), ([1280, 4], [5]), ([1280, 5], [5, 1])])
def test_a_head_that_differs_in_more_than_classes_is_refused(tmp_path, trained, shapes):
    head = {"head.weight": paddle.zeros(shapes[0]), "head.bias": paddle.zeros(shapes[1])}
    path = save({**trained, **head}, tmp_path / "x.pdparams")
    with pytest.raises(WeightsError, match="head.(weight|bias) is"):
        small(pretrained=path)


def test_any_mix_of_types_is_cast_to_the_models(tmp_path, trained):
    def mixed(index, value):
        if not value.is_floating_point():
            return value.astype("int32")
        return (value, value.numpy(), value.astype("float64"), value.astype("float16"))[index % 4]

    state = {name: mixed(index, value) for index, (name, value) in enumerate(trained.items())}
    model = small(pretrained=save(state, tmp_path / "x.pdparams"))
    for name, value in model.state_dict().items():
        assert value.dtype == trained[name].dtype
        np.testing.assert_allclose(value.numpy(), trained[name].numpy(), rtol=1e-3, atol=1e-6)


def test_a_bfloat16_checkpoint_loads(tmp_path, trained):
    state = {n: v.astype("bfloat16") if v.is_floating_point() else v for n, v in trained.items()}
    model = small(pretrained=save(state, tmp_path / "x.pdparams"))
    np.testing.assert_allclose(model.norm.weight.numpy(), trained["norm.weight"].numpy(), rtol=1e-2)


@pytest.mark.parametrize("layout", ["names", "numpy", "pairs"])
def test_every_layout_that_paddle_2_and_3_write_loads(tmp_path, trained, layout):
    arrays = {name: value.numpy() for name, value in trained.items()}
    names = {name: f"linear_{index}.w_0" for index, name in enumerate(arrays)}
    state = {
        "names": {**arrays, "StructuredToParameterName@@": names},
        "numpy": arrays,
        "pairs": {name: (names[name], value) for name, value in arrays.items()},
    }[layout]
    path = tmp_path / "x.pdparams"
    path.write_bytes(pickle.dumps(state, protocol=4))
    assert same(small(pretrained=path), trained)


def test_a_file_that_holds_something_else_is_named(tmp_path, trained):
    path = tmp_path / "x.pdparams"
    save({"epoch": 3, "state_dict": trained}, path)
    with pytest.raises(
        WeightsError, match=f"{path} .*no tensors under epoch, state_dict; .*'state_dict' alone"
    ):
        small(pretrained=path)
    save({**trained, "epoch": 3}, path)
    with pytest.raises(WeightsError, match=f"{path} holds no state dict: no tensors under epoch$"):
        small(pretrained=path)
    save([1, 2], path)
    with pytest.raises(WeightsError, match="holds no state dict, but a list"):
        small(pretrained=path)
    save({}, path)
    with pytest.raises(WeightsError, match="is missing"):
        small(pretrained=path)


def test_a_file_of_another_window_layout_is_refused(tmp_path, trained):
    name = "layers.0.blocks.0.attn.relative_position_index"
    state = {**trained, name: trained[name].transpose([1, 0])}
    with pytest.raises(WeightsError, match=f"{name} is that of another window layout"):
        small(pretrained=save(state, tmp_path / "x.pdparams"))
