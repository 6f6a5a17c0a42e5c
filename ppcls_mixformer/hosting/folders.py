"""Folders for results, looked at before there are any."""

import os
from pathlib import Path

from ppcls_mixformer.hosting.errors import UserError


def check_folder(key, folder):
    """Refuses a folder to write to that cannot be made, or in which nothing can be written.

    Args:
        key: the flag, or the key of a config, that names it.

    Raises:
        UserError: names what is in the way.
    """
    place = Path(os.path.abspath(folder))
    there = next(path for path in (place, *place.parents) if os.path.lexists(path))
    if not there.is_dir():
        raise UserError(f"{key}: {folder} cannot be a folder, {there} is something else: name another one")
    if not os.access(there, os.W_OK | os.X_OK):
        raise UserError(f"{key}: nothing can be written to {there}: name another folder, or allow it")
