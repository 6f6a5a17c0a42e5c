"""Servers that answer in other ways than planned, never, or not in time."""

import re
import socket
import time

import pytest
from stand_ins import HTML, NAME, files, same, send, small

from ppcls_mixformer import WeightsError
from ppcls_mixformer.weights import download


def test_a_body_without_content_length_is_taken_when_it_is_whole(cache, serve, published, body):
    serve(lambda handler: send(handler, body, Content_Length=None))
    assert same(small(pretrained=True), published) and files(cache) == [NAME]


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
    assert "\n" not in error.value.args[0] and not files(cache)


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


@pytest.fixture
def impatient(monkeypatch):
    """Half a second is waited."""
    monkeypatch.setattr(download, "TIMEOUT", 0.5)


def quick_error(cache, url, reason):
    start = time.monotonic()
    with pytest.raises(WeightsError, match=f"cannot download {re.escape(url)}: .*{reason}") as error:
        small(pretrained=True)
    assert time.monotonic() - start < 5
    assert f"put it at {cache / NAME}" in str(error.value) and not files(cache)


def test_no_such_host_and_a_refused_connection_end_at_once(cache, publish_at, refused):
    quick_error(cache, publish_at("http://weights.invalid"), "")
    quick_error(cache, publish_at(refused), "Connection refused")


def test_a_server_that_never_answers(cache, publish_at, impatient, silent):
    quick_error(cache, publish_at(silent), "timed out|no answer within 0.5 seconds")


def test_a_server_that_drips_its_answer_is_given_up_in_time(cache, serve, impatient):
    """Each byte would start urllib's own timeout anew."""

    def drip(handler):
        for _ in range(100):
            handler.wfile.write(b"H")
            time.sleep(0.1)

    quick_error(cache, serve(drip), "no answer within 0.5 seconds")


def test_a_server_that_stalls_midway(cache, serve, impatient, body):
    def stall(handler):
        send(handler, body[:2000], Content_Length=len(body))
        time.sleep(10)

    quick_error(cache, serve(stall), "timed out")
