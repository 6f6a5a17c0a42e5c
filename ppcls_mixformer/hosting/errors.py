"""Errors that a user can fix, and the gist of other people's."""

import contextlib
import re
import traceback

CREDENTIALS = re.compile(r"(?<=://)[^/\s?#]*@")  # of an address: https://user:password@host


class UserError(Exception):
    """Something about the set-up, a config or a file; its text, one line, says what, where and what to do.

    Line ends in it, which names of files and ids may have, are spaces; passwords in addresses are masked.
    Several things have a text each.
    """

    @property
    def texts(self):
        """A line on each thing."""
        return [masked(" ".join(str(text).splitlines())) for text in self.args]

    def __str__(self):
        return "; ".join(self.texts)


def masked(text):
    """`text` with `***` for user and password in each address."""
    return CREDENTIALS.sub("***@", text)


@contextlib.contextmanager
def collected(texts):
    """Adds to `texts` what a UserError says that the block raises, and goes on behind the block."""
    try:
        yield
    except UserError as error:
        texts += [text for text in error.texts if text not in texts]


@contextlib.contextmanager
def placed(place):
    """Puts `place`, such as a key or a flag, in front of each text of a UserError that the block raises."""
    try:
        yield
    except UserError as error:
        raise type(error)(*(f"{place}: {text}" for text in error.texts)) from None


def check_all(checks):
    """Calls all `checks`, without arguments, also behind one that refuses; returns what they return.

    Raises:
        UserError: all that they refuse.
    """
    refused, results = [], []
    for check in checks:
        with collected(refused):
            results.append(check())
    if refused:
        raise UserError(*refused)
    return results


@contextlib.contextmanager
def failing_in(rooms):
    """Turns what a part of a network raises in the block into a UserError that names its class.

    Args:
        rooms: how the names of modules begin in which such classes are; what else is raised passes.
    """
    try:
        yield
    except (UserError, OSError):
        raise
    except Exception as error:  # layers raise what they like
        owners = [type(frame.f_locals.get("self")) for frame, _ in traceback.walk_tb(error.__traceback__)]
        names = [owner.__name__ for owner in owners if owner.__module__.startswith(rooms)]
        if not names:
            raise
        raise UserError(f"{names[-1]} fails: {gist(error)}") from error


def first_line(error):
    """First line of an exception's text, or its type where it has none."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def reason_of(error):
    """Why a file could not be had, one line: what the system says, else the first line of the text."""
    return (isinstance(error, OSError) and error.strerror) or first_line(error)


def error_line(error):
    """What an exception says, one line: of many, such as C++ writes, the last that has `Error`."""
    lines = [line.strip() for line in str(error).splitlines() if "Error" in line]
    return lines[-1] if lines else first_line(error)


def needs_paddle(what):
    """What is said where `what` is asked for and Paddle is not installed."""
    return f"{what} needs paddlepaddle, which is not installed: pip install paddlepaddle, or paddlepaddle-gpu"


def gist(error):
    """Type and first line of an exception; of an assertion without a text, what it asserts."""
    kind, text = type(error).__name__, str(error).strip()
    if not text and isinstance(error, AssertionError):
        frames = traceback.extract_tb(error.__traceback__)
        text = frames[-1].line if frames else ""
    return f"{kind}: {text.splitlines()[0]}" if text else kind
