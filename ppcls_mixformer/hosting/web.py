"""Answers of servers, within a time that holds for all of it."""

import queue
import threading
import urllib.request


def open_within(url, seconds):
    """The response to `url`, within `seconds` in all, redirects included; then as long without a byte.

    In a thread, since urllib's timeout starts anew with every address, redirect and byte.

    Raises:
        OSError: no answer in time, or none at all.
        ValueError: no address.
    """
    answers = queue.Queue()

    def ask():
        try:
            answers.put(urllib.request.urlopen(url, timeout=seconds))
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
