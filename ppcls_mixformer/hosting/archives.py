"""Archives are unpacked into the folder that they are given, and hold files and folders only."""

import stat
import tarfile
import zipfile
from pathlib import PurePosixPath, PureWindowsPath

from ppcls_mixformer.hosting.errors import UserError


def unpack(path, target):
    """Unpacks the zip file or wheel at `path` into the folder `target`.

    Raises:
        UserError: an entry that is a link or would land elsewhere; nothing was unpacked.
    """
    with zipfile.ZipFile(path) as archive:
        for entry in archive.infolist():
            check_entry(path, entry.filename, stat.S_IFMT(entry.external_attr >> 16))
        archive.extractall(target)


def guard():
    """From now on `tarfile`, with which hosts unpack downloads, refuses the same; zipfile is safe as it is.

    Python before 3.9.17, 3.10.12 and 3.11.4 does not know of it.
    """
    tarfile.TarFile.extraction_filter = staticmethod(_filter)


def _filter(entry, target):
    kind = 0 if entry.isfile() or entry.isdir() else stat.S_IFLNK
    check_entry(target, entry.name, kind)
    return entry.replace(mode=None, uid=None, gid=None, uname=None, gname=None, deep=False)


def check_entry(archive, name, kind):
    """Refuses the entry `name` of an archive unless it is a file or folder below it.

    Args:
        kind: file type as in `stat`, 0 where the archive does not say.

    Raises:
        UserError: names archive and entry.
    """
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise UserError(f"{archive}: {name} is a link or a device; the archive was not unpacked")
    windows, posix = PureWindowsPath(name), PurePosixPath(name)
    if windows.drive or windows.root or posix.root or ".." in windows.parts or ".." in posix.parts:
        raise UserError(f"{archive}: {name} would land outside its folder; the archive was not unpacked")
