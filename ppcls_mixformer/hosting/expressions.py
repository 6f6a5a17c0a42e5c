"""What hosts hand to `eval`, read by rules: numbers, and names that the module in question knows."""

import ast
import functools
import inspect
import operator
import sys

import paddle

from ppcls_mixformer.hosting.advice import hint
from ppcls_mixformer.hosting.errors import UserError

LENGTH = 2000  # characters
SIGNS = {ast.UAdd: operator.pos, ast.USub: operator.neg}
ARITHMETIC = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
}


def value(text):
    """The value of a literal, or of arithmetic on numbers, such as `[1.0/255.0, True, 'a']`.

    Raises:
        ValueError: anything else.
    """
    try:
        return _value(_parse(text))
    except (ArithmeticError, TypeError, RecursionError, MemoryError):
        raise ValueError(f"{text!r} is neither a value nor arithmetic") from None


def _parse(text):
    if len(text) > LENGTH:
        raise ValueError(f"an expression of {len(text)} characters")
    try:
        return ast.parse(text.strip(), mode="eval").body
    except SyntaxError:
        raise ValueError(f"{text!r} is no expression") from None


def _value(node):
    if isinstance(node, ast.Constant):
        return node.value
    if isinstance(node, ast.List):
        return [_value(item) for item in node.elts]
    if isinstance(node, ast.Tuple):
        return tuple(_value(item) for item in node.elts)
    if isinstance(node, ast.Dict):
        return {_value(key): _value(item) for key, item in zip(node.keys, node.values)}
    if isinstance(node, ast.UnaryOp) and type(node.op) in SIGNS:
        return SIGNS[type(node.op)](_number(node.operand))
    if isinstance(node, ast.BinOp) and type(node.op) in ARITHMETIC:
        left, right = _number(node.left), _number(node.right)
        if isinstance(node.op, ast.Pow) and (abs(left) > 1e6 or abs(right) > 64):
            raise ValueError("a power that would take too long")
        return ARITHMETIC[type(node.op)](left, right)
    raise ValueError(f"{type(node).__name__} is neither a value nor arithmetic")


def _number(node):
    number = _value(node)
    if type(number) not in (int, float):
        raise ValueError(f"{number!r} is no number")
    return number


def find(module, name, packages):
    """The class or function `name` of `module`, or the plain data of that name.

    Args:
        packages: names of packages; what `module` imports from others is not meant by a config.

    Raises:
        UserError: there is none; the message names the nearest.
    """
    names = [key for key, found in vars(module).items() if key[:2] != "__" and _is_meant(found, packages)]
    if name in names:
        return vars(module)[name]
    raise UserError(f"{name!r} is not known to {module.__name__}{hint(name, names)}")


def _is_meant(found, packages):
    if isinstance(found, functools.partial):
        found = found.func
    if inspect.isclass(found) or inspect.isfunction(found):
        return found.__module__.split(".")[0] in packages
    return isinstance(found, (dict, list, tuple, str, int, float))


def guard(package):
    """From now on the modules of `package` that are loaded evaluate no string but by `look_up`."""
    for name, module in list(sys.modules.items()):
        if name.split(".")[0] == package and "eval" not in vars(module):
            module.eval = _evaluator(module, package)


def _evaluator(module, package):
    return lambda text: look_up(module, text, (package, "paddle", "ppcls_mixformer"))


def look_up(module, text, packages):
    """Stands in for `eval(text)` in `module`: a value, a name that `find` finds, or a layer behind dots.

    Raises:
        UserError: anything else.
    """
    try:
        return value(text)
    except ValueError:
        pass
    if "." in text:
        return _layer(module, text)
    return find(module, text, packages)


def _layer(module, text):
    """The class of layers that `nn.NAME` means in `module`, or one of them where `()` follows."""
    path = text.removesuffix("()")
    found = module
    for name in path.split("."):
        found = getattr(found, name, None) if name.isidentifier() else None
    if not (inspect.isclass(found) and issubclass(found, paddle.nn.Layer)):
        raise UserError(f"{text!r} in {module.__name__} is neither a value, a known name nor a layer")
    return found() if path != text else found
