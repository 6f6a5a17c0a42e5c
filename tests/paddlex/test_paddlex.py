"""Exports in PaddleX, in an environment of its own: its scores are those of `Classifier`."""

import asyncio
import base64
import contextlib
import gc
import importlib.metadata
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import time
import venv
import weakref
from types import SimpleNamespace

import numpy as np
import pytest
from commands import HAS_ONNX, ROOT, error_line
from PIL import Image

from benchmarks.serving import BOMB
from ppcls_mixformer import Classifier, paddlex
from ppcls_mixformer.hosting.errors import UserError
from ppcls_mixformer.paddlex import batches, bounds, commands, runners, serving
from ppcls_mixformer.predict import description

PIPELINE = """
pipeline_name: image_classification
SubModules:
  ImageClassification:
    module_name: image_classification
    model_name: {name}
    model_dir: {folder}
    batch_size: 4
"""


ANOTHER_SIZE = [
    {"ResizeImage": {"size": 40}},
    {"NormalizeImage": {"scale": 1 / 255, "order": ""}},
    {"ToCHWImage": None},
]
SCOPE = {"type": "http", "method": "POST", "headers": [(b"content-type", b"application/json")]}


def test_a_missing_paddlex_is_one_line(monkeypatch):
    try:
        importlib.metadata.version("paddlex")
        pytest.skip("PaddleX is installed")
    except importlib.metadata.PackageNotFoundError:
        pass
    with pytest.raises(
        UserError, match="PaddleX is not installed: pip install 'ppcls_mixformer\\[paddlex\\]'"
    ):
        commands.run(["--pipeline", "image_classification"])


def test_another_major_version_is_one_line(monkeypatch, tmp_path):
    (tmp_path / "paddlex-2.1.0.dist-info").mkdir()
    (tmp_path / "paddlex-2.1.0.dist-info/METADATA").write_text("Name: paddlex\nVersion: 2.1.0\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(UserError, match="this is PaddleX 2.1.0, and 3, such as 3.7.2, is needed"):
        paddlex.register()


@pytest.mark.parametrize(
    "name, folder, message",
    [
        ("MixFormer_B9", "export", "model_name: there is no MixFormer_B9; did you mean"),
        ("mixformer_b0", "export", "model_name: there is no mixformer_b0; did you mean MixFormer_B0"),
        ("MixFormer_B0", "null", "model_dir is missing; it takes the folder of an export of MixFormer_B0"),
        ("MixFormer_B0", "empty", "model_dir: .*empty holds no inference.yml"),
    ],
)
def test_a_pipeline_without_an_export_is_refused(tmp_path, name, folder, message):
    place = folder if folder == "null" else tmp_path / folder
    (tmp_path / "pipeline.yaml").write_text(PIPELINE.format(name=name, folder=place))
    with pytest.raises(UserError, match=f"pipeline.yaml: SubModules.ImageClassification.{message}"):
        commands.check(str(tmp_path / "pipeline.yaml"))


@pytest.mark.parametrize("name", ["MixFormer_B0", "export"])
def test_an_export_is_no_pipeline(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "export").mkdir()
    (tmp_path / "export" / description.NAME).touch()
    with pytest.raises(UserError, match=f"^--pipeline {name}: it takes a YAML file of PaddleX"):
        commands.check(name)
    commands.check("image_classification")


def test_a_pipeline_in_a_pipeline_is_looked_at(tmp_path):
    inner = PIPELINE.format(name="MixFormer_B9", folder="null").replace("\n", "\n    ")
    (tmp_path / "pipeline.yaml").write_text(f"pipeline_name: OCR\nSubPipelines:\n  First:{inner}\n")
    with pytest.raises(UserError, match=r"First\.SubModules\.ImageClassification\.model_name: there is no"):
        commands.check(str(tmp_path / "pipeline.yaml"))


def test_pipelines_of_other_models_are_not_looked_at(tmp_path):
    (tmp_path / "pipeline.yaml").write_text(PIPELINE.format(name="PP-LCNet_x0_5", folder="null"))
    commands.check(str(tmp_path / "pipeline.yaml"))


def test_a_picture_that_the_network_cannot_take_fails_alone():
    async def infer(images, topk):
        if "line" in images:
            raise UserError("a picture: too long")
        return [{"class_ids": [topk], "label_names": [image], "scores": [1.0]} for image in images]

    found = asyncio.run(batches.answers(infer, {0: "a", 2: "line", 3: "b"}, {"topk": 7}))
    one, other = ({"categories": [{"id": 7, "name": name, "score": 1.0}]} for name in "ab")
    assert found == {0: one, 2: {"errorCode": 422, "errorMsg": "a picture: too long"}, 3: other}


def test_requests_that_have_arrived_wait_for_their_turn():
    working, most = 0, 0

    async def app(scope, receive, send):
        nonlocal working, most
        while (await receive()).get("more_body"):
            pass
        working += 1
        most = max(most, working)
        await asyncio.sleep(0.01)
        working -= 1
        if scope["number"] % 3 == 0:
            raise OSError

    async def ask(service, number):
        events = [{"type": "http.request", "body": b"a", "more_body": more} for more in (False, True)]

        async def receive():
            return events.pop() if events else {"type": "http.disconnect"}

        await service({**SCOPE, "number": number}, receive, None)

    async def ask_all():
        service = bounds.Bounded(app, 2, 60)
        slow = asyncio.ensure_future(service(SCOPE, asyncio.Event().wait, None))
        found = await asyncio.gather(*(ask(service, number) for number in range(30)), return_exceptions=True)
        slow.cancel()
        return found

    assert sum(found is None for found in asyncio.run(ask_all())) == 20
    assert most == bounds.AT_WORK


@pytest.mark.parametrize(
    "kind, origin, is_taken",
    [
        ("application/json; charset=utf-8", None, True),
        ("application/json", "http://elsewhere", True),
        (None, None, True),  # Go, in PaddleX's example
        ("application/x-www-form-urlencoded", None, True),  # curl, and axios in PaddleX's example
        ("text/plain;charset=UTF-8", None, True),
        ("text/plain;charset=UTF-8", "http://elsewhere", False),  # a page in a browser, which may not ask
        (None, "null", False),
        ("text/plain; as=application/json", "null", False),
        ("multipart/form-data; boundary=json", None, False),
        ("image/png", None, False),
    ],
)
def test_of_bodies_that_nobody_calls_json_those_of_pages_are_refused(kind, origin, is_taken):
    named = {b"content-type": kind, b"origin": origin}
    headers = {name: value.encode() for name, value in named.items() if value}
    refusal = bounds.Bounded(None, 2, 60)._refusal("POST", headers)
    assert refusal is None if is_taken else refusal[0] == 415


def test_requests_that_wait_for_other_servers_keep_no_others_waiting():
    async def app(scope, receive, send):
        await receive()
        if scope["fetches"]:
            await bounds.wait_elsewhere()
            await asyncio.Event().wait()

    async def ask(service, fetches):
        async def receive():
            return {"type": "http.request", "body": b""}

        await service({**SCOPE, "fetches": fetches}, receive, None)

    async def ask_all():
        service = bounds.Bounded(app, 2, 60)
        slow = [asyncio.ensure_future(ask(service, True)) for _ in range(2 * bounds.AT_WORK)]
        await asyncio.sleep(0)
        await asyncio.wait_for(ask(service, False), 5)
        for task in slow:
            task.cancel()
        await asyncio.wait(slow)
        return service

    service = asyncio.run(ask_all())
    assert service.places._value == service.fetching._value == bounds.AT_WORK


class Connection:
    """As much of a protocol of uvicorn as its time limit is built on."""

    def __init__(self, loop):
        self.loop, self.cycle = loop, None

    def connection_made(self, transport):
        """Is called by asyncio."""

    def connection_lost(self, exc):
        """Is called by asyncio."""

    def shutdown(self):
        """Is called by uvicorn."""


def test_the_time_limit_keeps_no_connection_that_is_lost():
    loop = asyncio.new_event_loop()
    connection = bounds.patient(Connection, 60)(loop)
    connection.connection_made(None)
    connection.connection_lost(None)
    kept = weakref.ref(connection)
    del connection
    gc.collect()
    assert kept() is None
    loop.close()


@pytest.mark.parametrize("more_body", [True, False])
def test_a_service_that_ends_does_not_wait_for_the_rest_of_a_request(more_body, monkeypatch):
    monkeypatch.setattr(bounds, "LAST_CALL", 0)
    ended = []

    async def end():
        connection = bounds.patient(Connection, 60)(asyncio.get_running_loop())
        connection.transport = SimpleNamespace(abort=lambda: ended.append(True))
        connection.cycle = SimpleNamespace(more_body=more_body)
        connection.shutdown()
        await asyncio.sleep(0.01)

    asyncio.run(end())
    assert bool(ended) == more_body


def test_an_empty_host_is_not_all_of_them():
    with pytest.raises(UserError, match="^--host is empty; it takes an address"):
        serving._listening("", 0)


def test_a_program_that_is_cut_off_is_not_served(tmp_path):
    with pytest.raises(UserError, match="holds no inference.json, .pdmodel or .onnx"):
        runners.check(tmp_path, runners.STATIC)
    (tmp_path / "inference.json").write_text("{")
    with pytest.raises(UserError, match="has no inference.pdiparams beside it"):
        runners.check(tmp_path, runners.STATIC)
    (tmp_path / "inference.pdiparams").write_bytes(b"")
    with pytest.raises(UserError, match="is cut off or no program"):
        runners.check(tmp_path, runners.STATIC)
    runners.check(tmp_path, "hpi")  # which reads many formats


def test_pillow_knows_the_formats_that_a_service_takes():
    Image.init()
    assert set(serving.FORMATS) <= set(Image.OPEN)


def test_half_a_character_in_a_message_is_written_out():
    assert bounds.answer(422, "no answer from http://\ud800")["errorMsg"].endswith("http://\\ud800")


@pytest.fixture(scope="module")
def environment(wheel, tmp_path_factory):
    """A function that runs a command of an environment with the package and PaddleX, without paddleclas."""
    folder = tmp_path_factory.mktemp("paddlex")
    venv.create(folder / "env", with_pip=True)

    surroundings = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}

    def run(*arguments, check=True):
        result = subprocess.run(
            [str(part) for part in (folder / "env/bin/python", *arguments)],
            cwd=folder,
            env=surroundings,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=900,
        )
        assert not check or result.returncode == 0, result.stdout[-3000:]
        return result.stdout

    pins = (ROOT / "constraints.txt").read_text().splitlines()
    (paddle,) = [line.split()[0] for line in pins if line.startswith("paddlepaddle==")]
    pip = ("-m", "pip", "install", "--quiet", "--no-compile")
    pillow = f"pillow=={importlib.metadata.version('pillow')}"  # 13 resizes tall pictures in another way
    run.python = folder / "env/bin/python"
    run(*pip, f"{wheel}[paddlex]", f"paddlex=={paddlex.TRIED}", paddle, pillow)
    yield run
    shutil.rmtree(folder / "env")


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """A folder of pictures of many kinds."""
    folder = tmp_path_factory.mktemp("pictures")
    noise = np.random.RandomState(0)
    exif = Image.Exif()
    exif[0x0112] = 6  # a quarter turn

    def save(name, *shape, kind="uint8", **options):
        values = noise.randint(0, np.iinfo(kind).max, shape).astype(kind)
        Image.fromarray(values).save(folder / name, **options)

    save("wide.jpg", 40, 200, 3)
    save("tall.png", 180, 33, 3)
    save("small.png", 5, 9, 3)
    save("grey.png", 50, 60)
    save("rgba.png", 50, 60, 4)
    save("deep.png", 50, 60, kind="uint16")
    save("deep.tif", 50, 60, kind="uint16")
    save("turned.jpg", 50, 90, 3, exif=exif)
    return folder


@pytest.fixture(scope="module")
def exports(exported, tmp_path_factory):
    """Folders of one network: as exported, in the older layout alone, and with independent labels."""
    folder, _ = exported
    copies = {name: tmp_path_factory.mktemp(name) for name in ("older", "independent")}
    for copy in copies.values():
        shutil.copytree(folder, copy, dirs_exist_ok=True)
    (copies["older"] / "inference.json").unlink(missing_ok=True)
    read = description.read(folder)
    labels = read._replace(independent=True, topk=None, threshold=0.1)
    description.write(copies["independent"] / description.NAME, labels)
    return {"exported": folder, **copies}


def same(found, wanted):
    """Whether PaddleX's results are those of `Classifier`, and more than none."""
    assert len(found) == len(wanted) > 0
    for one, other in zip(found, wanted):
        assert (one["class_ids"], one["label_names"]) == (other["class_ids"], other["label_names"])
        np.testing.assert_allclose(one["scores"], other["scores"], atol=1e-5, rtol=0)
    return True


ENGINES = {"paddle_static": "paddle", **({"onnxruntime": "onnxruntime"} if HAS_ONNX else {})}
KINDS = [
    ("exported", "image_classification", {"topk": 4}),  # which it has as 5 where nothing is said
    ("exported", None, {"topk": 2}),
    ("older", None, {}),
    ("independent", "image_multilabel_classification", {}),
    ("independent", None, {"threshold": 0.02}),
    ("independent", None, {"topk": 3}),
]


@pytest.mark.slow
@pytest.mark.network
def test_its_scores_are_those_of_the_classifier(environment, exports, pictures, tmp_path):
    kinds = [
        (engine, *kind)
        for engine in ENGINES
        for kind in KINDS
        if (engine, kind[0]) != ("onnxruntime", "older")
    ]
    cases = [
        {
            "engine": engine,
            "folder": str(exports[name]),
            "pictures": str(pictures),
            "pipeline": pipeline,
            **asked,
        }
        for engine, name, pipeline, asked in kinds
    ]
    cases[-1]["batch_size"] = 3
    (tmp_path / "cases.json").write_text(json.dumps(cases))
    environment(ROOT / "tests/scripts/paddlex_predict.py", tmp_path / "cases.json", tmp_path / "found.json")
    found = json.loads((tmp_path / "found.json").read_text())
    for (engine, name, _, asked), results in zip(kinds, found):
        classify = Classifier(exports[name], ENGINES[engine], **asked)
        assert same(results, classify([result["input_path"] for result in results]))
    sizes = {len(result["class_ids"]) for result in found[3]}
    assert len(sizes) > 1, "the threshold chooses as many labels everywhere"


@pytest.mark.slow
@pytest.mark.network
def test_its_command_line_knows_the_backbones(environment, exports, pictures, tmp_path):
    pipeline = tmp_path / "pipeline.yaml"
    pipeline.write_text(PIPELINE.format(name="MixFormer_B0", folder=exports["exported"]))

    def run(*flags, **options):
        command = ("-m", "ppcls_mixformer", "paddlex", "--pipeline", pipeline, "--device", "cpu", *flags)
        return environment(*command, **options)

    run("--input", pictures, "--save_path", tmp_path / "saved", "--topk", 1)
    saved = [json.loads(path.read_text()) for path in (tmp_path / "saved").glob("*.json")]
    assert len(saved) == len(list(pictures.iterdir()))
    assert same(saved, Classifier(exports["exported"], topk=1)([one["input_path"] for one in saved]))
    assert (tmp_path / "saved/small_res.png").is_file()  # too small for PaddleX's letters

    (tmp_path / "half.png").write_bytes((pictures / "rgba.png").read_bytes()[:2000])
    line = error_line(run("--input", tmp_path / "half.png", check=False))
    assert line.startswith(f"error: {tmp_path}/half.png: ")
    line = error_line(run("--input", pictures, "--engine", "hpi", check=False))
    assert "'hpi' is unavailable because dependency 'ultra-infer' is not installed" in line
    assert "ultra" not in error_line(run("--input", pictures, "--engine", "none", check=False))


@pytest.mark.slow
@pytest.mark.network
def test_the_service_answers_many_clients_and_refuses_what_is_bad(environment, exports, pictures):
    chosen = [pictures / name for name in ("wide.jpg", "tall.png", "deep.png", "turned.jpg")]
    flags = ("--requests", 140, "--clients", 8)  # of ten each, the last is bad, in all ways that there are
    log = environment(ROOT / "benchmarks/serving.py", exports["exported"], *chosen, *flags)
    assert "140 requests by 8 clients, 0 wrong answers" in log and "SIGTERM ended it with status 0" in log
    log = environment(ROOT / "benchmarks/serving.py", exports["independent"], *chosen, "--requests", 10)
    assert "10 requests by 16 clients, 0 wrong answers" in log


PATIENCE = 2  # seconds, of the service below


@pytest.fixture(scope="module")
def service(environment, exports):
    """A running `serve`, and its port."""
    command = ["-u", "-m", "ppcls_mixformer", "serve", exports["exported"], "--port", "0"]
    command = [environment.python, *command, "--patience", PATIENCE]
    surroundings = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    with subprocess.Popen(
        [str(part) for part in command],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=surroundings,
        text=True,
    ) as process:
        for line in process.stdout:
            if found := re.match(r"http://127.0.0.1:(\d+) serves", line):
                yield process, int(found[1])
        process.kill()


def head(path="/image-classification", method="POST", **headers):
    """The head of a request."""
    lines = {"Host": "here", "Content-Type": "application/json", **headers}
    shown = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in lines.items())
    return f"{method} {path} HTTP/1.1\r\n{shown}\r\n".encode()


def sent(port, *parts, pause=0):
    """What comes back on a connection of its own, until the service ends it or is silent for long."""
    with socket.create_connection(("127.0.0.1", port), timeout=5 * PATIENCE) as connection:
        with contextlib.suppress(ConnectionError):  # of a service that has ended it
            for part in parts:
                connection.sendall(part)
                time.sleep(pause)
        answers = b""
        with contextlib.suppress(ConnectionError):
            while data := connection.recv(1 << 16):
                answers += data
        return answers


def errors(answers):
    """Statuses and messages of the answers on a connection."""
    found = re.findall(r"HTTP/1.1 (\d+).*?\r\n\r\n(\{.*?\})(?=HTTP|$)", answers.decode(), re.DOTALL)
    return [(int(status), json.loads(body)["errorMsg"]) for status, body in found]


@pytest.mark.slow
@pytest.mark.network
def test_a_service_bears_clients_that_are_slow_or_break_the_rules(service, pictures):
    process, port = service
    data = base64.b64encode((pictures / "tall.png").read_bytes()).decode()
    body = json.dumps({"image": data}).encode()
    whole = head(Content_Length=len(body), Connection="close") + body

    idle = [socket.create_connection(("127.0.0.1", port)) for _ in range(100)]
    ((status, said),) = errors(sent(port, whole))
    assert (status, said) == (200, "Success")
    for connection in idle:
        connection.settimeout(5 * PATIENCE)
        with contextlib.suppress(ConnectionError):
            assert connection.recv(1) == b""
        connection.close()

    def refused(*parts, **options):
        ((status, said),) = errors(sent(port, *parts, **options))
        return f"{status} {said}"

    close = {"Connection": "close"}
    late = f"408 the request has not arrived within {PATIENCE} seconds"
    assert refused(head(Content_Length=len(body) + 1), body) == late
    slowly = [body[i : i + 1] for i in range(6)]
    assert refused(head(Content_Length=len(body)), *slowly, pause=PATIENCE / 5) == late
    assert sent(port, *(whole[i : i + 1] for i in range(6)), pause=PATIENCE / 5) == b""
    assert refused(head(Transfer_Encoding="chunked"), b"3\r\n{  \r\n") == late
    assert refused(head(Content_Length=2, Content_Encoding="gzip", **close), b"{}").startswith(
        "415 Content-Encoding: gzip is not read"
    )
    page = {"Content_Type": "text/plain", "Origin": "http://elsewhere"}
    assert refused(head(Content_Length=2, **page, **close), b"{}") == (
        "415 Content-Type is text/plain; it must be application/json"
    )
    for kind in ("application/x-www-form-urlencoded", "text/json"):  # of curl, and of whoever
        said = errors(sent(port, head(Content_Length=len(body), Content_Type=kind, **close), body))
        assert said == [(200, "Success")]
    for method in ("GET", "OPTIONS"):
        assert refused(head(method=method, **close)) == "405 Method Not Allowed"
    assert sent(port, head(method="HEAD", **close)).startswith(b"HTTP/1.1 405")
    healthy = sent(port, head("/health", method="HEAD", **close))
    assert healthy.startswith(b"HTTP/1.1 200") and healthy.endswith(b"\r\n\r\n")
    deep = b'{"image": ' + b"[" * 100000 + b"]" * 100000 + b"}"
    assert refused(head(Content_Length=len(deep), **close), deep).startswith("4")
    chunked = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (body[:99], body[99:], b""))
    assert errors(sent(port, head(Transfer_Encoding="chunked", **close), chunked))[0][0] == 200
    for path, asked in (
        ("", {"image": data}),
        ("", {"image": "!"}),
        ("", {"imag": data}),
        ("/batch", {"images": [data]}),
    ):
        asked = json.dumps({**asked, "logId": "mine"}).encode()
        said = sent(port, head(f"/image-classification{path}", Content_Length=len(asked), **close), asked)
        assert b'"logId":"mine"' in said, said
    assert b'"logId":"mine"' not in sent(port, whole)
    half = b'{"logId": "\\ud800", "image": "!"}'
    assert errors(sent(port, head(Content_Length=len(half), **close), half))[0][0] == 422
    keys = b'{"image": "", "topK": 3, "other": 1}'
    assert refused(head(Content_Length=len(keys), **close), keys) == (
        "422 body: there is no key topK; did you mean topk?"
    )
    several = json.dumps({"images": [data] * 3 + [base64.b64encode(BOMB).decode()]}).encode()
    at_batch = head("/image-classification/batch", Content_Length=len(several), **close)
    assert refused(at_batch, several).startswith("413 images.3: the picture has 10000x10000 pixels")

    piped = head(Content_Length=len(body)) + body + whole
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(piped)
        time.sleep(0.3)
        process.send_signal(signal.SIGTERM)
        connection.settimeout(60)
        answers = b""
        while data := connection.recv(1 << 16):
            answers += data
    assert (200, "Success") in errors(answers)
    assert process.wait(60) == 0


@pytest.mark.slow
@pytest.mark.network
def test_a_service_that_cannot_start_is_one_line(environment, exports, tmp_path):
    def serve(*flags):
        return error_line(environment("-m", "ppcls_mixformer", "serve", *flags, check=False))

    assert f"{tmp_path} holds no inference.yml" in serve(tmp_path)
    damaged, swapped = tmp_path / "damaged", tmp_path / "swapped"
    for copy in (damaged, swapped):
        shutil.copytree(exports["exported"], copy)
    with open(damaged / "inference.pdiparams", "r+b") as file:
        file.truncate(os.path.getsize(file.name) - 100)  # of which Paddle makes something up
    assert "inference.pdiparams is cut off after" in serve(damaged)
    pipeline = tmp_path / "pipeline.yaml"
    pipeline.write_text(PIPELINE.format(name="MixFormer_B0", folder=damaged))
    command = ("-m", "ppcls_mixformer", "paddlex", "--pipeline", pipeline, "--input", "a.png")
    assert "inference.pdiparams is cut off after" in error_line(environment(*command, check=False))
    described = description.read(swapped)._replace(image_shape=None, transform_ops=ANOTHER_SIZE)
    description.write(swapped / description.NAME, described)
    assert re.search("does not run on|was exported for another size", serve(swapped))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert f"--port {port}: Address already in use" in serve(exports["exported"], "--port", port)
