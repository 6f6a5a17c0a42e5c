"""Checkpoints that run code in a reader that is not on guard, and others that are made up."""

import functools
import os
import pickle

import numpy as np


class Call:
    """Is pickled as the call of a function, which a reader makes."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


class State:
    """Is pickled as a call and a state for what it returns."""

    def __init__(self, function, arguments, state):
        self.parts = function, arguments, state

    def __reduce__(self):
        return self.parts


def runnable(marker):
    """`{name: bytes}` of pickles that make the folder `marker` where they are read without care."""
    call, code = Call(os.mkdir, marker), f"__import__('os').mkdir({marker!r})"
    partial = pickle.dumps(functools.partial(os.mkdir, marker), protocol=2)
    array = np.zeros(2, "float32")
    return {
        "a call": pickle.dumps(call),
        "a call beside a tensor": pickle.dumps({"head.weight": array, "x": call}),
        "a call in protocol 0": pickle.dumps({"x": call}, protocol=0),
        "a call in protocol 2": pickle.dumps([call], protocol=2),
        "a call in a tensor's name": pickle.dumps({"x": (call, array)}, protocol=3),
        "eval": pickle.dumps(Call(eval, code, {"data": array})),
        "eval in Paddle's form": pickle.dumps(Call(eval, "data", {"data": call})),
        "exec": pickle.dumps(Call(exec, code)),
        "a call of what is made": partial[:-1] + b")R.",
        "a call by a function": pickle.dumps(Call(functools.reduce, os.mkdir, [marker, 0o777])),
        "a pickle in a pickle": pickle.dumps(Call(pickle.loads, pickle.dumps(call))),
        "an old instance": f"(V{marker}\nios\nmkdir\n.".encode(),
        "an old object": f"(cos\nmkdir\nV{marker}\no.".encode(),
        "an array of objects": pickle.dumps({"x": np.array([call, 1], dtype=object)}),
        "a function of numpy": f"cnumpy.testing._private.utils\nrunstring\n(V{code}\n}}tR.".encode(),
        "a module of numpy": b"\x80\x04\x8c\x1cnumpy.testing._private.utils\x8c\x08os.mkdir\x93"
        + f"(V{marker}\ntR.".encode(),
    }


def made_up():
    """`{name: bytes}` of pickles that choose addresses in memory, do not end or are of other libraries."""
    itself, many = [], []
    itself.append(itself)
    for _ in range(40):
        many = [many, many]
    make_array, arguments, _ = np.zeros(0).__reduce__()
    of_addresses = (3, "|", None, ("x",), {"x": (np.dtype("O"), 0)}, 8, 1, 0)
    return {
        "a dtype of objects": pickle.dumps(np.zeros(2, dtype=object)),
        "a dtype with fields": pickle.dumps(np.zeros(2, dtype=[("x", "f4")])),
        "a dtype that is made up": pickle.dumps(State(np.dtype, ("V8", False, True), of_addresses)),
        "an array that is too long": pickle.dumps(
            State(make_array, arguments, (1, (9,), np.dtype("f4"), False, b"1234"))
        ),
        "an array of negative size": pickle.dumps(
            State(make_array, arguments, (1, (-1, -4), np.dtype("i1"), False, b"1234"))
        ),
        "another library's object": pickle.dumps(functools.partial(print)),
        "an object kept elsewhere": b"Pweights\n.",
        "a registered extension": b"\x80\x02\x82\x01.",
        "a name alone": pickle.dumps({"x": np.ndarray}),
        "a list in itself": pickle.dumps(itself),
        "lists without end": pickle.dumps(many),
    }


def everything_at(path):
    """Writes each checkpoint of this module to `path`, and sees to it that none ran when it was read."""
    marker = path.parent / "marker"
    for name, content in {**runnable(str(marker)), **made_up()}.items():
        path.write_bytes(content)
        yield name
        assert not marker.exists(), name
