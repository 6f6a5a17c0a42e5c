"""Downloads of published checkpoints: a file is in the cache only once it is complete and accepted."""

import hashlib
import http.client
import queue
import threading
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Optional

from tqdm import tqdm

from ppcls_mixformer.hosting.errors import first_line
from ppcls_mixformer.hosting.whole import whole_file
from ppcls_mixformer.weights.checkpoint import WeightsError

CACHE = Path("~/.cache/paddle/hapi/weights")  # Paddle's own
TIMEOUT = 10  # seconds to the answer, and then without a byte


@dataclass(frozen=True)
class Published:
    """Address of a published checkpoint; `sha256` is None where its authors gave none."""

    url: str
    sha256: Optional[str] = None


def fetch(published, fits):
    """Path of a published checkpoint in Paddle's cache, downloaded when it is not there.

    Processes that do the same at once do no harm: each writes a file of its own until it is accepted.

    Args:
        fits: called with the path of the complete download; raises a WeightsError to refuse it, or a
            ValueError that says why it cannot be read.

    Raises:
        WeightsError: unreachable, cut short, unreadable, another SHA-256, refused, or no room for it.
    """
    path = CACHE.expanduser() / published.url.rsplit("/", 1)[-1]
    if not path.exists():
        _download(published, path, fits)
        return path
    try:
        _check_sha256(path, published.sha256)
    except ValueError as error:
        raise WeightsError(f"{path}: {error}; delete it to download it again") from None
    return path


def _download(published, path, fits):
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(path) as part:
            with open(part, "xb") as file:
                _stream(published.url, file, path.name)
            _check_sha256(part, published.sha256)
            fits(part)
    except WeightsError:
        raise
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise WeightsError(
            f"cannot download {published.url}: {first_line(error)}. Fetch it by other means and put it at "
            f"{path}, or pass its path as pretrained"
        ) from None


def _check_sha256(path, expected):
    """Raises a ValueError unless the file at `path` has the SHA-256 `expected`; None is any."""
    digest = hashlib.sha256(path.read_bytes()).hexdigest() if expected else None
    if digest != expected:
        raise ValueError(f"the file has SHA-256 {digest}, not {expected}")


def _stream(url, file, label):
    """Copies the body of `url` into `file` under a progress bar."""
    with _open(url) as response:
        total = response.length  # None where the server does not say
        with tqdm(total=total, unit="B", unit_scale=True, desc=label) as bar:
            while chunk := response.read1(1 << 20):
                file.write(chunk)
                bar.update(len(chunk))
    if total is not None and bar.n != total:
        raise OSError(f"the connection ended after {bar.n} of {total} bytes")


def _open(url):
    """The response to `url`, within TIMEOUT seconds in all.

    In a thread, since urllib's timeout starts anew with every address, redirect and byte.
    """
    answers = queue.Queue()

    def ask():
        try:
            answers.put(urllib.request.urlopen(url, timeout=TIMEOUT))
        except Exception as error:
            answers.put(error)

    threading.Thread(target=ask, daemon=True).start()
    try:
        answer = answers.get(timeout=TIMEOUT)
    except queue.Empty:
        raise OSError(f"no answer within {TIMEOUT} seconds") from None
    if isinstance(answer, Exception):
        raise answer
    return answer
