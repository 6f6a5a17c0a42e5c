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
        "a deep key": b"\x80\x02}" + b")" + b"\x85" * 20_000 + b"K\x01s.",
        "a deep member": b"\x80\x04\x8f(" + b")" + b"\x85" * 20_000 + b"\x90.",
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


def yaml_values(marker):
    """`{name: text}` of YAML, each for the place of a value, that makes the folder `marker` if it can."""
    code = f"__import__('os').mkdir('{marker}')"
    apply = "!!python/object/apply"
    return {
        "a call": f"{apply}:os.mkdir [{marker}]",
        "a call with args": f"{apply}:os.mkdir {{args: [{marker}]}}",
        "a call by new": f"!!python/object/new:os.mkdir [{marker}]",
        "eval": f'{apply}:eval ["{code}"]',
        "exec": f'{apply}:builtins.exec ["{code}"]',
        "the shell": f'{apply}:os.system ["mkdir {marker}"]',
        "a process": f"{apply}:subprocess.check_call [[mkdir, {marker}]]",
        "a call in a list": f"[1, [{apply}:os.mkdir [{marker}]]]",
        "a call as a key": f"{{? {apply}:os.mkdir [{marker}] : 1}}",
        "a call behind an anchor": f"[&a {apply}:os.mkdir [{marker}], 1]",
        "a tag in full": f"!<tag:yaml.org,2002:python/object/apply:os.mkdir> [{marker}]",
        "a tag in code": f"!!python/object/%61pply:os.mkdir [{marker}]",
    }


def yaml_traps():
    """The same, of YAML that names objects, does not end or has no value."""
    doubling = ", ".join(f"&a{n} [*a{n - 1}, *a{n - 1}]" for n in range(1, 40))
    merging = ", ".join(f"&m{n} {{<<: [*m{n - 1}, *m{n - 1}], k{n}: 1}}" for n in range(1, 40))
    return {
        "a function's name": "!!python/name:os.mkdir",
        "a module": "!!python/module:os",
        "PaddleDetection's caller": "!Callable {full_type: os.mkdir, args: [marker]}",
        "a tag of nobody": "!Nobody {x: 1}",
        "itself": "&a [*a]",
        "itself in a mapping": "&a {x: *a}",
        "aliases without end": f"[&a0 [x], {doubling}]",
        "merges without end": f"[&m0 {{x: 1}}, {merging}]",
        "too deep": "[" * 5000 + "]" * 5000,
        "deep": "[" * 150 + "]" * 150,
        "no number": "!!int x",
        "a number without end": "1" * 5000,
        "no day": "2020-02-31",
    }


def strings(marker):
    """Strings that make the folder `marker` where a host evaluates them."""
    code = f"__import__('os').mkdir('{marker}')"
    return [
        code,
        f"[{code}]",
        f"(lambda: {code})()",
        f"1.0/255.0 if {code} else 1",
        f"[x for x in [{code}]]",
        f"().__class__.__base__.__subclasses__() and {code}",
        f'eval("{code}")',
        f'exec("{code}")',
        f"1.0 + ({code} or 0)",
        f"{{1: {code}}}",
    ]
