"""What a user has: pictures with their labels, and the words in which it is told."""

from typing import Any, List, NamedTuple, Optional, Sequence

from ppcls_mixformer.hosting.advice import nearest
from ppcls_mixformer.hosting.errors import UserError

SPLITS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev", "eval"), "val"),
    **dict.fromkeys(("test", "testing"), "test"),
}
NAMED = 3  # of many things, how many a line names
UNSAID = {"nan", "null", "none", "n/a", "<na>"}  # what programs write where there is no label


class Picture(NamedTuple):
    """A picture and its labels.

    Attributes:
        path: where it is opened; `name`: the same from the root of all pictures, with `/`.
        labels: names of its classes, sorted.
        split: train, val or test where the user has said so.
    """

    path: str
    name: str
    labels: Sequence[str]
    split: Optional[str] = None


class Found(NamedTuple):
    """What a user has.

    Attributes:
        form: in words.
        root: an absolute path, from which the names of pictures start.
        several: whether a picture may have several labels.
        missing: `(name, reason)` of pictures that are spoken of and cannot be had.
        notes: lines on what was not read, or may not be what was meant.
    """

    form: str
    root: str
    pictures: List[Picture]
    several: bool
    missing: List[Any]
    notes: List[str]


# Classes


def classes_of(pictures):
    """Names of the classes in their order: by the alphabet, by their value where all are whole numbers."""
    names = {label for picture in pictures for label in picture.labels}
    if all(name.isascii() and name.isdigit() for name in names):
        return sorted(names, key=lambda name: (int(name), name))
    return sorted(names)


def check_names(names):
    """Refuses names of classes that a file of names cannot hold, and returns notes on those that are odd.

    Raises:
        UserError: no text, nothing but spaces, or two that differ in nothing but spaces.
    """
    known = {}
    for name in names:
        try:
            name.encode("utf-8")
        except UnicodeEncodeError:
            raise UserError(
                f"the name of the class {name!r} is no text in UTF-8: rename its folder"
            ) from None
        if not plain(name):
            raise UserError(f"the name of a class is blank, {name!r}: rename its folder")
        if known.setdefault(plain(name), name) != name:
            raise UserError(f"the classes {known[plain(name)]!r} and {name!r} differ in nothing but spaces")
    alike = {}
    for name in names:
        alike.setdefault(plain(name).casefold(), []).append(name)
    unsaid = [name for name in names if plain(name).casefold() in UNSAID]
    return [
        f"{name!r} is taken for a class; if it means that there is no label, leave it empty"
        for name in unsaid
    ] + [
        f"the classes {' and '.join(map(repr, group))} differ in nothing but capitals; they stay apart"
        for group in alike.values()
        if len(group) > 1
    ]


def plain(name):
    """A name as one line, without spaces at its ends."""
    return " ".join(name.split())


def nearest_class(name, known):
    """The end of a sentence that refuses a class: the one that is meant, or the first that there are."""
    alike = [other for other in known if plain(other).casefold() == plain(name).casefold()]
    near = alike[0] if alike else nearest(name, known)
    return f"; did you mean {near!r}?" if near else f"; there are {shown(map(repr, known))}"


# Words


def counted(things, noun):
    """`1 picture`, `2,000 pictures`; `things` are a number or have a length."""
    number = things if isinstance(things, int) else len(things)
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def shown(names):
    """The first names of a list, and how many there are beside."""
    names = list(names)
    rest = len(names) - NAMED
    return ", ".join(map(str, names[:NAMED])) + (f" and {rest:,} more" if rest > 0 else "")
