"""Results of pictures, one dict for each: shown as PaddleClas does, and saved as CSV or JSON lines.

A result has `file_name`, `class_ids`, `scores` and `label_names`, best first; one of a picture that could not
be read has `file_name` and `error`.
"""

import contextlib
import csv
import json
import logging
import shutil
from pathlib import Path

import numpy as np

from ppcls_mixformer.hosting.errors import UserError
from ppcls_mixformer.hosting.whole import whole_file

logger = logging.getLogger(__name__)

DIGITS = 5  # of a score that is shown
COLUMNS = ("file_name", "rank", "class_id", "label_name", "score", "error")
SUFFIXES = (".csv", ".jsonl")
ESCAPED = "backslashreplace"  # bytes in a file's name that are no UTF-8; so JSON writes them, too


def best(scores, topk):
    """Numbers of the `topk` classes with the highest `scores`, `[classes]`; in the order of PaddleClas."""
    return scores.argsort(axis=0)[-topk:][::-1] if topk else scores[:0].argsort()


def likely(scores, threshold):
    """Numbers of the independent labels with at least `threshold`, the likeliest first."""
    return np.array([number for number in best(scores, len(scores)) if scores[number] >= threshold], "int64")


def result(scores, class_ids, label_names, file_name=None):
    """The result of one picture.

    Args:
        scores: of all classes, `[classes]`.
        class_ids: numbers of those to show, best first.
        label_names: of all classes.
    """
    named = {"file_name": file_name} if file_name is not None else {}
    return {
        **named,
        "class_ids": [int(number) for number in class_ids],
        "scores": [float(scores[number]) for number in class_ids],
        "label_names": [label_names[number] for number in class_ids],
    }


def shown(result):
    """A result as the `paddleclas` command shows it, on one line."""
    scores = [round(score, DIGITS) for score in result["scores"]]
    return (
        f"class_ids: {result['class_ids']}, scores: {scores}, label_names: {result['label_names']}, "
        f"filename: {result['file_name']}"
    )


def check_path(path):
    """Refuses a file to save to whose ending does not say how, before anything is computed.

    Raises:
        UserError: its ending is none of SUFFIXES; it is a folder.
    """
    if Path(path).suffix.lower() not in SUFFIXES:
        raise UserError(
            f"{path or 'no name'}: results are saved as {' or '.join(SUFFIXES)}, which its ending must say"
        )
    if Path(path).is_dir():
        raise UserError(f"{path} is a folder; results are saved in a file")


def hand_out(stream, show, path):
    """Prints what `show` makes of each result in `stream`, and writes all to the file at `path`, unless None.

    Raises:
        UserError: pictures without an answer, after all others; another ending of `path`.
    """
    found = []
    with writer(path) if path is not None else contextlib.nullcontext() as write:
        for result in stream:
            found.append(result)
            if "error" not in result:
                print(show(result), flush=True)
            if write:
                write(result)
    check_failures(found)


def check_failures(results):
    """Raises a UserError that names pictures among `results` without an answer, if there are any.

    Args:
        results: of all pictures; only `error` and `file_name` are looked at.
    """
    failed = [found["file_name"] for found in results if "error" in found]
    if failed:
        more = f" and {len(failed) - 3} more" if len(failed) > 3 else ""
        names = ", ".join(map(str, failed[:3]))
        raise UserError(f"{len(failed)} of {len(results)} pictures have no answer: {names}{more}")


@contextlib.contextmanager
def writer(path):
    """Yields a function that writes one result to the CSV or JSON lines file at `path`.

    The file is there once the block has ended well. If it is cut short, what `path` held stays, and a file
    beside it, with `.part` in its name, has the results so far.

    Raises:
        UserError: its ending is none of SUFFIXES.
    """
    check_path(path)
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as part, open(part, "w", encoding="utf-8", errors=ESCAPED, newline="") as file:
        try:
            yield _csv(file) if Path(path).suffix.lower() == ".csv" else _json_lines(file)
        except BaseException:
            file.flush()
            _keep(part, Path(path))
            raise


def _csv(file):
    rows = csv.DictWriter(file, COLUMNS, restval="")
    rows.writeheader()
    return lambda found: rows.writerows(_rows(found))


def _json_lines(file):
    return lambda found: file.write(json.dumps(found, ensure_ascii=False, default=_plain) + "\n")


def _keep(part, path):
    """Puts the results so far beside `path`."""
    beside = path.with_name(f"{path.stem}.part{path.suffix}")
    with whole_file(beside) as copy:
        shutil.copyfile(part, copy)
    logger.warning("%s holds the results so far", beside)


def _plain(value):
    """What JSON has for a number or an array of numpy."""
    return value.tolist()


def _rows(found):
    """A row for each class of a result; one for a picture without any, so that none is lost."""
    name = found.get("file_name", "")
    classes = zip(found.get("class_ids", ()), found.get("label_names") or (), found.get("scores", ()))
    rows = [
        {"file_name": name, "rank": rank, "class_id": number, "label_name": label, "score": score}
        for rank, (number, label, score) in enumerate(classes, 1)
    ]
    return rows or [{"file_name": name, "error": found.get("error", "")}]
