"""What was read and repaired, for those that would read the file again."""

import os

_held = {}


def hold(file):
    """Keeps what was read of a file, for `held`, until the file changes."""
    _held[os.path.realpath(file.path)] = _stamp(file.path), file.content


def held(path):
    """A copy of what `hold` keeps of the file at `path`, whose entries may be added to; None if nothing."""
    stamp, content = _held.get(os.path.realpath(path), (None, None))
    if content is None or stamp != _stamp(path):
        return None
    return {
        section: [{**entry} if isinstance(entry, dict) else entry for entry in entries]
        if isinstance(entries, list)
        else entries
        for section, entries in content.items()
    }


_held_classes = {}


def hold_classes(file):
    """Keeps the classes that a file names, for `held_classes`, until the file changes."""
    _held_classes[os.path.realpath(file.path)] = _stamp(file.path), file.content["categories"]


def held_classes(path):
    """The categories that `hold_classes` keeps of the file at `path`; None if nothing."""
    stamp, categories = _held_classes.get(os.path.realpath(path), (None, None))
    return None if stamp is None or stamp != _stamp(path) else categories


def _stamp(path):
    status = os.stat(path)
    return status.st_mtime_ns, status.st_size
