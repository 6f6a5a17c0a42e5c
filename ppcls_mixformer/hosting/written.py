"""Files that a command has written into a folder, and may replace: those that its record there has."""

import hashlib
import json

from ppcls_mixformer.hosting.errors import UserError
from ppcls_mixformer.hosting.whole import settle

LINK = "link"  # in a record, in the place of a digest


def digest(path):
    """What tells whether a file is still as it was written."""
    return LINK if path.is_symlink() else hashlib.sha256(path.read_bytes()).hexdigest()


def check(flag, folder, paths, record):
    """Refuses a folder in which there are files, of those at `paths`, that were not written by the command.

    Args:
        flag: that names the folder.
        record: name of the JSON file in it whose `files` has the digest of each file, `{name: digest}`.

    Raises:
        UserError: names the file.
    """
    settle(folder)
    known = _known(folder, record)
    for path in paths:
        name = path.relative_to(folder).as_posix()
        is_there = path.is_symlink() or path.exists()
        if is_there and (name not in known or known[name] not in (None, _digest_of_any(path))):
            raise UserError(
                f"{flag} {folder} holds {name}, which this command has not written, or not like that; it is "
                "not replaced: name another folder, or remove it"
            )


def _digest_of_any(path):
    return digest(path) if path.is_symlink() or path.is_file() else ""


def _known(folder, record):
    """`{name: digest}` of the files that the command has written into a folder; of the record, None."""
    try:
        content = json.loads((folder / record).read_text(encoding="utf-8"))
        return {**content["files"], record: None}
    except (OSError, ValueError, LookupError, TypeError):
        return {}
