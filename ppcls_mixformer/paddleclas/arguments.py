"""Arguments that a config gives to a class or function: known, complete, of the right type, and tried out."""

import contextlib
import copy
import inspect
import io
import logging

import paddle
from paddle.utils import unique_name
from ppcls.optimizer import learning_rate, optimizer
from ppcls.utils import logger as logger_of_ppcls

from ppcls_mixformer import zoo
from ppcls_mixformer.hosting import expressions
from ppcls_mixformer.hosting.advice import hint, nearest
from ppcls_mixformer.hosting.errors import UserError, gist
from ppcls_mixformer.hosting.patches import replaced
from ppcls_mixformer.paddleclas.keys import CUTOFF

logger = logging.getLogger(__name__)


def check(use, said=()):
    """Refuses arguments that what `use` names does not take, lacks, or takes of another type.

    Raises:
        UserError: names the key.
    """
    arguments = {} if use.arguments is None else use.arguments
    if not isinstance(arguments, dict):
        raise UserError(f"{use.place} is {arguments!r}; it takes the arguments of {use.name}, a section")
    for name in use.needed:
        if name not in arguments:
            raise UserError(f"the config has no {use.place}.{name}, which is required{_is_it(name, use)}")
    found = use.find()
    if use.name in zoo.VARIANTS:
        return  # `check_arch` has looked at them
    parameters, takes_others = parameters_of(found)
    known = [*parameters, *use.taken]
    for name, value in arguments.items():
        if name in use.taken:
            continue
        if name in parameters:
            _check_type(f"{use.place}.{name}", value, parameters[name])
            continue
        _check_unknown(use, name, known, takes_others, said)
    for name, parameter in parameters.items():
        if parameter.default is parameter.empty and name not in {**arguments, **dict.fromkeys(use.given)}:
            raise UserError(
                f"the config has no {use.place}.{name}, which {use.name} needs{_is_it(name, use, known)}"
            )


def try_out(use):
    """Builds what `use` names, alone, since no signature says which values can be.

    Raises:
        UserError: it cannot be built; the message names the section.
    """
    found = use.find()
    own = {key: value for key, value in (use.arguments or {}).items() if key not in use.taken}
    takes = parameters_of(found)[0]
    own.update({key: value for key, value in use.trial.items() if key in takes})
    try:
        with _quiet(), unique_name.guard():  # or parameters of a resumed run get other names than they had
            built = found(**copy.deepcopy(own))
            if use.module is optimizer:
                built([paddle.nn.Linear(1, 1)])
            elif callable(built) and use.module is learning_rate:
                built()
    except UserError as error:
        raise UserError(f"{use.place}: {error}") from None
    except Exception as error:  # whatever the class makes of a value that it was not made for
        raise UserError(
            f"{use.place}: {use.name} cannot be built with these arguments ({gist(error)})"
        ) from error


@contextlib.contextmanager
def _quiet():
    """PaddleClas has set up no logger yet, and would say everything twice."""
    silent = logging.Logger("silent", logging.CRITICAL + 1)
    with replaced(logger_of_ppcls, "_logger", silent), contextlib.redirect_stdout(io.StringIO()):
        yield


def _is_it(name, use, known=()):
    near = nearest(name, [key for key in use.arguments or () if key not in known], CUTOFF)
    return f"; is {use.place}.{near} meant?" if near else ""


def _check_unknown(use, name, known, takes_others, said):
    if not takes_others:
        raise UserError(f"{use.place}.{name} is not an argument of {use.name}{hint(name, known)}")
    near = nearest(name, known, CUTOFF)
    place = f"{use.place}.{name}"
    if near and place not in said:
        logger.warning("%s: %s reads no such key; is it %s.%s?", place, use.name, use.place, near)


def parameters_of(found):
    """`{name: parameter}` of a class or function, and whether it takes others as well.

    What hands everything on (`*args, **kwargs`) to the class that it is built on has the parameters of that.
    """
    functions = [vars(kind)["__init__"] for kind in getattr(found, "__mro__", ()) if "__init__" in vars(kind)]
    if not functions:
        functions = [found]
    named, rest = {}, {inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD}
    for function in functions:
        parameters = inspect.signature(function).parameters.values()
        named.update({p.name: p for p in parameters if p.kind not in rest and p.name not in ("self", *named)})
        kinds = {parameter.kind for parameter in parameters}
        if not rest <= kinds:
            break
    return named, inspect.Parameter.VAR_KEYWORD in kinds


def _check_type(key, value, parameter):
    """Refuses text where the default is a number or a switch, as a slip of the pen gives it."""
    default = parameter.default
    if not isinstance(value, str) or type(default) not in (bool, int, float):
        return
    try:
        evaluated = expressions.value(value)
    except ValueError:
        evaluated = value
    if isinstance(evaluated, str) and parameter.name != "pretrained":
        words = "True or False" if isinstance(default, bool) else "a number"
        raise UserError(f"{key} is {value!r}; it takes {words}, such as {default}")
