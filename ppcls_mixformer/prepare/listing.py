"""List files and the file of names, in the form that every release of PaddleClas reads.

PaddleClas splits a line at each space, in UTF-8, and only later releases at a delimiter that the config
names. So pictures whose names have spaces, or are no text, are listed by links with other names.
"""

import os
import re
import shutil
from typing import List, NamedTuple

from ppcls_mixformer.predict.names import line
from ppcls_mixformer.prepare.found import plain

FOLDER = "pictures"  # of links, in the output
UNFIT = re.compile(r"\s|[\x00-\x1f\x7f\ud800-\udfff]")


class Names(NamedTuple):
    """How lists name pictures.

    Attributes:
        root: the absolute path of the folder from which names start.
        names: of each picture, in the order of the pictures.
        is_linked: whether they are links in the folder FOLDER of the output.
    """

    root: str
    names: List[str]
    is_linked: bool


def name_all(pictures, root, output):
    """The `Names` of pictures: their own where a list can hold them all, those of links in `output` else."""
    own = [picture.name for picture in pictures]
    if not any(UNFIT.search(name) for name in own) and is_text(root):
        return Names(root, own, False)
    fit = _apart(UNFIT.sub("_", name) for name in own)
    return Names(output, [f"{FOLDER}/{name}" for name in fit], True)


def is_text(path):
    """Whether a path can be written into a file in UTF-8."""
    try:
        return bool(str(path).encode())
    except UnicodeEncodeError:
        return False


def _apart(names):
    """Yields names, with a number where one was there before, also to a disk that knows no capitals."""
    used = set()
    for name in names:
        stem, suffix = os.path.splitext(name)
        fit, number = name, 1
        while fit.casefold() in used:
            number += 1
            fit = f"{stem}_{number}{suffix}"
        used.add(fit.casefold())
        yield fit


def link_all(pictures, names, folder):
    """Makes the links in `folder`, the output; copies where the file system has no links."""
    for picture, name in zip(pictures, names):
        target = os.path.join(folder, name)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        try:
            os.symlink(os.path.realpath(picture.path), target)
        except (OSError, NotImplementedError):  # Windows, without the right to
            shutil.copyfile(picture.path, target)


def lines(names, labels, classes, several):
    """A line for each picture: `name 3`, or for several labels `name<tab>0,1,0`."""
    numbers = {name: number for number, name in enumerate(classes)}
    for name, own in zip(names, labels):
        if several:
            yield f"{name}\t{','.join(str(int(c in own)) for c in classes)}\n"
        else:
            yield f"{name} {numbers[own[0]]}\n"


def label_lines(classes):
    """`0 name` for each class."""
    return [f"{line(number, plain(name))}\n" for number, name in enumerate(classes)]
