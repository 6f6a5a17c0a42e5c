"""List files of pictures and class maps, `picture class_map` on each line, as people have them."""

import os
import re

from ppcls_mixformer.hosting.errors import UserError
from ppcls_mixformer.hosting.text import read_lines

BETWEEN = re.compile(r"\s*[,;]\s*|\s+")  # what may stand between the two instead of the separator


def read_pairs(path, key, root, separator):
    """`[picture, class map]` of each line of a list file, as it names them.

    Blank lines, a byte-order mark and the line ends of Windows are passed over. Where a line is not two names
    with the separator between them, it is split at the one white space, comma or semicolon on both sides of
    which there is the name of a file.

    Args:
        key: what the config calls the file.
        root: the folder that the names start from.

    Raises:
        UserError: it cannot be read, has no lines, or has lines that are not of this kind.
    """
    try:
        lines = read_lines(path)
    except UserError as error:
        raise UserError(f"{key}: {error}") from None
    pairs = {number: pair_in(line, root, separator) for number, line in enumerate(lines, 1) if line}
    if not pairs:
        raise UserError(f"{path} ({key}) is empty")
    wrong = [number for number, pair in pairs.items() if pair is None]
    if wrong:
        raise UserError(
            f"{path} ({key}): {len(wrong)} of {len(pairs)} lines, first line {wrong[0]}, are not a picture, "
            f"{separator!r} and its class map; `separator` sets what is between them"
        )
    return list(pairs.values())


def pair_in(line, root, separator):
    """The two names in a line, see `read_pairs`; None where they cannot be told."""
    parts = [part.strip() for part in line.split(separator)]
    parts = parts if len(parts) == 2 and all(parts) else None
    cuts = [(line[: cut.start()], line[cut.end() :]) for cut in BETWEEN.finditer(line)]
    for pairs in ([parts] if parts else [], dict.fromkeys(filter(all, cuts))):
        named = ([found(part, root) for part in pair] for pair in pairs)
        fitting = [pair for pair in named if all(_is_file(part, root) for part in pair)]
        if len(fitting) == 1:
            return fitting[0]
    return parts


def found(name, root):
    """A name, with its folders as Windows writes them where it is there so alone."""
    plain = name.replace("\\", "/")
    return plain if plain != name and not _is_file(name, root) and _is_file(plain, root) else name


def _is_file(name, root):
    return os.path.isfile(os.path.join(root, name))
