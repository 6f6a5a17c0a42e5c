"""All pictures of a user are looked at and sorted: what is used, where, and what is left out and why."""

import os
from typing import Any, Dict, List, NamedTuple

from ppcls_mixformer.hosting.errors import UserError
from ppcls_mixformer.prepare import forms, inspection, split
from ppcls_mixformer.prepare.found import Found, check_names, classes_of, counted, nearest_class, shown

VAL = 0.2  # of the pictures, where the user's have no validation set
LEFT_OUT = {
    "missing": "not there, or without a label",
    "empty": "files without content",
    "unreadable": "no pictures that can be read, or parts of one",
    "contradictory": "copies of a picture that have other labels",
    "leaked": "copies of pictures of a later split",
}


class Result(NamedTuple):
    """Pictures that were looked at, and sorted.

    Attributes:
        place: what the user has named.
        looks: at each of `found.pictures`; `splits`: indices of those that are used.
        left_out: `{kind: [(name, reason)]}` of the others; `odd`: `{kind: names}` of those that are used.
    """

    place: str
    found: Found
    looks: List[inspection.Look]
    classes: List[str]
    splits: Dict[str, List[int]]
    left_out: Dict[str, Any]
    odd: Dict[str, List[str]]

    def labels(self, name):
        """Labels of each picture of a split."""
        return [self.found.pictures[index].labels for index in self.splits.get(name, ())]


def look(place, shares, seed, several, strict):
    """The `Result` of looking at all pictures in the folder or table `place`.

    Args:
        shares: of pictures for validation and testing, as `split.sort_out` takes them.
        several: whether pictures of a table have several labels.
        strict: whether pictures that cannot be used are refused instead of left out.

    Raises:
        UserError: there are too few pictures or classes, or some that are refused.
    """
    found = forms.find(place, several)
    found = found._replace(pictures=sorted(found.pictures, key=lambda p: (p.name, p.split or "", p.labels)))
    looks = inspection.look_at_all([picture.path for picture in found.pictures])
    usable = [index for index, look in enumerate(looks) if look.reason is None]
    if not usable:
        example = f"{found.pictures[0].path} ({looks[0].reason})"
        raise UserError(f"{place}: none of {counted(looks, 'picture')} can be read, such as {example}")
    pictures = [found.pictures[index] for index in usable]
    parts = split.sort_out(pictures, [looks[index].pixels for index in usable], shares, seed)
    left_out = _left_out(found, looks, pictures, parts)
    if strict and left_out:
        _refuse(left_out)
    splits = {name: [usable[index] for index in indices] for name, indices in parts.splits.items()}
    kept = sorted(index for indices in splits.values() for index in indices)
    classes = classes_of([found.pictures[index] for index in kept])
    lost = sorted(set(classes_of(found.pictures)) - set(classes))
    notes = [*found.notes, *([f"no usable pictures of {shown(lost)}"] if lost else []), *check_names(classes)]
    notes += _notes_on_labels(found, splits, classes, [pictures[index] for index in parts.contradictory])
    odd = {kind: [found.pictures[i].name for i in kept if kind in looks[i].odd] for kind in inspection.ODD}
    odd["duplicates"] = [pictures[index].name for index in parts.duplicates]
    odd = {kind: names for kind, names in odd.items() if names}
    found = found._replace(notes=notes)
    result = Result(os.path.abspath(place), found, looks, classes, splits, left_out, odd)
    _check_classes(result)
    return result


def _left_out(found, looks, usable, parts):
    """`{kind: [(name, reason)]}` of pictures that cannot be used."""
    bad = [(found.pictures[i].path, look.reason) for i, look in enumerate(looks) if look.reason is not None]
    kinds = {
        "missing": found.missing,
        "empty": [item for item in bad if item[1] == inspection.EMPTY],
        "unreadable": [item for item in bad if item[1] != inspection.EMPTY],
        "contradictory": [
            (usable[index].path, f"labelled {' and '.join(usable[index].labels) or 'with nothing'}")
            for index in parts.contradictory
        ],
        "leaked": [(usable[index].path, "it stays there") for index in parts.leaked],
    }
    return {kind: items for kind, items in kinds.items() if items}


def _notes_on_labels(found, splits, classes, contradictory):
    """What labels may mean that was not meant."""
    paths = [picture.path for picture in contradictory]
    if len(set(paths)) < len(paths):
        yield "rows give a picture several labels: if it may have them, add --multi-label"
    seen = {label for index in splits.get("val", ()) for label in found.pictures[index].labels}
    unseen = [name for name in classes if name not in seen]
    if unseen and seen:
        yield f"no pictures for validation of {shown(unseen)}"


def _refuse(left_out):
    items = [item for kind in left_out.values() for item in kind]
    names = shown(f"{name} ({reason})" for name, reason in items)
    raise UserError(f"--strict: {counted(items, 'picture')} cannot be used: {names}; mend or remove them")


def _check_classes(result):
    """Refuses a set that nothing can be learnt from, or measured on."""
    place, classes = result.place, result.classes
    if len(classes) < 2 and not (classes and result.found.several):
        there = (
            f"one class, {classes[0]!r}, has usable pictures" if classes else "no class has usable pictures"
        )
        raise UserError(f"{place}: {there}; a classifier needs two{_why(result)}")
    known = {label for labels in result.labels("train") for label in labels}
    unknown = [name for name in classes if name not in known]
    if unknown:
        near = nearest_class(unknown[0], sorted(known)) if known else ""
        raise UserError(
            f"{place}: validation or test has pictures of {shown(unknown)}, training has none{near}"
            + _why(result)
        )
    if not result.splits.get("val"):
        raise UserError(
            f"{place}: no class has two different pictures, one for training and one for validation"
        )


def _why(result):
    """What was left out, as the end of a sentence."""
    words = [f"{len(items):,} {kind}" for kind, items in result.left_out.items()]
    words = [f"left out: {', '.join(words)}"] if words else []
    words += [note for note in result.found.notes if "--" in note]
    return f" ({'; '.join(words)})" if words else ""
