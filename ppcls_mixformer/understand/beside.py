"""Reports of other runs, to be set beside a new one."""

import csv
import json
from pathlib import Path
from typing import Dict, List, NamedTuple, Optional

from ppcls_mixformer.hosting.errors import UserError, first_line

TABLE, SUMMARY = "predictions.csv", "report.json"
ESCAPED = "backslashreplace"  # bytes in a file's name that are no UTF-8


class Other(NamedTuple):
    """A report that was written before.

    Attributes:
        title: of the report.
        numbers: by name, as its summary has them.
        classes: names of all; None in a report that does not say.
        averages: what `curves.read_averages` returned; None without a log.
        is_right: whether each picture was, by its file's name.
    """

    title: str
    numbers: Dict[str, float]
    classes: Optional[List[str]]
    averages: Optional[dict]
    is_right: Dict[str, bool]


def read(folder, parts):
    """The `Other` in a folder.

    Args:
        parts: the class `OneLabel` or `SeveralLabels`, as which it must be.

    Raises:
        UserError: it holds no report, or a damaged one, or one of the other kind.
    """
    folder = Path(folder)
    try:
        content = json.loads((folder / SUMMARY).read_text(encoding="utf-8"))
        averages = content["averages"]
        if averages is not None:
            averages = {
                phase: {int(epoch): values for epoch, values in found.items()}
                for phase, found in averages.items()
            }
        labels, classes = content.get("labels", "one"), content.get("classes")
        if labels != parts.labels:
            raise UserError(
                f"--beside {folder}: pictures have {labels} label{'s' * (labels != 'one')} there, and "
                f"{parts.labels} here, which have other numbers"
            )
        names = [number.name for number in parts.numbers(len(classes or ()))]
        numbers = {name: float(content[name]) for name in (*names, "pictures")}
        with open(folder / TABLE, encoding="utf-8", newline="") as file:
            is_right = {row["file_name"]: row["is_right"] == "1" for row in csv.DictReader(file)}
        return Other(str(content["title"]), numbers, classes, averages, is_right)
    except FileNotFoundError as error:
        missing = Path(error.filename).name
        raise UserError(f"--beside {folder}: it has no {missing}, as the folder of a report has") from None
    except OSError as error:
        raise UserError(f"--beside {error.filename}: {error.strerror}") from None
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise UserError(f"--beside {folder}: {SUMMARY} or {TABLE} is damaged ({first_line(error)})") from None


def only_one_right(own, other):
    """How many pictures only `own` has right, only `other`, and how many are in both; `{name: is right}`."""
    both = own.keys() & other.keys()
    ours = sum(own[name] and not other[name] for name in both)
    return ours, sum(other[name] and not own[name] for name in both), len(both)


def known_as(name):
    """The name of a file as the table of a report has it."""
    return name.encode("utf-8", ESCAPED).decode("utf-8")
