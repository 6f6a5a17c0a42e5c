"""What a process leaves behind that is killed at any moment: all states of a folder during an action."""

import itertools
import json
import os
import shutil
import sys
from pathlib import Path

from ppcls_mixformer.hosting.whole import PLAN, PREFIX

CHANGES = {"os.rename", "os.link", "os.remove", "os.rmdir", "os.mkdir"}

listeners = []


def hear(event, arguments):
    for listener in listeners:
        listener(event, arguments)


sys.addaudithook(hear)  # for good: Python has no way to take one away


class Recorder:
    """Copies a folder before each file operation in it; no copy is held by a lock, as after a kill."""

    def __init__(self, folder, copies, copy):
        self.folder = Path(os.path.realpath(folder))
        self.copies = (Path(copies) / str(number) for number in itertools.count())
        self.states, self.open, self.copy = [], None, copy

    def __call__(self, event, arguments):
        path = os.fspath(arguments[0]) if isinstance(arguments[0], (str, os.PathLike)) else ""
        # A relative path is one below an open folder.
        is_inside = path.startswith(str(self.folder)) or not os.path.isabs(path)
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
        self.adopt(copy)
        self.states.append(copy)
        size = os.path.getsize(self.open) if self.open and os.path.isfile(self.open) else 0
        if size:
            half = next(self.copies)
            shutil.copytree(copy, half, copy_function=self.copy)
            part = half / os.path.relpath(self.open, self.folder)
            part.unlink()
            part.write_bytes(Path(self.open).read_bytes()[: size // 2])
            self.adopt(half)
            self.states.append(half)

    def adopt(self, copy):
        """Lets the plans in a copy name the copies of their folders; others are not carried out."""
        for path in copy.rglob(f"{PREFIX}*/{PLAN}"):
            plan, written = json.loads(path.read_text()), path.stat()
            plan["home"] = path.parent.stat().st_ino
            own = path.parent.parent / plan.get("folder", "")
            original = self.folder / own.relative_to(copy)
            if "was" in plan and original.exists() and original.stat().st_ino == plan["was"]:
                plan["was"] = own.stat().st_ino
            path.unlink()
            path.write_text(json.dumps(plan))
            os.utime(path, ns=(written.st_atime_ns, written.st_mtime_ns))


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
