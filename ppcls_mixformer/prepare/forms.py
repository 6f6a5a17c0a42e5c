"""Which form the user's pictures have: a folder for each class, such folders by split, or a table."""

import os
from pathlib import Path

from ppcls_mixformer.hosting.errors import UserError
from ppcls_mixformer.predict import sources
from ppcls_mixformer.prepare import tables
from ppcls_mixformer.prepare.found import SPLITS, Found, Picture, classes_of, counted, nearest_class, shown

TABLES = (".csv", ".tsv")
FOREIGN = ("__MACOSX", "@eaDir")  # folders in which other programs keep copies
REPORT = ("report.html", "report.json")  # by which a folder is known that `report` has written
OTHER_FILES = {
    (".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".7z", ".rar"): "unpack this archive, and name its folder",
    (".xlsx", ".xls", ".ods"): "save its sheet as CSV",
    sources.SUFFIXES: "name the folder of all pictures",
}
EXPECTED = (
    "expected a folder for each class, train and val folders of such, or a CSV file of pictures and labels"
)


def find(place, several=False):
    """The pictures in the folder or table `place`.

    Args:
        several: whether a table is said to have several labels for each picture.

    Raises:
        UserError: it holds something else; the message says what was expected, and what is there.
    """
    place = os.path.abspath(place)
    for endings, advice in OTHER_FILES.items():
        if os.path.isfile(place) and place.lower().endswith(endings):
            raise UserError(f"{place}: {EXPECTED}; {advice}")
    if os.path.isfile(place):
        return tables.read(place, os.path.dirname(place), several)
    if not os.path.isdir(place):
        raise UserError(f"there is no folder or CSV file {place}")
    listed = sorted(name for name in os.listdir(place) if _is_table(place, name))
    paths, notes = _pictures_below(place, bool(listed))
    found = _of_folders(place, paths, notes)
    if found and several:
        raise UserError("--multi-label: pictures in folders have one label each; name a CSV file")
    if found and listed:
        _refuse_two_meanings(place, listed, found)
        found.notes.append(f"not read, since the folders say the classes: {', '.join(listed)}")
    if found:
        return found
    if len(listed) == 1:
        return tables.read(os.path.join(place, listed[0]), place, several)
    raise UserError(f"{place}: {EXPECTED}; found {_described(place, paths, listed)}")


def _refuse_two_meanings(place, names, found):
    """Refuses a table that sorts pictures otherwise than the folders of classes that they are in.

    Raises:
        UserError: names the table.
    """
    folders = {picture.path: picture.labels for picture in found.pictures if picture.split is None}
    for name in names if folders else ():
        path = os.path.join(place, name)
        if tables.sorts_otherwise(path, place, folders):
            raise UserError(
                f"{path} names pictures that lie in folders, {shown(classes_of(found.pictures))}, and has no "
                "column that sorts them like these: name the file if its labels are meant, else take it out"
            )


def _is_table(folder, name):
    is_file = os.path.isfile(os.path.join(folder, name))
    return is_file and name.lower().endswith(TABLES) and not name.startswith(".")


def _pictures_below(place, may_be_none):
    """`(path, parts)` of each picture below a folder, and notes on those that are not read."""
    try:
        found = sources.find(place)
    except UserError:
        if not may_be_none:
            raise
        found = []
    paths, foreign, drawn, known = [], [], [], {}
    for source in found:
        if os.path.isdir(source.name):
            raise UserError(
                f"{source.name}: the folder cannot be entered; give this user the right to read it"
            )
        parts = Path(os.path.relpath(source.name, place)).parts
        is_foreign = any(part.startswith(".") or part in FOREIGN for part in parts)
        own = foreign if is_foreign else drawn if _is_of_report(place, parts[:-1], known) else paths
        own.append((source.name, parts))
    notes = []
    if foreign:
        example = "/".join(foreign[0][1])
        notes.append(f"not read: {counted(foreign, 'picture')} in hidden folders, such as {example}")
    if drawn:
        notes.append(f"not read: {counted(drawn, 'figure')} of reports, such as {drawn[0][0]}")
    return paths, notes


def _is_of_report(place, parts, known):
    """Whether `report` has written a folder of `parts`, each in the one before, the first in `place`.

    Args:
        known: answers by folder, to which new ones are added.
    """
    for end in range(1, len(parts) + 1):
        folder = os.path.join(place, *parts[:end])
        if folder not in known:
            known[folder] = all(os.path.isfile(os.path.join(folder, name)) for name in REPORT)
        if known[folder]:
            return True
    return False


def _of_folders(root, paths, notes):
    """The `Found` in folders; None where they do not say classes."""
    tops = {parts[0] for _, parts in paths if len(parts) > 1}
    kinds = {top: SPLITS[top.lower()] for top in tops if top.lower() in SPLITS}
    deep = {parts[0] for _, parts in paths if len(parts) > 2}
    splits = {top: kind for top, kind in kinds.items() if top in deep}
    if "train" in splits.values() and (len(kinds) > 1 or tops == set(kinds)):
        flat = sorted(set(kinds) - set(splits))
        notes = [*notes, *([f"not read, without folders of classes: {shown(flat)}"] if flat else [])]
        return _of_splits(root, paths, splits, notes)
    if len(tops) == 1 and tops == deep and all(len(parts) > 1 for _, parts in paths):
        (top,) = tops
        notes = [*notes, f"classes are the folders in {top}"]
        return _of_folders(os.path.join(root, top), [(path, parts[1:]) for path, parts in paths], notes)
    if len(tops) < 2 or tops == set(kinds):
        return None
    inside = [Picture(path, "/".join(parts), (parts[0],)) for path, parts in paths if len(parts) > 1]
    notes = [*notes, *_left_over(root, paths, tops, 1)]
    notes += [f"{top} is taken for a class" for top in sorted(kinds)]
    return Found("a folder for each class", root, inside, False, [], notes)


def _of_splits(root, paths, kinds, notes):
    pictures = [
        Picture(path, "/".join(parts), (parts[1],), kinds[parts[0]])
        for path, parts in paths
        if parts[0] in kinds and len(parts) > 2
    ]
    tops = {parts[0] for _, parts in paths if len(parts) > 1}
    others = sorted(top for top in tops if top.lower() not in SPLITS)
    notes = [*notes, *([f"not read, since they are no splits: {shown(others)}"] if others else [])]
    of_splits = [(path, parts) for path, parts in paths if parts[0] in kinds]
    for top in sorted(kinds):
        below = [(path, parts[1:]) for path, parts in of_splits if parts[0] == top]
        notes += _left_over(os.path.join(root, top), below, {parts[0] for _, parts in below}, 1)
    known = sorted({picture.labels[0] for picture in pictures if picture.split == "train"})
    for picture in pictures:
        if picture.labels[0] not in known:
            raise UserError(
                f"{picture.path}: its class {picture.labels[0]!r} has no pictures for training"
                f"{nearest_class(picture.labels[0], known)}"
            )
    form = f"the folders {', '.join(sorted(kinds))}, with a folder for each class"
    return Found(form, root, pictures, False, [], notes)


def _left_over(root, paths, classes, depth):
    """Notes on pictures in no folder of a class, and on such folders without pictures."""
    loose = [path for path, parts in paths if len(parts) <= depth]
    if loose:
        example = os.path.basename(loose[0])
        yield f"not read: {counted(loose, 'picture')} beside the folders of {root}, such as {example}"
    with os.scandir(root) as entries:
        folders = {entry.name for entry in entries if entry.is_dir() and not entry.name.startswith(".")}
    folders -= {name for name in folders if _is_of_report(root, (name,), {})}
    empty = sorted(folders - classes - set(FOREIGN))
    if empty:
        yield f"no pictures in {shown(empty)} of {root}"


def _described(place, paths, listed):
    """What is in a folder of no known form, in words."""
    tops = sorted({parts[0] for _, parts in paths if len(parts) > 1})
    loose = [path for path, parts in paths if len(parts) == 1]
    words = [counted(loose, "picture") + " in no folder"] if loose else []
    if len(tops) == 1:
        words.append(f"the one folder {tops[0]!r}, and a classifier needs two classes")
    elif tops:
        words.append(f"the folders {shown(tops)} without folders of classes in them")
    if len(listed) > 1:
        words.append(f"the CSV files {', '.join(listed)}: name one")
    return " and ".join(words) or "nothing of these"
