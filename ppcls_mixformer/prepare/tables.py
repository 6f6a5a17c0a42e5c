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
ONE_HOT = {"0": False, "1": True, "0.0": False, "1.0": True, "false": False, "true": True}
NUMBERING = ("", "index", "unnamed: 0")  # how spreadsheets and pandas call a column that counts rows
EXPECTED = (
    "expected a column of pictures, whose paths start from its folder, and one of labels, "
    "or one of 0 and 1 for each class"
)
LONGEST = 1 << 24  # characters of a cell


class Reading(NamedTuple):
    """One way to read a table, and how many pictures that are there the first rows name.

    Attributes:
        rows: `(line, cells)` of each.
        base: the folder from which paths start, or `{name: path}` of all pictures where names alone tell;
            `column`: where they are; `ending`: what they lack.
    """

    hits: int
    rows: List[Any]
    base: Any
    column: int
    ending: str

    def file(self, cell):
        """Path of the file that a cell names; None where there is none."""
        return _resolve(self.base, cell and cell + self.ending)

    def cells(self):
        """Some of its column, from all over the table."""
        rows = self.rows[:: max(1, len(self.rows) // TRIED)]
        return {_cell(cells, self.column) for _, cells in rows if len(cells) > 1}


def read(path, root, several):
    """The `Found` in the table at `path`.

    Args:
        root: the folder in which pictures are looked for, and in its sub-folders.
        several: whether each picture has several labels, also where nothing in the table says so.

    Raises:
        UserError: no text, no pictures, or columns of another kind; names the file and what is in it.
    """
    lines = read_lines(path)
    best = _best(lines, path, root)
    if best is None or not best.hits:
        _refuse(path, lines, best)
    header, rows = _header(best)
    labels_of, found_several = _labels(path, best.column, header, rows, several)
    seen, missing = _sorted_rows(path, best, header, rows, labels_of, found_several)
    if not seen:
        place, reason = missing[0]
        raise UserError(f"{path}: none of its rows has a picture and a label; {place}: {reason}")
    pictures, repeated = _merge(seen, found_several)
    notes = [f"{counted(repeated, 'row')} of {path} repeat others"] if repeated else []
    notes += _unread(path, best.column, header, rows)
    notes += _made_of_others({label for picture in pictures for label in picture.labels})
    root = _root([picture.path for picture in pictures], best.base if isinstance(best.base, str) else root)
    pictures = [picture._replace(name=_relative(picture.path, root)) for picture in pictures]
    labels = "several labels" if found_several else "one label"
    form = f"the table {os.path.basename(path)}, {labels} a picture"
    return Found(form, root, pictures, found_several, missing, notes)


def sorts_otherwise(path, root, labels):
    """Whether a table names most of the pictures in `{path: label}`, and has no column that sorts them so."""
    try:
        best = _best(read_lines(path), path, root)
    except UserError:
        return False
    files = [(best.file(_cell(cells, best.column)), cells) for _, cells in best.rows] if best else ()
    known = [(labels[file], cells) for file, cells in files if file in labels]
    if 2 * len(known) < len(labels):
        return False  # a few numbers may be names of pictures by chance
    for column in range(max(len(cells) for _, cells in known)):
        pairs = {(label, _cell(cells, column)) for label, cells in known}
        if len(pairs) > 1 and all(len(set(side)) == len(pairs) for side in zip(*pairs)):
            return False
    return True


def _best(lines, path, root):
    """The reading of a table that finds most pictures; None where there are no columns."""
    tried = list(_readings(lines, _bases(path, root), ("",)))
    best = max(tried, key=_hits, default=None)
    if best is None:
        return None
    return _further(best, lines, path, root, ("",) if best.hits or _named(tried[0]) else ENDINGS)


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
    """Folders from which paths may start: that of the table, the root, and the folders in both.

    Those for training come first: a table of labels is of these, and names in others may be the same.
    """
    found = {}
    for folder in (os.path.dirname(path), root):
        found[folder] = None
        with os.scandir(folder) as entries:
            names = [entry.name for entry in entries if entry.is_dir() and entry.name[0] != "."]
        names.sort(key=lambda name: (not name.lower().startswith("train"), name))
        found.update(dict.fromkeys(os.path.join(folder, name) for name in names))
    return list(found)


def _further(best, lines, path, root, endings):
    """The best reading where not all that `best` names is in its folder; pictures may be in several."""
    cells = best.cells()
    if best.hits + 1 >= len(cells) and best.hits:  # the first cell may be a title
        return best
    found = [best]
    by_name = _by_name(root)
    if by_name and (not best.hits or not any("/" in cell or "\\" in cell for cell in cells)):
        found += _readings(lines, [by_name], endings)
    further = max(found, key=_hits)
    if not further.hits and endings != ("",):
        further = max(_readings(lines, _bases(path, root), endings), key=_hits)
    return further


def _by_name(root):
    """`{name: path}` of all pictures below a folder; nothing where two of them have one name."""
    found = {}
    for folder, folders, names in os.walk(root):
        folders[:] = [name for name in folders if name[0] != "."]
        for name in names:
            if name.lower().endswith(SUFFIXES):
                if name in found:
                    return {}
                found[name] = os.path.join(folder, name)
    return found


def _hits(reading):
    return reading.hits


def _readings(lines, bases, endings):
    """The ways to read a table, of which some rows are tried."""
    for delimiter in DELIMITERS:
        yield from _readings_with(delimiter, lines, bases, endings)


def _readings_with(delimiter, lines, bases, endings):
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
            yield reading._replace(hits=sum(reading.file(cell) is not None for cell in reading.cells()))


def _cell(cells, column):
    return cells[column] if column < len(cells) else ""


def _resolve(base, cell) -> Optional[str]:
    """Path of the file that a cell names; None where there is none."""
    if isinstance(base, dict):
        return base.get(cell.replace("\\", "/").rpartition("/")[2])
    for name in (cell, cell.replace("\\", "/")) if cell and "\0" not in cell else ():
        path = os.path.normpath(os.path.join(base, name))
        if os.path.isfile(path):
            return path
    return None


def _refuse(path, lines, best):
    """Says what is wrong with a table of which no row names a picture that is there."""
    filled = [line for line in lines if line]
    if not filled:
        raise UserError(f"{path} is empty")
    named = _named(best) if best else ()
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
    others = [column for column in others if not _is_numbering(header, rows, column)] or others
    return others, [column for column in others if header and _cell(header, column).lower() in LABEL_NAMES]


def _is_numbering(header, rows, column):
    """Whether a column counts rows, or is nothing at all."""
    cells = [_cell(cells, column) for _, cells in rows]
    if header and _cell(header, column).lower() in NUMBERING:
        return all(not cell or cell.isdigit() for cell in cells)
    first = cells[0] if len(cells) > 2 else ""
    return first in ("0", "1") and cells == [str(int(first) + number) for number in range(len(cells))]


def _unread(path, pictures, header, rows):
    """Notes on columns that are not read since another is called labels."""
    others, named = _label_columns(path, pictures, header, rows)
    names = [_cell(header, column) for column in others if header and column not in named]
    if len(named) == 1 and any(names):
        yield f"not read: the columns {shown(repr(name) for name in names if name)} of {path}"


def _made_of_others(names):
    """Hints at names of classes that are made of fewer words, as several labels in a cell are."""
    for sign in (",", " "):
        parts = {part.strip() for name in names for part in name.split(sign)} - {""}
        if len(parts) < len(names):
            example = max(names, key=lambda name: (name.count(sign), name))
            yield f"labels such as {example!r} are one class each; if they are several, add --multi-label"
            return


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
    if len(others) > 1 and all(_cell(cells, c).lower() in ONE_HOT for _, cells in rows for c in others):
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
        return _sorted(name for name, column in zip(names, columns) if ONE_HOT[_cell(cells, column).lower()])

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
