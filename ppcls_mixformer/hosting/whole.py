"""Files, sets of files and folders that appear under their names only once they are whole.

A process that is killed at any moment leaves what was there before, or all that is new, or, for the moment
in which several files are renamed, a set that lacks the file that its readers ask for; `settle` then puts
the new one in place. Nothing is flushed to the disk: a power cut is another matter.
"""

import contextlib
import functools
import json
import os
import shutil
import tempfile
from pathlib import Path

import paddle

from ppcls_mixformer.hosting.errors import UserError, first_line
from ppcls_mixformer.hosting.patches import replaced

try:
    import fcntl
except ImportError:  # Windows: no process is known to be dead there, so what one left stays
    fcntl = None

PREFIX = ".ppcls_mixformer-"  # of folders for what is not whole yet
LOCK = ".lock"  # in such a folder, held while the process that made it lives
PLAN = ".plan"  # in such a folder once all in it is whole: what goes where


# Folders for what is not whole yet


@contextlib.contextmanager
def scratch(parent=None):
    """Yields a new folder in `parent`, which is gone when the block ends.

    Args:
        parent: an existing folder, settled first; None for the system's temporary files.
    """
    parent = Path(parent or tempfile.gettempdir())
    settle(parent)
    folder, lock = _make(parent)
    try:
        yield folder
    finally:
        if not (folder / PLAN).exists():  # or what is in it is for `settle`
            _remove(folder)
        os.close(lock)


def _make(parent):
    """A new folder in `parent`, and the descriptor of its lock."""
    while True:
        folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent))
        with contextlib.suppress(FileNotFoundError):  # taken for a dead process's in between
            lock = os.open(folder / LOCK, os.O_CREAT | os.O_RDWR)
            _wait_for(lock)
            if (folder / LOCK).exists():
                return folder, lock
            os.close(lock)


def _wait_for(descriptor):
    """Locks an open file or folder, once nobody else does; without effect where there are no locks."""
    if fcntl is not None:
        with contextlib.suppress(OSError):  # not on every file system
            fcntl.flock(descriptor, fcntl.LOCK_EX)


def settle(parent):
    """Finishes in `parent` what a process that died was putting there, and removes what it left.

    Raises:
        UserError: it cannot be finished; names the folder with the whole files.
    """
    if fcntl is None:
        return
    for folder in sorted(filter(_is_own, Path(parent).glob(f"{PREFIX}*"))):
        try:
            lock = os.open(folder / LOCK, os.O_RDWR)
        except OSError:  # the process died before it made one, or is about to make it
            with contextlib.suppress(OSError):
                os.rmdir(folder)
            continue
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if (folder / LOCK).exists():  # or its process has just ended well
                _clear(folder)
        except BlockingIOError:  # its process lives
            continue
        finally:
            os.close(lock)


def _is_own(folder):
    """Whether this user made it; in a folder for everybody's temporary files others may plant some."""
    with contextlib.suppress(FileNotFoundError):
        return folder.lstat().st_uid == os.geteuid()
    return False


def _clear(folder):
    """Finishes what a dead process was putting in place out of `folder`, and removes that."""
    if (folder / PLAN).exists():
        if _is_outdated(folder):
            (folder / PLAN).unlink()
        else:
            _carry_out(folder)
    _remove(folder)


def _remove(folder):
    """Removes `folder`, its lock last: without that nobody would know whose it is."""
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        elif path.name != LOCK:
            path.unlink(missing_ok=True)
    (folder / LOCK).unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        folder.rmdir()


# Files


@contextlib.contextmanager
def whole_file(path):
    """Yields the path of a file to write, which becomes `path` where the block ends well.

    Processes that write the same file at once do no harm: each has a file of its own until then. If the
    block raises, nothing is left of it.
    """
    path = Path(path)
    with scratch(path.parent) as folder, _named(path):
        yield folder / path.name
        os.replace(folder / path.name, path)


@contextlib.contextmanager
def _named(path):
    """Adds to errors such as a full disk, which name no file, that `path` was being written."""
    try:
        yield
    except OSError as error:
        error.filename = error.filename or str(path)
        raise


# Sets of files


@contextlib.contextmanager
def whole_set(root, stale=()):
    """Yields `part(path)`: for a file under the folder `root`, the path at which to write it.

    When the block ends well, all appear under their names. The last one of an earlier set goes first and
    comes last, so that nobody reads a mixed one: it must be one without which readers refuse the set.

    Args:
        stale: names and patterns of what an earlier set may have left in `root`; goes first as well.
    """
    root, files = Path(root), []
    root.mkdir(parents=True, exist_ok=True)
    with scratch(root) as folder, _named(root):

        def part(path):
            name = Path(path).relative_to(root)
            if name not in files:
                files.append(name)
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            return folder / name

        yield part
        if files:
            old = {path.relative_to(root).as_posix() for pattern in stale for path in root.glob(pattern)}
            _commit(folder, {"files": [name.as_posix() for name in files], "remove": sorted(old)})


def publish(staging, target, stale):
    """Puts the finished files of the folder `staging`, on any disk, into the folder `target`, as a set.

    Args:
        stale: names and patterns of what readers ask for, of this set or an earlier one.
    """

    def is_asked_for(file):
        return any(file.match(pattern) for pattern in stale)

    with whole_set(target, stale) as part:
        for file in sorted(Path(staging).iterdir(), key=is_asked_for):
            shutil.copyfile(file, part(Path(target) / file.name))


def saves_whole(save_model):
    """`save_model`, whose files by `paddle.save` appear as a set; readers ask for the last one."""

    @functools.wraps(save_model)
    def save_all(*args, **kwargs):
        with contextlib.ExitStack() as stack:
            parts = []

            def save_aside(obj, path, *save_args, **save_kwargs):
                if not parts:
                    parts.append(stack.enter_context(whole_set(Path(path).parent)))
                return save(obj, str(parts[0](path)), *save_args, **save_kwargs)

            with replaced(paddle, "save", save_aside) as save:
                return save_model(*args, **kwargs)

    return save_all


# Folders


@contextlib.contextmanager
def whole_folder(path):
    """Yields the path of a folder to make, which takes the place of `path` where the block ends well."""
    path = Path(path)
    with scratch(path.parent) as folder, _named(path):
        yield folder / path.name
        _commit(folder, {"folder": path.name})


def remove_folder(path):
    """Removes a folder and all in it; a process that dies meanwhile leaves no half of it under its name."""
    path = Path(path)
    with scratch(path.parent) as folder:
        os.replace(path, folder / path.name)


# Plans


def _commit(folder, plan):
    """Declares all in `folder` whole and puts it in place; `settle` finishes what is cut short."""
    (folder / f"{PLAN}.part").write_text(json.dumps(plan))
    os.replace(folder / f"{PLAN}.part", folder / PLAN)
    _carry_out(folder)


def _carry_out(folder):
    """Does in the folder around `folder` what its plan says, of which a part may have been done before."""
    plan, root = _read_plan(folder), folder.parent
    try:
        with _alone(root):
            if "folder" in plan:
                _swap(folder, root / plan["folder"])
            else:
                _exchange(folder, root, plan["files"], plan["remove"])
            (folder / PLAN).unlink()
    except OSError as error:
        raise UserError(
            f"{root}: what was written cannot be put in place ({first_line(error)}); it is whole in {folder}"
        ) from None


def _read_plan(folder):
    """The plan in `folder`, which may have come with somebody's files and then must not lead elsewhere."""
    plan = json.loads((folder / PLAN).read_text())
    for name in (*plan.get("files", ()), *plan.get("remove", ()), plan.get("folder", ".")):
        if ".." in Path(name).parts or Path(name).is_absolute():
            raise UserError(f"{folder / PLAN} names {name}, outside of its folder; remove that folder")
    return plan


def _is_outdated(folder):
    """Whether others have written the set since it was whole here: what readers ask for is newer."""
    plan = _read_plan(folder)
    key = folder.parent / plan["files"][-1] if "files" in plan else None
    return key is not None and key.exists() and key.stat().st_mtime_ns > (folder / PLAN).stat().st_mtime_ns


def _exchange(folder, root, files, remove):
    for name in (files[-1], *remove):
        (root / name).unlink(missing_ok=True)
    for name in files:
        _put(folder / name, root / name)


def _put(source, target):
    """Makes the file `source` appear as `target`, too."""
    target.parent.mkdir(parents=True, exist_ok=True)
    beside = source.with_name(f"{source.name}.next")
    beside.unlink(missing_ok=True)
    try:
        os.link(source, beside)
    except OSError:  # not on every file system
        shutil.copy2(source, beside)
    os.replace(beside, target)
    beside.unlink(missing_ok=True)  # it stays where both were one file already


def _swap(folder, target):
    new = folder / target.name
    if new.exists():
        with contextlib.suppress(FileNotFoundError):
            os.replace(target, Path(tempfile.mkdtemp(dir=folder)) / "old")
        os.replace(new, target)


@contextlib.contextmanager
def _alone(root):
    """Lets one process at a time exchange files in the folder `root`, where the file system can."""
    descriptor = None if fcntl is None else os.open(root, os.O_RDONLY)
    try:
        if descriptor is not None:
            _wait_for(descriptor)
        yield
    finally:
        if descriptor is not None:
            os.close(descriptor)
