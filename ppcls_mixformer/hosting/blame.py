"""Which key of a section is why something cannot be made of it."""

import reprlib

_short = reprlib.Repr()
_short.maxdict = 12


def shown(value):
    """A value of a config in one line, without most of what is long in it."""
    return _short.repr(value)


def blame(name, section, make):
    """What cannot be: a key of the section `name`, or one in it, with its value; "" where none is to blame.

    Args:
        section: a dict.
        make: tries, without arguments, to make something of it, which it cannot.
    """
    path = blamed_keys(section, make)
    value = section
    for key in path:
        value = value[key]
    return f"{'.'.join((name, *path))} cannot be {shown(value)}" if path else ""


def blamed_keys(section, make):
    """The keys down to the value without which `make` succeeds, outermost first; none where none is alone."""
    for key in list(section):
        whole = dict(section)
        value = section.pop(key)
        is_to_blame = succeeds(make)
        section.clear()
        section.update(whole)
        if is_to_blame:
            return [key, *(blamed_keys(value, make) if isinstance(value, dict) else [])]
    return []


def succeeds(make):
    """Whether a call without arguments ends well."""
    try:
        make()
        return True
    except Exception:  # whatever it raises
        return False
