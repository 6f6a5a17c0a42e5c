"""What an error needs to know to be of help: the nearest name, and what this machine has."""

import difflib

import paddle


def nearest(name, known, cutoff=0.6):
    """The one of `known` that is spelt most like `name`; None where none is, by `cutoff`, 0 to 1."""
    return next(iter(difflib.get_close_matches(str(name), list(known), n=1, cutoff=cutoff)), None)


def did_you_mean(name, known):
    """The end of a sentence that refuses `name`: `; did you mean …?`, or all that there is."""
    known = list(known)
    near = nearest(name, known)
    return f"; did you mean {near}?" if near else f"; there are {', '.join(known)}"


def has_gpu():
    """Whether this Paddle can use a GPU of this machine."""
    return paddle.is_compiled_with_cuda() and paddle.device.cuda.device_count() > 0
