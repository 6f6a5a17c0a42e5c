"""What every host's bridges are built with. Nothing of a host is changed on disk."""

import types


def wrap(owner, name, wrapper):
    """Replaces `owner.name` by `wrapper(owner.name)`, once."""
    original = getattr(owner, name)
    if not hasattr(original, "bridged"):
        replacement = wrapper(original)
        replacement.bridged = original
        setattr(owner, name, replacement)


def give(module, name, **replacements):
    """Gives `module` a `name` of its own, with the `replacements` and otherwise as that which it has."""
    own = getattr(module, name)
    if not hasattr(own, "stands_for"):
        copy = types.ModuleType(own.__name__)
        copy.stands_for = own
        copy.__getattr__ = lambda key: getattr(own, key)
        setattr(module, name, copy)
    vars(getattr(module, name)).update(replacements)
