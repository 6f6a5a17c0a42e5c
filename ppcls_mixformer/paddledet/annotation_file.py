"""An annotation file as it was read, with what was said of it, and the values in it."""

import dataclasses
import math
import re
from typing import Callable, Optional

from ppcls_mixformer.hosting.errors import UserError

LARGEST_ID = 2**63 - 1  # tensors hold ids
FIRST = 3  # how many ids an error names
FARTHEST = 1 << 17  # pixels, more than a picture has on a side
TOLERANCE = 1.0  # pixels by which a box may stick out of its picture and nobody says a word


class Note(str):
    """A line on what was repaired or left out.

    Attributes:
        section: whose entries it counts, such as `annotations`; "" where it counts none.
        count, total: how many of how many.
        ids: those of the first ones, as the file has them.
        entries: the first ones.
        left_out: whether they are not used.
    """

    section, count, total, ids, entries, left_out = "", 0, 0, (), (), False


@dataclasses.dataclass
class Annotations:
    """A file as it was read.

    Attributes:
        key: what the config calls it, such as `TrainDataset.anno_path`.
        path: where it is.
        content: what it holds, repaired.
        notes: what was repaired or left out, each a `Note`.
        numbers: of a section the number of every entry, by what the file spells its id as.
        entries: of a section how many entries the file has.
        refused: what is wrong with it so far, each with a count, see `refuse_these`.
        own_ids: entries to which others than the file's ids were given, each with its own, by `id(entry)`.
        turned: entries of pictures that readers turn as their EXIF says.
        path_of: gives the path of the picture of an entry of `images`; None where pictures are not opened.
    """

    key: str
    path: str
    content: dict
    notes: list = dataclasses.field(default_factory=list)
    numbers: dict = dataclasses.field(default_factory=dict)
    entries: dict = dataclasses.field(default_factory=dict)
    refused: list = dataclasses.field(default_factory=list)
    own_ids: dict = dataclasses.field(default_factory=dict)
    turned: list = dataclasses.field(default_factory=list)
    path_of: Optional[Callable] = None

    def refuse(self, text):
        """Raises a UserError about this file, with all that `refuse_any` was told before."""
        before = "".join(f"; {words}" for words in self.refused)
        raise UserError(f"{self.key}: {self.path} {text}{before}")

    def note(self, entries, text, of="annotations", left_out=False):
        """Notes that `text` is so of some `entries`; of none, nothing."""
        if entries:
            note = Note(f"{_count(entries, self.content[of])} {of} {text}{self.first_ids(entries)}")
            note.section, note.left_out = of, left_out
            note.count, note.total = len(entries), len(self.content[of])
            note.entries, note.ids = entries[:FIRST], [self.own_id(e) for e in entries[:FIRST]]
            self.notes.append(note)

    def number(self, entries, numbers):
        """Gives `entries` the ids `numbers`."""
        for entry, number in zip(entries, numbers):
            if entry.get("id") not in (None, number):
                self.own_ids[id(entry)] = entry, entry["id"]
            entry["id"] = number

    def own_id(self, entry):
        """The id of an entry as the file has it, or else the one that it was given."""
        _, own = self.own_ids.get(id(entry), (entry, entry.get("id")))
        return own

    def first_ids(self, entries):
        """Says the ids of the first ones of `entries`."""
        own = map(self.own_id, entries[:FIRST])
        ids = ", ".join("without id" if value is None else str(value) for value in own)
        return f" (id {ids}{', …' if len(entries) > FIRST else ''})"

    def remark(self, text):
        """Notes something that counts no entries."""
        self.notes.append(Note(text))

    def refuse_any(self, entries, text, of="annotations"):
        """Has `refuse_these` refuse this file where `text` is so of any of its `entries`."""
        if entries:
            self.refused.append(f"{_count(entries, self.content[of])} {of} {text}{self.first_ids(entries)}")

    def refuse_these(self):
        """Raises a UserError about all that `refuse_any` was told, if anything, in one line."""
        if self.refused:
            raise UserError(f"{self.key}: {self.path} cannot be used: {'; '.join(self.refused)}")


def _count(entries, all_of_them):
    return f"{len(entries)} of {len(all_of_them)}"


def without(entries, dropped):
    identities = {id(entry) for entry in dropped}
    return [entry for entry in entries if id(entry) not in identities]


def leave_out(file, annotations):
    file.content["annotations"] = without(file.content["annotations"], annotations)


def is_object(annotation):
    """Whether an annotation is to be found, and is neither a crowd nor to be ignored."""
    return not annotation["iscrowd"] and not annotation.get("ignore")


def whole_number(value):
    """An id as the whole number of 64 bits that it is or spells; None where it is neither."""
    if isinstance(value, str) and re.fullmatch(r"\s*-?\d{1,19}\s*", value):
        value = int(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return value if type(value) is int and abs(value) <= LARGEST_ID else None


def spelt(value):
    """What an id is found by: 7, 7.0 and "7" are one."""
    number = whole_number(value)
    return str(value if number is None else number)


def numbers_in(values):
    """A list of finite numbers, or of texts that spell them, as numbers; None where it is something else."""
    if not isinstance(values, list):
        return None
    try:
        if not set(map(type, values)) <= {int, float}:
            values = [float(value) for value in values]
        return values if math.isfinite(sum(values)) else None
    except (TypeError, ValueError, OverflowError):
        return None


def size_in(image):
    """`(width, height)` that the entry of a picture says; None where it says none."""
    size = tuple(whole_number(image.get(side)) or 0 for side in ("width", "height"))
    return size if min(size) > 0 else None


def clip(box, size):
    """A box `[x, y, width, height]` cut at the borders of a picture; None where nothing of it is inside."""
    x, y, width, height = box
    if size is None or (
        min(x, y) >= -TOLERANCE and x + width <= size[0] + TOLERANCE and y + height <= size[1] + TOLERANCE
    ):
        return box
    left, top = max(x, 0), max(y, 0)
    width, height = min(x + width, size[0]) - left, min(y + height, size[1]) - top
    return [left, top, width, height] if min(width, height) > 0 else None
