"""Many clients at one `serve`, one request in ten bad: no wrong answer, memory, milliseconds to an answer.

    python benchmarks/serving.py FOLDER PICTURE …      # with the Python that has PaddleX

Ends with status 1 where an answer was wrong, the service ended, or SIGTERM did not end it with status 0.
"""

import argparse
import base64
import concurrent.futures
import http.client
import json
import random
import re
import signal
import struct
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
import zlib
from pathlib import Path

import numpy as np

from ppcls_mixformer import Classifier
from ppcls_mixformer.predict import description

# By whether labels are independent.
ROUTES = {False: "image-classification", True: "multilabel-image-classification"}
BATCH = "/batch"  # the route for several pictures, below that for one
PATIENCE = 120  # seconds, for the service to start and for an answer


def chunk(kind, data):
    """A chunk of a PNG."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def bomb(width=10000, height=10000):
    """A PNG of a few KB that becomes a picture of `width` by `height` pixels."""
    rows = zlib.compress(bytes(height * (1 + width // 8)), 9)
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


BOMB, LINE = bomb(), bomb(20000, 3)
HALF = bomb(4800, 4800)[:1000]  # of 23 megapixels
ICON = struct.pack("<HHHBBBBHHII", 0, 1, 1, 16, 16, 0, 0, 1, 32, len(BOMB), 22) + BOMB  # which says 16x16
BAD = {  # a request's body, from the bytes of a picture, the status that it must get, and where it is sent to
    "no picture": (lambda data: request(b"no picture"), 422, ""),
    "half a picture": (lambda data: request(data[: len(data) // 2]), 422, ""),
    "no JSON": (lambda data: b"{", 422, ""),
    "an unknown key": (lambda data: request(data)[:-1] + b', "topK": 3}', 422, ""),
    "a topk of another type": (lambda data: request(data)[:-1] + b', "topk": true}', 422, ""),
    "too large": (lambda data: b" " * (17 << 20), 413, ""),
    "too many pixels": (lambda data: request(BOMB), 413, ""),
    "an address": (lambda data: json.dumps({"image": "http://127.0.0.1/a.png"}).encode(), 403, ""),
    "a program": (lambda data: request(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n"), 422, ""),
    "too many pixels in an icon": (lambda data: request(ICON), 422, ""),
    "a logId of another kind": (lambda data: b'{"logId": [1], "image": 2}', 422, ""),
    "too many pictures": (lambda data: batch([b""] * 33), 422, BATCH),
    "too many pixels in one of several": (lambda data: batch([data, BOMB]), 413, BATCH),
    "too many pixels in several half pictures": (lambda data: batch([HALF] * 2), 413, BATCH),
}
FORMS = {  # of base64, which all mean the same
    "plain": lambda data: base64.b64encode(data).decode(),
    "as browsers have it": lambda data: f"data:image/png;base64,{base64.b64encode(data).decode()}",
    "URL-safe": lambda data: base64.urlsafe_b64encode(data).decode().rstrip("="),
    "in lines": lambda data: base64.encodebytes(data).decode(),
}


def request(data, form="plain"):
    """The body that asks for the classes of a picture."""
    return json.dumps({"image": FORMS[form](data)}).encode()


def batch(pictures):
    """The body that asks for the classes of several pictures."""
    return json.dumps({"images": [base64.b64encode(data).decode() for data in pictures]}).encode()


def send(address, body):
    """Status and answer, a dict; 0 and an error where there is no answer in JSON."""
    asked = urllib.request.Request(address, body, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(asked, timeout=PATIENCE) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        try:
            return error.code, json.load(error)
        except ValueError:
            return 0, f"status {error.code}, without JSON"
    except (OSError, ValueError, http.client.HTTPException) as error:
        return 0, repr(error)


def memory(pid):
    """MiB that a process has in use."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * 4096 / (1 << 20)


class Load:
    """Requests for pictures whose answers are known, and what came back."""

    def __init__(self, address, folder, pictures):
        self.address, self.wrong, self.seconds = address, [], []
        self.known = [
            (Path(path).read_bytes(), shown) for path, shown in zip(pictures, Classifier(folder)(pictures))
        ]
        self.lock = threading.Lock()

    def ask_for_several(self):
        """Sends all known pictures, what is none, and one of which no square can be made, in one request."""
        body = batch([*(data for data, _ in self.known), b"no picture", LINE])
        got, answer = send(f"{self.address}{BATCH}", body)
        *found, bad, line = answer["result"]["pictures"] if got == 200 else [{}, {}]
        refused = {one.get("errorCode") for one in (bad, line)} == {422}
        right = [same({"result": one}, shown) for one, (_, shown) in zip(found, self.known)]
        if len(found) != len(self.known) or not all(right) or not refused:
            with self.lock:
                self.wrong.append(("several", got, answer))

    def ask(self, number):
        """Sends request `number`; every tenth is a bad one, and every tenth one for several pictures."""
        if number % 10 == 4:
            return self.ask_for_several()
        data, shown = random.Random(number).choice(self.known)
        kind = list(BAD)[number // 10 % len(BAD)] if number % 10 == 9 else None
        make, status, place = BAD[kind] if kind else (request, 200, "")
        body = make(data) if kind else request(data, list(FORMS)[number % len(FORMS)])
        start = time.perf_counter()
        got, answer = send(f"{self.address}{place}", body)
        seconds = time.perf_counter() - start
        right = got == status and (refuses(answer, status) if kind else same(answer, shown))
        with self.lock:
            if not right:
                self.wrong.append((kind, got, answer))
            if not kind:
                self.seconds.append(seconds)


def refuses(answer, status):
    """Whether an answer of the service says with the same status what is wrong, and nothing else."""
    return answer["errorCode"] == status and bool(answer["errorMsg"]) and "result" not in answer


def same(answer, shown):
    """Whether an answer of the service is the result of `Classifier`."""
    found = answer["result"].get("categories", [])
    labels = [(one["id"], one["name"]) for one in found]
    wanted = list(zip(shown["class_ids"], shown["label_names"]))
    return labels == wanted and np.allclose(
        [one["score"] for one in found], shown["scores"], atol=1e-5, rtol=0
    )


def start(folder):
    """A service on a free port, and its address."""
    command = [sys.executable, "-u", "-m", "ppcls_mixformer", "serve", folder, "--port", "0"]
    service = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    for line in service.stdout:
        if found := re.match(r"http://\S+", line):
            threading.Thread(target=service.stdout.read, daemon=True).start()
            return service, f"{found[0]}/{ROUTES[description.read(folder).independent]}"
    sys.exit(f"error: the service ended with status {service.wait()}")


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder")
    parser.add_argument("pictures", nargs="+")
    parser.add_argument("--requests", type=int, default=1000)
    parser.add_argument("--clients", type=int, default=16)
    flags = parser.parse_args()
    service, address = start(flags.folder)
    load = Load(address, flags.folder, flags.pictures)
    memories = []
    with concurrent.futures.ThreadPoolExecutor(flags.clients) as pool:
        for part in np.array_split(np.arange(flags.requests), 5):
            list(pool.map(load.ask, map(int, part)))
            memories.append(memory(service.pid))
    service.send_signal(signal.SIGTERM)
    status = service.wait(PATIENCE)
    half, most = np.percentile(load.seconds, [50, 99]) * 1000
    print(f"{flags.requests} requests by {flags.clients} clients, {len(load.wrong)} wrong answers")
    print(f"p50 {half:.0f} ms, p99 {most:.0f} ms; SIGTERM ended it with status {status}")
    print("MiB after each fifth:", *map(round, memories))
    for wrong in load.wrong[:3]:
        print(*wrong)
    sys.exit(bool(load.wrong) or status != 0)


if __name__ == "__main__":
    main()
