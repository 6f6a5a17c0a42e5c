"""Tables of pictures and labels, as CSV: the delimiter, the columns and the folder are found by trying."""

import csv
import itertools
import os
from collections import Counter
from typing import Any, List, NamedTuple, Optional

from ppcls_mixformer.hosting.errors import UserError
from ppcls_mixformer.hosting.text import read_lines
from ppcls_mixformer.predict.sources import SUFFIXES
from ppcls_mixformer.prepare.found import SPLITS, Found, Picture, counted, shown

DELIMITERS = (",", ";", "\t", "|")
BETWEEN_LABELS = ("|", ";")  # that no name of a class has
BETWEEN_SAID = ("|", ";", ",", " ")  # once there are said to be several
TRIED = 200  # rows by which columns are told
LABEL_NAMES = (
    "label",
    "labels",
    "class",
    "classes",
    "class_name",
    "category",
    "categories",
    "target",
    "tags",
)
SPLIT_NAMES = ("split", "set", "subset", "partition")
ENDINGS = tuple(case(suffix) for suffix in SUFFIXES for case in (str, str.upper))  # that names may lack
ONE_HOT = {"0": False, "1": True, "0.0": False, "1.0": True}
EXPECTED = (
    "expected a column of pictures, whose paths start from its folder, and one of labels, "
    "or one of 0 and 1 for each class"
)
LONGEST = 1 << 24  # characters of a cell


class Reading(NamedTuple):
    """One way to read a table, and how many pictures that are there the first rows name.

    Attributes:
        rows: `(line, cells)` of each.
        base: the folder from which paths start; `column`: where they are; `ending`: what they lack.
    """

    hits: int
    rows: List[Any]
    base: str
    column: int
    ending: str

    def file(self, cell):
        """Path of the file that a cell names; None where there is none."""
        return _resolve(self.base, cell and cell + self.ending)


def read(path, root, several):
    """The `Found` in the table at `path`.

    Args:
        root: the folder in which pictures are looked for, and in its sub-folders.
        several: whether each picture has several labels, also where nothing in the table says so.

    Raises:
        UserError: no text, no pictures, or columns of another kind; names the file and what is in it.
    """
    lines = read_lines(path)
    bases = _bases(path, root)
    tried = [reading for sign in DELIMITERS for reading in _readings(lines, sign, bases, ("",))]
    best = max(tried, key=_hits, default=None)
    if best is not None and not best.hits and not _named(tried[0]):
        best = max((r for sign in DELIMITERS for r in _readings(lines, sign, bases, ENDINGS)), key=_hits)
    if best is None or not best.hits:
        _refuse(path, lines, tried)
    header, rows = _header(best)
    labels_of, found_several = _labels(path, best.column, header, rows, several)
    seen, missing = _sorted_rows(path, best, header, rows, labels_of, found_several)
    if not seen:
        place, reason = missing[0]
        raise UserError(f"{path}: none of its rows has a picture and a label; {place}: {reason}")
    pictures, repeated = _merge(seen, found_several)
    notes = [f"{counted(repeated, 'row')} of {path} repeat others"] if repeated else []
    notes += _unread(path, best.column, header, rows)
    root = _root([picture.path for picture in pictures], best.base)
    pictures = [picture._replace(name=_relative(picture.path, root)) for picture in pictures]
    labels = "several labels" if found_several else "one label"
    form = f"the table {os.path.basename(path)}, {labels} a picture"
    return Found(form, root, pictures, found_several, missing, notes)


def _sorted_rows(path, reading, header, rows, labels_of, several):
    """`{(file, split): labels of each of its rows}`, and `(place, reason)` of rows that lack something."""
    split_column = _split_column(path, header, rows)
    seen, missing = {}, []
    for line, cells in rows:
        cell, labels = _cell(cells, reading.column), labels_of(cells)
        file = reading.file(cell)
        split = None if split_column is None else SPLITS[_cell(cells, split_column).lower()]
        reason = None if labels or several else "it has no label"
        if file is None:
            reason = "there is no such file" if cell else "no picture is named"
        if reason:
            missing.append((f"{path}, line {line}: {cell}", reason))
        else:
            seen.setdefault((file, split), []).append(labels)
    return seen, missing


def _bases(path, root):
    """Folders from which paths may start: that of the table, the root, and the folders in both."""
    found = {}
    for folder in (os.path.dirname(path), root):
        found[folder] = None
        with os.scandir(folder) as entries:
            found.update(dict.fromkeys(sorted(e.path for e in entries if e.is_dir() and e.name[0] != ".")))
    return list(found)


def _hits(reading):
    return reading.hits


def _readings(lines, delimiter, bases, endings):
    """The ways to read a table with one delimiter, the first rows tried."""
    csv.field_size_limit(LONGEST)
    reader = csv.reader([line + "\n" for line in lines], delimiter=delimiter, skipinitialspace=True)
    try:
        rows = [(reader.line_num, [cell.strip() for cell in row]) for row in reader if any(row)]
    except csv.Error:
        return
    width = max((len(cells) for _, cells in rows[:TRIED]), default=0)
    for base in bases if width > 1 else ():
        for column, ending in itertools.product(range(width), endings):
            reading = Reading(0, rows, base, column, ending)
            cells = [_cell(cells, column) for _, cells in rows[:TRIED] if len(cells) > 1]
            yield reading._replace(hits=sum(reading.file(cell) is not None for cell in set(cells)))


def _cell(cells, column):
    return cells[column] if column < len(cells) else ""


def _resolve(base, cell) -> Optional[str]:
    """Path of the file that a cell names; None where there is none."""
    for name in (cell, cell.replace("\\", "/")) if cell and "\0" not in cell else ():
        path = os.path.normpath(os.path.join(base, name))
        if os.path.isfile(path):
            return path
    return None


def _refuse(path, lines, tried):
    """Says what is wrong with a table of which no row names a picture that is there."""
    filled = [line for line in lines if line]
    if not filled:
        raise UserError(f"{path} is empty")
    named = [found for reading in tried[:1] for found in _named(reading)]
    if named:
        line, cell = named[0]
        folder = os.path.dirname(path)
        raise UserError(f"{path}, line {line}: there is no {cell} in {folder}, nor others of its pictures")
    raise UserError(f"{path}: {EXPECTED}; its first line is {filled[0][:100]!r}")


def _named(reading):
    """`(line, cell)` of what look like names of pictures in the first rows."""
    rows = reading.rows[:TRIED]
    return [(line, cell) for line, cells in rows for cell in cells if cell.lower().endswith(SUFFIXES)]


def _header(reading):
    """Names of the columns, None where there are none; and the rows without it."""
    cell = _cell(reading.rows[0][1], reading.column)
    is_header = reading.file(cell) is None and not cell.lower().endswith(SUFFIXES)
    return (reading.rows[0][1], reading.rows[1:]) if is_header else (None, reading.rows)


def _split_column(path, header, rows):
    """The column that says the split of each row; None where there is none.

    Raises:
        UserError: it says that of some rows, and something else of others.
    """
    for column, name in enumerate(header or ()):
        if name.lower() not in SPLIT_NAMES:
            continue
        others = [(line, _cell(cells, column)) for line, cells in rows]
        others = [(line, cell) for line, cell in others if cell.lower() not in SPLITS]
        if not others:
            return column
        if len(others) < len(rows):
            line, cell = others[0]
            raise UserError(f"{path}, line {line}: {name} is {cell!r}, and no split: {', '.join(SPLITS)}")
    return None


def _label_columns(path, pictures, header, rows):
    """Columns of neither pictures nor splits, and those of them that are called labels."""
    split = _split_column(path, header, rows)
    width = max(len(cells) for _, cells in rows)
    others = [column for column in range(width) if column not in (pictures, split)]
    return others, [column for column in others if header and _cell(header, column).lower() in LABEL_NAMES]


def _unread(path, pictures, header, rows):
    """Notes on columns that are not read since another is called labels."""
    others, named = _label_columns(path, pictures, header, rows)
    names = [_cell(header, column) for column in others if header and column not in named]
    if len(named) == 1 and any(names):
        yield f"not read: the columns {shown(repr(name) for name in names if name)} of {path}"


def _labels(path, pictures, header, rows, several):
    """A function from the cells of a row to its labels, and whether there may be several.

    Raises:
        UserError: nobody knows which columns they are in.
    """
    others, named = _label_columns(path, pictures, header, rows)
    if len(named) == 1 or len(others) == 1:
        column = (named or others)[0]
        sign = _between([_cell(cells, column) for _, cells in rows], several)
        return (lambda cells: _parts(_cell(cells, column), sign)), several or sign is not None
    if len(others) > 1 and all(_cell(cells, c) in ONE_HOT for _, cells in rows for c in others):
        return _one_hot(path, others, header, rows, several)
    if others and not header:  # as many labels behind each picture as it has
        most = max(sum(bool(_cell(cells, c)) for c in others) for _, cells in rows)
        return (lambda cells: _sorted(_cell(cells, c) for c in others)), several or most > 1
    columns = shown(repr(_cell(header, c)) for c in others) if header else ""
    which = f"name one of them label: {columns}" if others else "there is one column"
    raise UserError(f"{path}: {EXPECTED}; {which}")


def _one_hot(path, columns, header, rows, several):
    if not header:
        raise UserError(
            f"{path}: its columns of 0 and 1 have no names; add a first line with those of the classes"
        )
    names = [_cell(header, column) for column in columns]
    doubled = [name for name, count in Counter(names).items() if count > 1 or not name]
    if doubled:
        raise UserError(
            f"{path}, line 1: {doubled[0]!r} cannot name a class: it stands there twice, or is blank"
        )

    def labels_of(cells):
        return _sorted(name for name, column in zip(names, columns) if ONE_HOT[_cell(cells, column)])

    return labels_of, several or any(len(labels_of(cells)) != 1 for _, cells in rows)


def _between(cells, several):
    """What stands between the labels of a cell; None where a cell is one label."""
    signs = BETWEEN_SAID if several else BETWEEN_LABELS
    return next((sign for sign in signs if any(sign in cell for cell in cells)), None)


def _parts(cell, sign):
    return _sorted(cell.split(sign) if sign else [cell])


def _sorted(labels):
    return tuple(sorted({label.strip() for label in labels} - {""}))


def _merge(seen, several):
    """Pictures out of the labels of each file, and how many rows say nothing new.

    Rows of one file with other labels are further labels where it may have several, else other pictures:
    then the file has two labels, which is found out with copies of it.
    """
    pictures, repeated = [], 0
    for (file, split), rows in seen.items():
        distinct = list(dict.fromkeys(rows))
        repeated += len(rows) - len(distinct)
        if several:
            distinct = [_sorted(label for labels in distinct for label in labels)]
        pictures += [Picture(file, file, labels, split) for labels in distinct]
    return pictures, repeated


def _root(paths, base):
    """`base`, where all paths are below it, or the folder that they have in common."""
    inside = all(path.startswith(os.path.join(base, "")) for path in paths)
    return base if inside else os.path.commonpath([os.path.dirname(path) for path in paths])


def _relative(path, root):
    return os.path.relpath(path, root).replace(os.sep, "/")
