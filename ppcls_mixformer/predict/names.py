"""Names of classes: files of them in the forms that people have, and lists that fit a network.

The forms are `0 name`, with a space, a tab, a comma or a sign like it between, in any order of the numbers,
and a name on each line, in the order of the classes.
"""

import logging
import re

from ppcls_mixformer.hosting.errors import UserError
from ppcls_mixformer.hosting.text import read_lines

logger = logging.getLogger(__name__)

NUMBERED = re.compile(r"(\d+)(?:\s*[,:;|=]\s*|[.)]\s+|\s+-\s+|\s+)(\S.*)")


class Names(dict):
    """Names of classes by their numbers; a class without one is named by its number.

    Attributes:
        source: what is named in messages, such as the file of the names.
    """

    def __init__(self, pairs=(), source="label_names"):
        super().__init__(pairs)
        self.source = str(source)

    def __missing__(self, number):
        return str(number)


def read(path):
    """The `Names` in a file.

    Raises:
        UserError: it is no text or empty, or a line has another form than the others; names the line.
    """
    lines = read_lines(path)
    while lines and not lines[-1]:
        lines.pop()
    if not lines:
        raise UserError(f"{path} holds no names of classes")
    if _is_numbered(lines, path):
        return _numbered(lines, path)
    for number, line in enumerate(lines, 1):
        if not line:
            raise UserError(
                f"{path}, line {number} is blank: without numbers each line is the name of one class; "
                "remove it, or write `number name`"
            )
    return Names(enumerate(lines), path)


def _is_numbered(lines, path):
    """Whether all lines that are not blank have numbers; `101 dalmatians` and `cat` have none.

    Raises:
        UserError: some have the number of a class and some have none, or it stands behind the name.
    """
    filled = [(number, line) for number, line in enumerate(lines, 1) if line]
    found = [NUMBERED.fullmatch(line) for _, line in filled]
    if all(found):
        return True
    number, line = filled[found.index(None)]
    if any(match and int(match[1]) < len(filled) for match in found) or line[0] in "{[<":
        raise UserError(
            f"{path}, line {number}: {line!r} is no class number and its name, as other lines are"
        )
    ends = {re.split(r"[\s,:;|=]+", line)[-1] for _, line in filled}
    if len(filled) > 1 and ends == set(map(str, range(len(filled)))) and not set(lines) <= ends:
        raise UserError(f"{path}, line 1: the number stands behind the name; write `number name`")
    return False


def _numbered(lines, path):
    names = Names(source=path)
    for number, line in enumerate(lines, 1):
        if not line:
            continue
        match = NUMBERED.fullmatch(line)
        if match is None:
            raise UserError(f"{path}, line {number}: expected a class number and its name, got {line!r}")
        class_id = int(match[1])
        if class_id in names:
            raise UserError(
                f"{path}, line {number}: class {class_id} has a name already, {names[class_id]!r}"
            )
        names[class_id] = _unquoted(match[2])
    return names


def _unquoted(name):
    """A name without the quotes that spreadsheets put around one with commas."""
    is_quoted = len(name) > 1 and name[0] == name[-1] == '"'
    return name[1:-1].replace('""', '"') if is_quoted else name


def line(number, name):
    """The line of a file that `read` takes for the name of a class, in quotes where a part of it would go."""
    text = f"{number} {name}"
    if _unquoted(NUMBERED.fullmatch(text)[2]) == name:
        return text
    doubled = name.replace('"', '""')
    return f'{number} "{doubled}"'


def given(value):
    """The `Names` in a list, or in a dict by number.

    Raises:
        UserError: it is something else.
    """
    if isinstance(value, Names):
        return value
    known = value if isinstance(value, dict) else None
    if isinstance(value, (list, tuple)):
        known = dict(enumerate(value))
    if known is None or not all(isinstance(number, int) and number >= 0 for number in known):
        raise UserError("label_names: it takes a list of names, or a dict of them by the number of the class")
    return Names({number: str(name) for number, name in known.items()})


def fit(names, classes, source):
    """A list of `classes` names; says which classes have none and are named by their numbers.

    Args:
        source: what is named in messages, such as the file of the names.

    Raises:
        UserError: there is a name for a class that the network does not have: they are another network's.
    """
    beyond = max(names, default=-1)
    if beyond >= classes:
        hint = "; its numbers start at 1, they must start at 0" if _starts_at_one(names, classes) else ""
        raise UserError(
            f"{source} names class {beyond}, but the network has {classes}, 0 to {classes - 1}{hint}"
        )
    missing = [number for number in range(classes) if number not in names]
    if missing and names:
        logger.warning(
            "%s has no name for %d of %d classes, such as %d: they are named by their numbers",
            source,
            len(missing),
            classes,
            missing[0],
        )
    return [names[number] for number in range(classes)]


def _starts_at_one(names, classes):
    return min(names) == 1 and max(names) == classes
