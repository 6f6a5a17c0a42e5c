"""What a process leaves behind that is killed at any moment: all states of a folder during an action."""

import itertools
import os
import shutil
import sys
from pathlib import Path

CHANGES = {"os.rename", "os.link", "os.remove", "os.rmdir", "os.mkdir"}

listeners = []


def hear(event, arguments):
    for listener in listeners:
        listener(event, arguments)


sys.addaudithook(hear)  # for good: Python has no way to take one away


class Recorder:
    """Copies a folder before each file operation in it; no copy is held by a lock, as after a kill."""

    def __init__(self, folder, copies, copy):
        self.folder, self.copies = (
            os.path.realpath(folder),
            (Path(copies) / str(n) for n in itertools.count()),
        )
        self.states, self.open, self.copy = [], None, copy

    def __call__(self, event, arguments):
        path = os.fspath(arguments[0]) if isinstance(arguments[0], (str, os.PathLike)) else ""
        is_inside = path.startswith(self.folder) or not os.path.isabs(path)  # relative: to an open folder
        writes = event == "open" and is_inside and bool(arguments[2] & (os.O_WRONLY | os.O_RDWR))
        if writes or event in CHANGES and is_inside:
            listeners.remove(self)  # copying is no operation of the action
            self.take()
            listeners.append(self)
            self.open = path if writes else None

    def take(self):
        """Copies the folder as it is, and once more with only half of what was opened for writing last."""
        copy = next(self.copies)
        shutil.copytree(self.folder, copy, copy_function=self.copy)
        self.states.append(copy)
        size = os.path.getsize(self.open) if self.open and os.path.isfile(self.open) else 0
        if size:
            half = next(self.copies)
            shutil.copytree(copy, half, copy_function=self.copy)
            part = half / os.path.relpath(self.open, self.folder)
            part.unlink()
            part.write_bytes(Path(self.open).read_bytes()[: size // 2])
            self.states.append(half)


def states(folder, action, copies, copy=shutil.copy2):
    """Copies of `folder`, made in `copies`: all states in which a kill during `action()` would leave it.

    Args:
        copy: what copies a file; os.link will do where no file is written to twice.
    """
    recorder = Recorder(folder, copies, copy)
    listeners.append(recorder)
    try:
        action()
    finally:
        listeners.remove(recorder)
    recorder.take()
    return recorder.states
