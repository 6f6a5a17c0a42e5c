"""What bridges are built with: parts of a host replaced in memory, never on disk."""

import contextlib
import types


def replace_once(owner, name, wrapper):
    """Replaces `owner.name` by `wrapper(owner.name)`; a second call with the same wrapper changes nothing."""
    original = getattr(owner, name)
    if wrapper not in _wrappers(original):
        replacement = wrapper(original)
        replacement.bridged, replacement.wrapper = original, wrapper
        setattr(owner, name, replacement)


def _wrappers(function):
    """The wrappers by which `replace_once` has made `function`, the last one first."""
    while hasattr(function, "bridged"):
        yield function.wrapper
        function = function.bridged


def shadow_module(module, name, **replacements):
    """Lets `module` see a copy of its import `name` with some attributes replaced."""
    own = getattr(module, name)
    if not hasattr(own, "stands_for"):
        copy = types.ModuleType(own.__name__)
        copy.stands_for = own
        copy.__getattr__ = lambda key: getattr(own, key)
        setattr(module, name, copy)
    vars(getattr(module, name)).update(replacements)


@contextlib.contextmanager
def replaced(owner, name, value):
    """Gives `owner` another attribute `name` for the time of a `with` block."""
    original = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield original
    finally:
        setattr(owner, name, original)
