"""What was read and repaired, for those that would read the file again."""

import os

_held = {}


def keep(file):
    """Keeps what was read of a file, for `content_of`, until the file changes."""
    _held[os.path.realpath(file.path)] = _stamp(file.path), file.content


def content_of(path):
    """A copy of what `keep` has of the file at `path`, whose entries may be added to; None if nothing."""
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


def keep_classes(file):
    """Keeps the classes that a file names, for `classes_of`, until the file changes."""
    _held_classes[os.path.realpath(file.path)] = _stamp(file.path), file.content["categories"]


def classes_of(path):
    """The categories that `keep_classes` has of the file at `path`; None if nothing."""
    stamp, categories = _held_classes.get(os.path.realpath(path), (None, None))
    return None if stamp is None or stamp != _stamp(path) else categories


def _stamp(path):
    status = os.stat(path)
    return status.st_mtime_ns, status.st_size
