"""Answers of servers, within a time that holds for all of it."""

import base64
import queue
import threading
import urllib.parse
import urllib.request


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


def _request(url):
    """The request for `url`; urllib takes user and password for a part of the host's name."""
    parts = urllib.parse.urlsplit(url)
    credentials, at, host = parts.netloc.rpartition("@")
    request = urllib.request.Request(parts._replace(netloc=host).geturl() if at else url)
    if at:
        plain = urllib.parse.unquote_to_bytes(credentials)
        request.add_unredirected_header("Authorization", f"Basic {base64.b64encode(plain).decode()}")
    return request
