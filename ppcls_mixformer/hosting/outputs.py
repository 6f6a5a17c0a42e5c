"""Where results are written: not among the pictures that a command reads."""

import os
from pathlib import Path

from ppcls_mixformer.hosting.errors import UserError


def check_apart(flag, folder, holders, root=None):
    """Refuses a file, and a folder among pictures, whose next reader would take what is written for some.

    Args:
        flag: that names the `folder`.
        holders: folders in which pictures lie.
        root: the folder of all pictures, in which nothing is written at all; None where nobody knows it.

    Raises:
        UserError: names the folder.
    """
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{flag} {folder} is a file; it names a folder, which is made where there is none")
    own = Path(os.path.realpath(folder))
    among = own if str(own) in map(os.path.realpath, holders) else None
    if root is not None and Path(os.path.realpath(root)) in (own, *own.parents):
        among = os.path.realpath(root)
    if among:
        raise UserError(
            f"{flag} {folder}: the pictures lie in {among}, and what is written there would be taken for "
            "some of them; name another folder"
        )


def common_folder(holders):
    """The folder of all the folders `holders`; None where that is no folder of pictures alone.

    One that holds the working folder is a project, or the disk.
    """
    try:
        root = os.path.commonpath([os.path.realpath(folder) for folder in holders])
    except ValueError:  # none, or on different disks
        return None
    return None if Path(root) in (Path.cwd(), *Path.cwd().parents) else root
