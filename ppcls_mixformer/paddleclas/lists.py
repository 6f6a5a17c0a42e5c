"""List files, a line for each picture: `image label`, or of several labels `image 0,1,0`; read strictly.

The label comes last, behind a tab or spaces, so an image's name may have spaces. Blank lines are left out.
Some of PaddleClas's datasets have lists in columns of their own.
"""

import functools
import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Optional, Union

from ppcls_mixformer.hosting.errors import UserError
from ppcls_mixformer.hosting.text import read_lines

# PaddleClas's, whose list files are read here.
DATASETS = ("ImageNetDataset", "MultiLabelDataset", "MultiScaleDataset", "ICartoonDataset")
SHOWN = 100  # characters of a line that a message quotes
CHECKED = Path("~/.cache/ppcls_mixformer/lists")  # an empty file for each list whose pictures are all there


class Columns(NamedTuple):
    """Where a line has what, counted from 0; `delimiter` None is for spaces and tabs.

    Attributes:
        needed: how many there must be at least.
        first: the lowest label that there is.
        header: how a line starts that names the columns.
        camera: where its number is, if there are so many columns; None for no such column.
    """

    image: int
    label: int
    needed: int
    delimiter: Optional[str] = None
    first: int = 0
    header: str = ""
    camera: Optional[int] = None


# Those that read their own lists.
COLUMNS = {
    "CompCars": Columns(image=0, label=1, needed=2),
    "VeriWild": Columns(image=0, label=1, needed=2, camera=2),
    "LogoDataset": Columns(image=3, label=1, needed=4, delimiter="\t", first=1, header="image_id"),
}


class Listing(NamedTuple):
    """What a list file holds: names of images, their labels, and the lines that they are on.

    A label is a number, or where a picture has several, a tuple of 0 and 1 for each class.
    """

    images: list[str]
    labels: list[Union[int, tuple]]
    lines: Sequence[int]


def read(path, delimiter=None, several=False, columns=None):
    """The `Listing` in the file at `path`.

    Args:
        delimiter: what stands before the label; None for a tab or spaces.
        several: whether each picture has a label for every class.
        columns: the `Columns` of lists that have others than an image and its labels.

    Raises:
        UserError: not text, no pictures, or a line of another form; names the file and the line.
    """
    status = os.stat(path)
    version = (status.st_size, status.st_mtime_ns)
    return _read(str(path), delimiter or None, several, columns, version)


@functools.lru_cache(maxsize=4)  # preflight reads a list, and then the dataset
def _read(path, delimiter, several, columns, version):
    if columns:
        row = functools.partial(_row_of_columns, columns, [])
    else:
        row = functools.partial(_row, delimiter, several)
    images, labels, lines = [], [], []
    for number, line in enumerate(read_lines(path), 1):
        if not line or (columns and columns.header and line.startswith(columns.header)):
            continue
        try:
            image, label = row(line)
        except ValueError as error:
            raise UserError(f"{path}, line {number}: {error}") from None
        images.append(image)
        labels.append(label)
        lines.append(number)
    if not images:
        raise UserError(f"{path} lists no images")
    return Listing(images, labels, range(1, len(lines) + 1) if lines[-1] == len(lines) else lines)


def _row(delimiter, several, line):
    """Image and label of a line; a ValueError says what is wrong with it."""
    image, text = _split(line, delimiter)
    label = (_several_labels if several else _one_label)(text)
    if label is None or not image:
        raise ValueError(_reason(line, text, delimiter, several))
    return image, label


def _row_of_columns(columns, counts, line):
    """The same of a line in `columns`, of which each has as many as the first, kept in the list `counts`."""
    cells = line.split(columns.delimiter)
    counts[:] = counts or [max(columns.needed, len(cells))]
    if len(cells) != counts[0]:
        between = "tabs" if columns.delimiter else "spaces"
        raise ValueError(f"expected {counts[0]} columns with {between} between, got {_shown(line)}")
    numbers = {"label": (columns.label, columns.first), "camera": (columns.camera, 0)}
    for name, (index, least) in numbers.items():
        number = _one_label(cells[index]) if index is not None and index < len(cells) else least
        if number is None or number < least:
            raise ValueError(f"{name} {cells[index]!r} is no whole number from {least} on, in {_shown(line)}")
    return cells[columns.image], _one_label(cells[columns.label]) - columns.first


def _shown(line):
    return repr(line if len(line) <= SHOWN else f"{line[:SHOWN]}…")


def _split(line, delimiter):
    if delimiter and delimiter.strip():
        image, _, label = line.rpartition(delimiter)
    else:
        image, _, label = line.rpartition("\t") if "\t" in line else _at_last_space(line)
    return image.strip(), label.strip()


def _at_last_space(line):
    image, *label = line.rsplit(None, 1)
    return image, " ", label[0] if label else ""


def _one_label(text):
    return int(text) if text.isascii() and text.isdigit() else None


def _several_labels(text):
    values = tuple(text.replace(" ", "").split(","))
    return tuple(map(int, values)) if set(values) <= {"0", "1"} else None


def _reason(line, label, delimiter, several):
    """What is wrong with a line that is not of the right form."""
    between = delimiter if delimiter and delimiter.strip() else "a tab or a space"
    if several:
        labels = "0 or 1 for each class, such as `a.jpg\\t0,1,0`"
        return f"expected an image, {between}, and {labels}, got {_shown(line)}"
    if label.lstrip("-+.").replace(".", "").isdigit():
        return f"label {label!r} is no whole number from 0 on, in {_shown(line)}"
    found = next((sign for sign in ",;:|" if line.rpartition(sign)[2].strip().isdigit()), None)
    hint = f"; it is separated by {found!r}" if found else ""
    return f"expected an image, {between}, and a label, got {_shown(line)}{hint}"


# Labels


def check_labels(path, listing, classes, relabelled=False):
    """Refuses a label that the head has no class for.

    Args:
        classes: how many classes there are and the key that says so, `Classes`.
        relabelled: whether the dataset numbers the labels anew.

    Raises:
        UserError: names the file, the line and the key.
    """
    if not classes.number:
        return
    if isinstance(listing.labels[0], tuple):
        _check_columns(path, listing, classes)
    elif relabelled:
        _check_highest(path, len(set(listing.labels)) - 1, "", classes)
    else:
        highest = max(listing.labels)
        line = listing.lines[listing.labels.index(highest)]
        starts = "; labels start at 0, here at 1" if min(listing.labels) == 1 else ""
        _check_highest(f"{path}, line {line}", highest, starts, classes)


def _check_highest(place, label, remark, classes):
    if label >= classes.number:
        raise UserError(
            f"{place}: label {label} needs {classes.key} of at least {label + 1}, "
            f"it is {classes.number}{remark}"
        )


def _check_columns(path, listing, classes):
    for line, labels in zip(listing.lines, listing.labels):
        if len(labels) != classes.number:
            raise UserError(
                f"{path}, line {line}: {len(labels)} labels, but {classes.key} is {classes.number}"
            )


# Pictures


def check_pictures(path, root, listing, key):
    """Refuses a list with pictures that are not there; one process of a machine looks, once for each list.

    Args:
        root: the folder that names in the list start from, which `key` of the config says.

    Raises:
        UserError: names the first line and the count.
    """
    if rank_on_machine():
        return
    record = CHECKED.expanduser() / fingerprint(path, root)
    if record.exists():
        return
    missing = [
        index for index, image in enumerate(listing.images) if not os.path.isfile(os.path.join(root, image))
    ]
    if missing:
        _refuse_missing(path, root, listing, missing, key)
    try:
        record.parent.mkdir(parents=True, exist_ok=True)
        record.touch()
    except OSError:
        pass  # a home that cannot be written: the next run looks again


def _refuse_missing(path, root, listing, missing, key):
    image, count = listing.images[missing[0]], ""
    if len(missing) > 1:
        count = f" ({len(missing)} of {len(listing.images)} are missing)"
    first = image.split()[0]
    hint = f"image paths are taken from {key}"
    if first != image and os.path.isfile(os.path.join(root, first)):
        hint = f"there is {first}: a line has an image and a label, nothing else"
    raise UserError(f"{path}, line {listing.lines[missing[0]]}: there is no {image} in {root}{count}; {hint}")


def rank_on_machine():
    """Number of this process among those of one run on this machine."""
    return int(os.environ.get("PADDLE_RANK_IN_NODE") or os.environ.get("PADDLE_TRAINER_ID") or 0)


def fingerprint(path, root):
    """What changes with the list, or the folder of its pictures."""
    root = Path(root or ".").resolve()
    digest = hashlib.sha256(Path(path).read_bytes())
    digest.update(f"{root} {root.stat().st_mtime_ns}".encode())
    return digest.hexdigest()
