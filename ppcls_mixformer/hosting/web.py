"""Answers of servers, within a time that holds for all of it; files out of them, and their SHA-256."""

import base64
import hashlib
import queue
import threading
import urllib.parse
import urllib.request

from tqdm import tqdm

BLOCK = 1 << 20  # bytes that are read at once


def open_within(url, seconds):
    """The response to `url`, within `seconds` in all, redirects included; then as long without a byte.

    User and password in the address go to its host alone, as HTTP's basic authentication.

    In a thread, since urllib's timeout starts anew with every address, redirect and byte.

    Raises:
        OSError: no answer in time, or none at all.
        ValueError: no address.
    """
    answers = queue.Queue()

    def ask():
        try:
            answers.put(urllib.request.urlopen(_request(url), timeout=seconds))
        except Exception as error:
            answers.put(error)

    threading.Thread(target=ask, daemon=True).start()
    try:
        answer = answers.get(timeout=seconds)
    except queue.Empty:
        raise OSError(f"no answer within {seconds} seconds") from None
    if isinstance(answer, Exception):
        raise answer
    return answer


def download(url, path, seconds, label):
    """Writes the body of `url` to a new file at `path`, under a progress bar called `label`.

    Args:
        seconds: see `open_within`.

    Raises:
        OSError, ValueError, http.client.HTTPException: no answer, or one that ends early; no room for it.
    """
    with open_within(url, seconds) as response, open(path, "xb") as file:
        total = response.length  # None where the server does not say
        with tqdm(total=total, unit="B", unit_scale=True, desc=label) as bar:
            while chunk := response.read1(BLOCK):
                file.write(chunk)
                bar.update(len(chunk))
    if total is not None and bar.n != total:
        raise OSError(f"the connection ended after {bar.n} of {total} bytes")


def sha256_of(path):
    """SHA-256 of the file at `path`, in hexadecimal."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while chunk := file.read(BLOCK):
            digest.update(chunk)
    return digest.hexdigest()


def _request(url):
    """The request for `url`; urllib takes user and password for a part of the host's name."""
    parts = urllib.parse.urlsplit(url)
    credentials, at, host = parts.netloc.rpartition("@")
    request = urllib.request.Request(parts._replace(netloc=host).geturl() if at else url)
    if at:
        plain = urllib.parse.unquote_to_bytes(credentials)
        request.add_unredirected_header("Authorization", f"Basic {base64.b64encode(plain).decode()}")
    return request
