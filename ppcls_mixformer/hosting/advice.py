"""What an error needs to know to be of help: the nearest name, and what this machine has."""

import difflib
import importlib.metadata
import re

SYNONYMS = {"num_classes": "class_num", "num_class": "class_num"}  # what others call it
TRIED = ("2.6", "3.3")  # the oldest and the newest Paddle that the tests ran on


def nearest(name, known, cutoff=0.6):
    """The one of `known` that is spelt most like `name`; None where none is, by `cutoff`, 0 to 1."""
    known = list(known)
    if SYNONYMS.get(str(name)) in known:
        return SYNONYMS[str(name)]
    return next(iter(difflib.get_close_matches(str(name), known, n=1, cutoff=cutoff)), None)


def hint(name, known):
    """`; did you mean …?`, the end of a sentence that refuses `name`; empty where none is spelt like it."""
    near = nearest(name, known)
    return f"; did you mean {near}?" if near else ""


def did_you_mean(name, known):
    """As `hint`; all that there is where none is spelt like it."""
    known = list(known)
    return hint(name, known) or f"; there are {', '.join(known)}"


def has_gpu():
    """Whether this Paddle can use a GPU of this machine."""
    import paddle

    return paddle.is_compiled_with_cuda() and paddle.device.cuda.device_count() > 0


def installed(package):
    """Version of an installed package; empty if there is none."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""


def untried_paddle(version):
    """One line on a Paddle whose version is older or newer than any that was tried; None on others."""
    release, oldest, newest = map(_release, (version, *TRIED))
    if oldest <= release <= newest:
        return None
    return f"paddlepaddle {version} was not tried with this package, {' to '.join(TRIED)} were"


def _release(version):
    return tuple(map(int, re.findall(r"\d+", version)[:2]))
