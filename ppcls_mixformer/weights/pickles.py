"""Checkpoints are pickles; this reads what Paddle writes into one, and runs nothing that a file asks for.

A pickle builds its objects by calling functions that it names. Here a name only selects one of the
makers below, which check what they are given; any other name is refused before anything is made of it.
Dtypes are checked too: numpy believes a pickle's, and an array of objects, or with made-up fields,
would let a file choose addresses in memory.
"""

import collections
import io
import math
import pickle
import re

import numpy as np
import paddle.framework.io
import paddle.framework.io_utils
import paddle.hapi.model
import paddle.jit.translated_layer
import paddle.static.io

from ppcls_mixformer.hosting import trees
from ppcls_mixformer.hosting.patches import shadow_module
from ppcls_mixformer.weights.errors import WeightsError

PLAIN_DTYPE = re.compile(r"[biufcSU]\d{1,6}")  # numbers and text, as numpy abbreviates them
SIZE = 1_000_000  # values in a checkpoint, an array being one
DICTS = (dict, collections.OrderedDict)
KEYS = (str, bytes, int, float, bool, type(None))
LEAVES = (*KEYS, np.ndarray)


class NotOfPaddle(Exception):
    """A pickle holds something that Paddle never writes; the text says what, to follow a file's name."""

    def __init__(self, what):
        super().__init__(
            f"holds {what}, which Paddle never writes into a checkpoint; it was refused before anything "
            "in it could run"
        )


def unpickle(file):
    """What Paddle pickled into the binary `file`, tensors as arrays.

    Raises:
        NotOfPaddle: it holds something else than Paddle writes; nothing of it was run.
        Exception: damaged, in all the ways in which a pickle can be.
    """
    content = _Unpickler(file, encoding="latin1").load()
    trees.check_size(content, _parts, SIZE)
    return content


def guard(*modules):
    """From now on `paddle.load`, and `pickle.load` in `modules`, read no more than `unpickle` does."""
    paddle_modules = (
        paddle.framework.io,
        paddle.framework.io_utils,
        paddle.hapi.model,
        paddle.jit.translated_layer,
        paddle.static.io,
    )
    for module in (*paddle_modules, *modules):
        shadow_module(module, "pickle", load=load, loads=loads)


def load(file, **_options):
    """Stands in for `pickle.load`.

    Raises:
        WeightsError: damaged, or of something that Paddle never writes.
    """
    name = getattr(file, "name", "the checkpoint")
    try:
        return unpickle(file)
    except NotOfPaddle as error:
        raise WeightsError(f"{name} {error}") from None
    except Exception as error:
        raise WeightsError(f"{name}: not a whole Paddle checkpoint ({type(error).__name__})") from None


def loads(data, **_options):
    """Stands in for `pickle.loads`; raises as `load` does."""
    return load(io.BytesIO(data))


def _parts(node):
    """What a container holds; refuses names and dtypes that stand where a value should."""
    if type(node) in DICTS:
        return [*node, *node.values()]
    if type(node) in (list, tuple, set):
        return node
    if type(node) not in LEAVES and not isinstance(node, np.generic):
        raise NotOfPaddle(f"{node} as a value")
    return ()


class _Name(str):
    """A function's name in a pickle, such as `numpy.dtype`."""


class _Dtype:
    """A dtype that is being made."""

    def __init__(self, code):
        self.numpy = np.dtype(code)

    def __str__(self):
        return "numpy.dtype"

    def build(self, state):
        """Sets the byte order; the rest of the state is for dtypes that are not plain."""
        version, order, subdtype, names, fields, _size, _alignment, _flags = state
        _require(version in (3, 4) and order in ("<", ">", "|", "="))
        _require(subdtype is names is fields is None)
        self.numpy = self.numpy.newbyteorder(order)


def _require(condition):
    if not condition:
        raise ValueError


def _make_dtype(code, _align=False, _copy=True):
    _require(isinstance(code, str) and PLAIN_DTYPE.fullmatch(code))
    return _Dtype(code)


def _make_array(kind, _shape, _code):
    _require(type(kind) is _Name and kind == "numpy.ndarray")
    return np.empty(0, np.uint8)


def _build_array(array, state):
    _version, shape, dtype, is_fortran, data = state
    data = _as_bytes(data)
    _require(type(dtype) is _Dtype and type(shape) is tuple)
    _require(all(type(length) is int and length >= 0 for length in shape))
    _require(len(data) == math.prod(shape) * dtype.numpy.itemsize)
    array.__setstate__((1, shape, dtype.numpy, bool(is_fortran), data))


def _make_scalar(dtype, data):
    data = _as_bytes(data)
    _require(type(dtype) is _Dtype and len(data) == dtype.numpy.itemsize)
    return np.ndarray((), dtype.numpy, data)[()]


def _as_bytes(data):
    _require(type(data) in (bytes, str))
    return data.encode("latin1") if type(data) is str else data  # str is what Python 2 called bytes


def _make_bytes(text="", encoding="latin1"):
    _require(type(text) is str and encoding == "latin1")
    return text.encode("latin1")


def _make_tuple(items):
    _require(type(items) in (tuple, list))
    return tuple(items)


def _make_set(items):
    _require(type(items) is list and all(map(_is_key, items)))
    return set(items)


def _make_ordered_dict():
    return collections.OrderedDict()


def _make_dense_tensor(expression, variables):
    _require(expression == "data" and type(variables) is dict and list(variables) == ["data"])
    _require(type(variables["data"]) is np.ndarray)
    return variables["data"]


MAKERS = {
    "numpy.dtype": _make_dtype,
    "numpy.core.multiarray._reconstruct": _make_array,
    "numpy.core.multiarray.scalar": _make_scalar,
    "numpy._core.multiarray._reconstruct": _make_array,  # numpy 2
    "numpy._core.multiarray.scalar": _make_scalar,
    "builtins.bytes": _make_bytes,  # bytes() is how protocol 2 writes none,
    "_codecs.encode": _make_bytes,  # and this how it writes some
    "builtins.tuple": _make_tuple,  # a tensor: its name and array
    "builtins.eval": _make_dense_tensor,  # eval("data", {"data": array}), which is not evaluated here
    "builtins.set": _make_set,
    "collections.OrderedDict": _make_ordered_dict,
}
BUILDERS = {np.ndarray: _build_array, _Dtype: _Dtype.build}

# What protocols 2 to 4 write of plain values and containers; REDUCE, BUILD and what fills containers follow.
INSTRUCTIONS = (
    *(pickle.PROTO, pickle.FRAME, pickle.STOP, pickle.MARK, pickle.POP, pickle.POP_MARK),
    *(pickle.BINPUT, pickle.LONG_BINPUT, pickle.MEMOIZE, pickle.BINGET, pickle.LONG_BINGET),
    *(pickle.NONE, pickle.NEWTRUE, pickle.NEWFALSE, pickle.BINFLOAT),
    *(pickle.BININT, pickle.BININT1, pickle.BININT2, pickle.LONG1, pickle.LONG4),
    *(pickle.BINSTRING, pickle.SHORT_BINSTRING),  # Python 2
    *(pickle.SHORT_BINUNICODE, pickle.BINUNICODE, pickle.BINUNICODE8),
    *(pickle.SHORT_BINBYTES, pickle.BINBYTES, pickle.BINBYTES8),
    *(pickle.EMPTY_TUPLE, pickle.TUPLE, pickle.TUPLE1, pickle.TUPLE2, pickle.TUPLE3),
    *(pickle.EMPTY_LIST, pickle.EMPTY_DICT, pickle.EMPTY_SET),
    *(pickle.GLOBAL, pickle.STACK_GLOBAL),
)


class _Unpickler(pickle._Unpickler):  # written in Python, since the one in C lets nobody watch BUILD
    def find_class(self, module, name):
        path = f"{'builtins' if module == '__builtin__' else module}.{name}"
        if path not in MAKERS and path != "numpy.ndarray":
            raise NotOfPaddle(path)
        return _Name(path)

    def load_reduce(self):
        arguments, name = self.stack.pop(), self.stack[-1]
        if type(name) is not _Name or name not in MAKERS:
            raise NotOfPaddle(f"a call of {name}")
        try:
            self.stack[-1] = MAKERS[name](*arguments)
        except (TypeError, ValueError):
            raise NotOfPaddle(f"{name} with arguments of its own") from None

    def load_build(self):
        state, target = self.stack.pop(), self.stack[-1]
        try:
            BUILDERS[type(target)](target, state)
        except (KeyError, TypeError, ValueError):
            raise NotOfPaddle(f"a {type(target).__name__.strip('_')} with a state of its own") from None


def _filling(instruction, kinds, above=None, keys=None):
    """pickle's function for an instruction that fills a container, for containers of `kinds` only.

    Args:
        above: how many items lie on top of the container; None where a mark says it.
        keys: slice of the stack that has the keys; they must be plain, since hashing deep tuples crashes.
    """
    fill = pickle._Unpickler.dispatch[instruction[0]]

    def checked(self):
        target = self.stack[-1 - above] if above else self.metastack[-1][-1]
        if type(target) not in kinds:
            raise NotOfPaddle(f"a {type(target).__name__.strip('_')} that is filled like a container")
        if keys and not all(map(_is_key, self.stack[keys])):
            raise NotOfPaddle("a key that is neither text nor a number")
        fill(self)

    return checked


def _is_key(value):
    items = value if type(value) is tuple else [value]
    return all(type(item) in KEYS for item in items)


def _refusing(instruction):
    def refuse(self):
        raise NotOfPaddle(f"the pickle instruction {chr(instruction)!r}")

    return refuse


_Unpickler.dispatch = {
    **{code: _refusing(code) for code in pickle._Unpickler.dispatch},
    **{code[0]: pickle._Unpickler.dispatch[code[0]] for code in INSTRUCTIONS},
    pickle.REDUCE[0]: _Unpickler.load_reduce,
    pickle.BUILD[0]: _Unpickler.load_build,
    pickle.APPEND[0]: _filling(pickle.APPEND, (list,), above=1),
    pickle.APPENDS[0]: _filling(pickle.APPENDS, (list,)),
    pickle.SETITEM[0]: _filling(pickle.SETITEM, DICTS, above=2, keys=slice(-2, -1)),
    pickle.SETITEMS[0]: _filling(pickle.SETITEMS, DICTS, keys=slice(None, None, 2)),
    pickle.ADDITEMS[0]: _filling(pickle.ADDITEMS, (set,), keys=slice(None)),
}
