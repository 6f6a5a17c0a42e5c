"""The benchmark command: latency, throughput, memory and accuracy of exported folders on this machine.

Each combination of export, reader, number of threads and batch runs in a process of its own. Exports take
turns, and only one of them runs at a time; the speed of each is compared with that of the last one named.
Latency includes handing the pictures over and taking the scores back.
"""

import argparse
import contextlib
import itertools
import logging
import math
import os
from pathlib import Path

from ppcls_mixformer.benchmark import report, worker
from ppcls_mixformer.benchmark.measure import Plan, measure
from ppcls_mixformer.benchmark.processes import once
from ppcls_mixformer.hosting.errors import UserError
from ppcls_mixformer.hosting.whole import make_writable
from ppcls_mixformer.paddleclas import lists
from ppcls_mixformer.predict import description as descriptions
from ppcls_mixformer.predict import programs

logger = logging.getLogger(__name__)

ON_GPU = ("paddle", "onnxruntime", "onnxruntime-fp16")  # readers
CHANNELS = 3  # of a picture, where the program leaves them open


def parser():
    """The flags."""
    flags = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    flags.add_argument("folders", nargs="+", metavar="FOLDER", help="of an export; speed is against the last")
    flags.add_argument(
        "--readers",
        nargs="+",
        choices=worker.READERS,
        help="onednn and paddle are paddle.inference with and without oneDNN, onnxruntime-fp16 reads "
        f"{programs.HALF}; else all that are there",
    )
    flags.add_argument("--device", choices=("cpu", "gpu"), default="cpu")
    flags.add_argument("--threads", nargs="+", type=_whole, default=[report.cores()], help="(all cores)")
    flags.add_argument("--batches", nargs="+", type=_whole, default=[1, 16], help="pictures a run (1 16)")
    flags.add_argument(
        "--size", nargs=2, type=_whole, metavar=("H", "W"), help="where an export leaves it open"
    )
    flags.add_argument(
        "--images", nargs=2, metavar=("ROOT", "LIST"), help="labelled pictures, for the accuracy"
    )
    flags.add_argument("--rounds", type=_whole, default=Plan().rounds, help="turns of each export (7)")
    flags.add_argument("--seconds", type=_time, default=Plan().seconds, help="of a turn (1)")
    flags.add_argument(
        "--starts", type=_whole, default=Plan().starts, help="first answers that are timed (3)"
    )
    flags.add_argument(
        "--together",
        type=_whole,
        default=Plan().together,
        help="exports that take turns with the last one, each in memory (4)",
    )
    flags.add_argument(
        "--output", type=Path, metavar="FOLDER", help="writes results.json and results.md there"
    )
    return flags


def _whole(text):
    if not text.isascii() or not text.isdigit() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number above 0")
    return int(text)


def _time(text):
    with contextlib.suppress(ValueError):
        if 0 < float(text) < math.inf:
            return float(text)
    raise argparse.ArgumentTypeError(f"{text!r} is no time above 0")


def run(argv):
    """Prints a table.

    Raises:
        UserError: something about a folder, a file or a flag that a user can fix; combinations that could not
            be measured, after all others.
    """
    flags = parser().parse_args(argv)
    flags.folders = _each_once(flags.folders)
    if flags.output:
        _check_output(flags.output)
    tasks = _tasks(flags)
    found = _accuracies(flags, tasks) if flags.images else {}
    plan = Plan(flags.rounds, flags.seconds, flags.starts, flags.together)
    results = collect(tasks, plan, flags.folders[-1], found, flags.output)
    print(report.table(results), end="")
    failed = sum("reason" in row for row in results["rows"])
    if failed:
        raise UserError(f"{failed} of {len(results['rows'])} combinations could not be measured")
    unknown = len(dict.fromkeys((task.folder, task.reader) for task in tasks)) - len(found)
    if flags.images and unknown:
        raise UserError(f"{unknown} of {unknown + len(found)} accuracies could not be had, see the warnings")


def _each_once(folders):
    """The names of `folders` in their order, the last one last; one that comes twice, with a slash, too."""
    names = list(map(os.path.normpath, folders))
    found = list(dict.fromkeys(reversed(names)))[::-1]
    if len(found) < len(names):
        logger.warning("a folder that is named twice is measured once")
    return found


def _check_output(folder):
    """Refuses a folder into which the files cannot be put, before anything is measured."""
    make_writable(folder)
    for name in report.FILES:
        if (folder / name).is_dir():
            raise UserError(f"--output: {folder / name} is a folder; take another")


def _tasks(flags):
    """What is measured, in the order of `measure`."""
    for folder in flags.folders:
        if not Path(folder).is_dir():
            raise UserError(f"{folder} is no folder; name the one that an export was written to")
    readers = {folder: _readers(folder, flags) for folder in flags.folders}
    shapes = {folder: _shape(folder, readers[folder], flags.size) for folder in flags.folders}
    return [
        worker.Task(folder, reader, flags.device, threads, batch, shapes[folder])
        for reader, threads, batch in itertools.product(worker.READERS, flags.threads, flags.batches)
        for folder in flags.folders
        if reader in readers[folder]
    ]


def collect(tasks, plan, reference, accuracies, output):
    """Results as `report` takes them, which are written to the folder `output`, unless None, as they come.

    Args:
        tasks, plan, reference: see `measure`.
        accuracies: by folder and reader.

    Raises:
        UserError: nothing could be measured. What was measured before any other error, or before Ctrl-C, is
            printed: it has taken long.
    """
    results = {"machine": report.machine(), "device": tasks[0].device, "rows": []}
    try:
        for timing in measure(tasks, plan, reference):
            key = timing.task.folder, timing.task.reader
            known = {"accuracy": accuracies[key]} if key in accuracies else {}
            results["rows"].append({**report.summary(timing), **known})
            if output:
                report.write(results, output)  # each time: a long run may be cut off
    except BaseException:
        if results["rows"]:
            print(report.table(results), end="", flush=True)
        raise
    if all("reason" in row for row in results["rows"]):
        raise UserError("; ".join(dict.fromkeys(row["reason"] for row in results["rows"])))
    return results


def _listing(root, path, folders):
    """Images and labels of `--images`, all there, for exports that say how pictures are prepared."""
    for folder in folders:
        if not Path(folder, descriptions.NAME).is_file():
            raise UserError(
                f"--images: {folder} has no {descriptions.NAME}, which says how pictures are prepared"
            )
        if descriptions.read(folder).independent:
            raise UserError(
                f"--images: the labels of {folder} do not exclude each other; `eval` measures those"
            )
    listing = lists.read(path)
    lists.check_pictures(path, root, listing, "--images")
    return listing


def _readers(folder, flags):
    """The readers of `folder` that are installed and have their file.

    Raises:
        UserError: there are none, or not one that was asked for.
    """
    known = [reader for reader in worker.READERS if flags.device == "cpu" or reader in ON_GPU]
    for reader in flags.readers or ():
        if reader not in known:
            raise UserError(f"--readers {reader}: it is for the CPU; on a GPU there are {', '.join(ON_GPU)}")
        programs.check(folder, worker.options_of(folder, reader))
    found = flags.readers or [reader for reader in known if _can_read(folder, reader)]
    if not found:
        programs.choose(folder, None, programs.prefix_of(folder))  # which says what is missing
    return found


def _can_read(folder, reader):
    try:
        programs.check(folder, worker.options_of(folder, reader))
    except UserError:
        return False
    return True


def _shape(folder, readers, size):
    """`(C, H, W)` of the pictures that the programs of `readers` in `folder` take; None if none can be read.

    Raises:
        UserError: they say no size and `--size` is missing, or another one.
    """
    found = _first_shape(folder, readers)
    if found is None:
        return None  # whoever measures them says why
    _, channels, *sides = found
    described = Path(folder, descriptions.NAME).is_file() and descriptions.read(folder).image_shape
    known = sides if None not in sides else described[1:] if described else None
    if size and known and list(known) != list(size):
        raise UserError(f"--size {size[0]} {size[1]}: {folder} takes {known[0]} {known[1]} (height, width)")
    if not size and not known:
        raise UserError(f"{folder} takes pictures of any size: add --size H W")
    return (channels or CHANNELS, *(known or size))


def _first_shape(folder, readers):
    """Shape of the input of the first program that can be read, ONNX first, which is quicker."""
    for reader in sorted(readers, key=lambda reader: worker.READERS[reader].engine == programs.PADDLE):
        with contextlib.suppress(UserError):
            return once(worker.input_shape, folder, reader)
    return None


def _accuracies(flags, tasks):
    """Accuracy by folder and reader, with the most threads and pictures at once that are asked for.

    Raises:
        UserError: there is none; if only some are missing, warnings say why.
    """
    root, path = flags.images
    listing, found, reasons = _listing(root, path, flags.folders), {}, []
    tasks = sorted(tasks, key=lambda task: (task.threads, task.batch))
    for key, task in {(task.folder, task.reader): task for task in tasks}.items():
        logger.info("accuracy of %s, %s: %d pictures", *key, len(listing.images))
        try:
            found[key] = once(worker.accuracy, task, listing, root, path)
        except UserError as error:
            logger.warning("accuracy of %s, %s: %s", *key, error)
            reasons.append(str(error))
    if not found:
        raise UserError("; ".join(dict.fromkeys(reasons)))
    return found
