"""Files, sets of files and folders that appear under their names only once they are whole.

A process that is killed at any moment leaves what was there before, or all that is new, or, for the moment
in which several files are renamed, a set that lacks the file that its readers ask for; `settle` then puts
the new one in place. Nothing is flushed to the disk: a power cut is another matter.
"""

import contextlib
import errno
import functools
import json
import logging
import os
import shutil
import stat
import tempfile
from pathlib import Path

from ppcls_mixformer.hosting.errors import UserError, first_line
from ppcls_mixformer.hosting.patches import replaced

try:
    import fcntl
except ImportError:  # Windows: no process is known to be dead there, so what one left stays
    fcntl = None

logger = logging.getLogger(__name__)

PREFIX = ".ppcls_mixformer-"  # of folders for what is not in place yet
FILES = "files"  # in such a folder: what is being written
LOCK = "lock"  # in such a folder: held while the process that made it lives
PLAN = "plan"  # in such a folder, once all in it is whole: what goes where


# Folders for what is not in place yet


@contextlib.contextmanager
def scratch(parent=None):
    """Yields a new folder below `parent`, which is gone when the block ends.

    Args:
        parent: an existing folder, settled first; None for the system's temporary files.
    """
    parent = Path(parent or tempfile.gettempdir())
    settle(parent)
    home, lock = _make(parent)
    try:
        yield home / FILES
    finally:
        try:
            if not (home / PLAN).exists():  # or what is in it is for `settle`
                _remove(home)
        finally:
            _unlock(lock)


def make_writable(folder):
    """Makes the folder where it is not there, and tries whether files can be put into it.

    Raises:
        OSError: they cannot.
    """
    Path(folder).mkdir(parents=True, exist_ok=True)
    with scratch(folder):
        pass


def _make(parent):
    """A new folder in `parent` with a folder FILES, and the descriptor of its lock."""
    while True:
        home = Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent))
        with contextlib.suppress(FileNotFoundError):  # taken for a dead process's in between
            lock = _lock_new(home / LOCK)
            (home / FILES).mkdir()
            if lock is None or (home / LOCK).exists():
                return home, lock
            _unlock(lock)


def _lock_new(path):
    """Descriptor of a new file that is locked; None where there are no locks."""
    if fcntl is None:
        return None
    lock = os.open(path, os.O_CREAT | os.O_RDWR)
    _wait_for(lock)
    return lock


def _wait_for(descriptor):
    """Locks an open file or folder once nobody else does; without effect where there are no locks."""
    with contextlib.suppress(OSError):  # not on every file system
        fcntl.flock(descriptor, fcntl.LOCK_EX)


def _unlock(descriptor):
    """Closes a locked file; a process that was forked meanwhile does not hold the lock any longer."""
    if descriptor is not None:
        with contextlib.suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_UN)
        os.close(descriptor)


def _remove(home):
    """Removes such a folder, its lock last: without that nobody would know whose it is."""
    for folder, _, _ in os.walk(home / FILES):
        os.chmod(folder, 0o700)
    shutil.rmtree(home / FILES, ignore_errors=True)
    for path in [*home.glob(f"{PLAN}*"), home / LOCK]:
        if not (home / FILES).exists():
            path.unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        home.rmdir()


# What dead processes left


def settle(parent):
    """Finishes in `parent` what a process that died was putting there, and removes what it left.

    What cannot be finished is said in a warning, and stays.
    """
    if fcntl is None:
        return
    for home in sorted(Path(parent).glob(f"{PREFIX}*")):
        with contextlib.suppress(OSError):  # above all: its process lives
            _settle(home)


def _settle(home):
    """Does so with one folder.

    Raises:
        OSError: its process lives, or it is gone.
    """
    found = home.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():  # planted, or another user's
        return
    try:
        lock = os.open(home / LOCK, os.O_RDWR | os.O_NOFOLLOW)
    except FileNotFoundError:  # killed before it made one, or about to make it
        home.rmdir()
        return
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if (home / LOCK).exists():  # or its process has just ended well
            _clear(home)
    finally:
        _unlock(lock)


def _clear(home):
    """Finishes what a dead process was putting in place out of `home`, and removes that."""
    if (home / PLAN).exists():
        plan = _read_plan(home)
        if plan is None:
            return
        try:
            _carry_out(home, plan, is_late=True)
        except OSError as error:
            logger.warning(_not_in_place(home, error))
            return
    _remove(home)


# Files


@contextlib.contextmanager
def whole_file(path):
    """Yields the path of a file to write, which becomes `path` where the block ends well.

    Processes that write the same file at once do no harm: each has a file of its own until then. If the
    block raises, nothing is left of it.

    Raises:
        IsADirectoryError: `path` is a folder, which is found out before the block does its work.
        FileExistsError: likewise, it is a device or a pipe, in whose place a file would be put.
    """
    path = Path(os.path.realpath(path))
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if path.exists() and not path.is_file():
        raise FileExistsError(errno.EEXIST, "a device or a pipe, which a file would replace", str(path))
    with scratch(path.parent) as files, named(path, files / path.name):
        yield files / path.name
        os.replace(files / path.name, path)


@contextlib.contextmanager
def named(path, aside=None):
    """Has errors such as a full disk name what was being written.

    Args:
        path: of that; it is taken where an error names no file.
        aside: where it is written meanwhile.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in (None, errno.EPIPE) and error.filename is None:
            error.filename = str(path)
        elif aside is not None and isinstance(error.filename, (str, Path)):
            with contextlib.suppress(ValueError):  # it is another file
                error.filename = str(Path(path) / Path(error.filename).relative_to(aside))
        raise


@contextlib.contextmanager
def open_whole(path, mode="r", *args, **kwargs):
    """Stands in for `open` in a `with` statement: what is written to appears only once it is whole."""
    with whole_file(path) if "w" in mode else contextlib.nullcontext(path) as part:
        with open(part, mode, *args, **kwargs) as file:
            yield file


@contextlib.contextmanager
def _copying_to(path):
    """Has errors name `path`, where a file is copied to, and not the one that it is copied from."""
    try:
        yield
    except OSError as error:
        error.filename, error.filename2 = str(path), None
        raise


# Sets of files


@contextlib.contextmanager
def whole_set(root, asked=()):
    """Yields `part(path)`: for a file under the folder `root`, the path at which to write it.

    When the block ends well, all appear under their names. The last one of an earlier set goes first and
    comes last, so that nobody reads a mixed one: it must be one without which readers refuse the set.

    Args:
        asked: names and patterns of other files that readers ask for, in this set or an earlier one; these go
            first as well.

    Raises:
        UserError: by `part`, where a link leads out of `root`.
    """
    root, names = Path(os.path.realpath(root)), []
    root.mkdir(parents=True, exist_ok=True)
    with scratch(root) as files, named(root, files):

        def part(path):
            folder, name = os.path.split(os.path.abspath(path))
            found = Path(os.path.realpath(folder))
            if root != found and root not in found.parents:
                raise UserError(
                    f"{folder} is a link out of {root}, to {found}; remove it, or write elsewhere"
                )
            name = (found / name).relative_to(root)
            if name not in names:
                names.append(name)
            (files / name).parent.mkdir(parents=True, exist_ok=True)
            return files / name

        yield part
        if names:
            members = {name.as_posix(): _stamp(files / name) for name in names}
            _commit(files.parent, {"files": members, "asked": list(asked)})


def _stamp(path):
    """What tells whether the file at `path` has been written since."""
    found = path.stat()
    return [found.st_mtime_ns, found.st_size]


def publish(staging, target, asked):
    """Puts the finished files of the folder `staging`, on any disk, into the folder `target`, as a set.

    Args:
        asked: names and patterns of files that readers ask for, in this set or an earlier one.
    """

    def is_asked_for(file):
        return any(file.match(pattern) for pattern in asked)

    with whole_set(target, asked) as part:
        for file in sorted(Path(staging).iterdir(), key=is_asked_for):
            with _copying_to(Path(target) / file.name):
                shutil.copyfile(file, part(Path(target) / file.name))


def saves_whole(save_model):
    """`save_model`, whose files by `paddle.save` appear as a set; readers ask for the last one."""
    import paddle

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
    path = Path(os.path.realpath(path))
    with scratch(path.parent) as files, named(path, files / path.name):
        yield files / path.name
        _commit(files.parent, {"folder": path.name, "was": _identity(path)})


def remove_folder(path):
    """Removes a folder and all in it; a process that dies meanwhile leaves no half of it under its name."""
    path = Path(path)
    with scratch(path.parent) as files:
        os.replace(path, files / path.name)


def _identity(path):
    """A number that no other folder has; None where there is none."""
    try:
        return path.stat().st_ino
    except FileNotFoundError:
        return None


# Plans


def _commit(home, plan):
    """Declares all in `home` whole and puts it in place; `settle` finishes what is cut short.

    The plan names the folder that it is for: one that came with somebody's files is another.
    """
    part = home / f"{PLAN}.part"
    part.write_text(json.dumps({**plan, "home": _identity(home)}), encoding="utf-8")
    os.replace(part, home / PLAN)
    try:
        _carry_out(home, plan, is_late=False)
    except OSError as error:
        raise UserError(_not_in_place(home, error)) from None


def _not_in_place(home, error):
    return (
        f"{home.parent}: what was written cannot be put in place ({first_line(error)}); it lies in "
        f"{home / FILES}, and the next command that reads or writes here tries again"
    )


def _read_plan(home):
    """The plan in `home`; None if it is damaged or was made for another folder."""
    with contextlib.suppress(OSError, ValueError, LookupError, TypeError):
        plan = json.loads((home / PLAN).read_text(encoding="utf-8"))
        if plan["home"] == _identity(home):
            return plan
    return None


def _carry_out(home, plan, is_late):
    """Does in the folder around `home` what its plan says, of which a part may have been done before.

    Args:
        is_late: whether others may have written there since, which then stays.
    """
    root, files = home.parent, home / FILES
    with _alone(root):
        if "folder" in plan:
            _swap(files, root, plan["folder"], plan["was"] if is_late else _identity(root / plan["folder"]))
        else:
            asked = [path for pattern in plan["asked"] for path in root.glob(pattern) if not path.is_dir()]
            since = (home / PLAN).stat().st_mtime_ns
            if not is_late or not _is_outdated(files, root, plan["files"], asked, since):
                _exchange(files, root, list(plan["files"]), asked)
        (home / PLAN).unlink()


@contextlib.contextmanager
def _alone(root):
    """Lets one process at a time exchange files in the folder `root`, where the file system can."""
    descriptor = None
    if fcntl is not None:
        with contextlib.suppress(PermissionError):
            descriptor = os.open(root, os.O_RDONLY)
            _wait_for(descriptor)
    try:
        yield
    finally:
        _unlock(descriptor)


def _is_outdated(files, root, members, asked, since):
    """Whether others have written files of the set after it was whole, which was at the time `since`."""
    placed = {root / name for name in members if not (files / name).exists()}
    for path in placed:
        if not path.exists() or _stamp(path) != members[path.relative_to(root).as_posix()]:
            return True
    others = {*asked, *(root / name for name in members)} - placed
    return any(path.exists() and path.stat().st_mtime_ns > since for path in others)


def _exchange(files, root, names, asked):
    """Moves the files `names` that are in `files` to `root`, where `asked` and the last are removed first."""
    waiting = [name for name in names if (files / name).exists()]
    for name in waiting:
        if (root / name).is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(root / name))
    placed = {root / name for name in names if name not in waiting}
    for path in {*asked, *(root / name for name in waiting[-1:])} - placed:
        path.unlink(missing_ok=True)
    for name in waiting:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        os.replace(files / name, root / name)


def _swap(files, root, name, was):
    """Moves the folder `name` that is in `files` to `root`, in the place of the one of the identity `was`."""
    there = _identity(root / name)
    if (files / name).exists() and there in (None, was):
        if there is not None:
            os.replace(root / name, Path(tempfile.mkdtemp(dir=files)) / "old")
        os.replace(files / name, root / name)
