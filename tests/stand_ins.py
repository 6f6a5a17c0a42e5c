"""What stands for the published weights in tests: a small network, files of it, and a local server."""

import contextlib
import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import paddle
from commands import ROOT

from ppcls_mixformer import MixFormer_B1
from ppcls_mixformer.network.dense import DenseMixFormer

SMALL = {"embed_dim": 16, "depths": (1, 1), "num_heads": (1, 2), "class_num": 5}
NAME = "MixFormer_B1_pretrained.pdparams"
HTML = b"<!doctype html><title>Sign in</title>" * 50


def small(**arguments):
    """A MixFormer-B1 that is built and saved in no time."""
    return MixFormer_B1(**{**SMALL, **arguments})


def small_trunk(**arguments):
    """The backbone of a dense predictor that takes the small model's weights."""
    trunk = {key: value for key, value in SMALL.items() if key != "class_num"}
    return DenseMixFormer(out_indices=(0, 1), **{**trunk, **arguments})


def save(state, path):
    paddle.save(state, str(path))
    return path


def same(model, state):
    """Whether `model` has the entries of `state` and their values."""
    entries = model.state_dict()
    return entries.keys() == state.keys() and all(
        (value.numpy() == np.asarray(state[name])).all() for name, value in entries.items()
    )


def files(folder):
    return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []


@contextlib.contextmanager
def server(answer):
    """Address of a local server that answers each GET by `answer(handler)`."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            self.close_connection = True
            answer(self)

        def log_message(self, *args):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        running.daemon_threads = True
        running.block_on_close = False
        threading.Thread(target=running.serve_forever, args=(0.05,), daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()


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


def load_published(host, address, output, *flags):
    """Starts tests/scripts/weights_load_published.py."""
    command = [sys.executable, "tests/scripts/weights_load_published.py", host, address, output, *flags]
    return subprocess.Popen(
        [str(part) for part in command],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


def load_small(address, output, *flags):
    """Starts a process that loads the small model's published weights."""
    return load_published("no host", address, output, "--overrides", json.dumps(SMALL), *flags)
