"""The selftest command: whether the network does on this machine what the published one does.

It replays golden files of the published architecture: outputs, a training step, sixty training steps. It
checks the bounds of mixed precision, counts operators, and times training and evaluation. All of it is
written as JSON; the status is 0 if everything holds. It takes a few minutes.
"""

import argparse
import json
import logging
import warnings
from pathlib import Path

from ppcls_mixformer.benchmark.processes import once
from ppcls_mixformer.hosting import cli
from ppcls_mixformer.hosting.errors import UserError
from ppcls_mixformer.hosting.whole import make_writable, whole_file
from ppcls_mixformer.selftest import speed
from ppcls_mixformer.selftest.finding import words

logger = logging.getLogger(__name__)


def parser():
    """The flags."""
    flags = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    flags.add_argument("--device", choices=("cpu", "gpu"), default="cpu")
    flags.add_argument("--output", type=Path, metavar="FILE", help="takes the JSON, else printed")
    return flags


def run(argv):
    """Prints or writes what was found.

    Raises:
        UserError: something does not hold, which is said once all is written; a device that is not there.
    """
    flags = parser().parse_args(argv)
    if flags.output:
        _check_output(flags.output)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of Paddle, about compilers and batch norms
        results = collect(flags.device)
    _write(results, flags.output)
    broken = [words(outcome) for outcome in results["checks"] if not outcome["holds"]]
    if broken:
        raise UserError(f"{len(broken)} of {len(results['checks'])} do not hold: {'; '.join(broken)}")
    logger.info("all %d hold", len(results["checks"]))


def _check_output(path):
    """Refuses a file that cannot be written, before anything is measured."""
    if path.exists() and not path.is_file():
        raise UserError(f"--output: {path} is a folder or a device; name a file")
    make_writable(path.parent)


def collect(device):
    """Everything, as JSON takes it; seconds, and bytes of memory.

    Raises:
        UserError: there is no such device.
    """
    from ppcls_mixformer.selftest import checks, machine

    cli.take_signals_back()  # from Paddle
    machine.take(device)
    known, found = list(checks.all_checks(device)), []
    with machine.full_precision():
        for check in known:
            if not check.obstacle:
                found += checks.outcomes(check)
    return {
        "holds": all(outcome["holds"] for outcome in found),
        "machine": machine.describe(device),
        "checks": found,
        "left_out": [{"name": check.name, "reason": check.obstacle} for check in known if check.obstacle],
        "speed": [_speed(task) for task in speed.tasks(device)],
    }


def _speed(task):
    """Speed and memory by `task`, or the reason why it could not be done; nothing depends on them."""
    if task.obstacle():
        return {**task.facts(), "reason": task.obstacle()}
    name = f"{task.mode}, {task.precision}, batch {task.batch}"
    try:
        found = once(speed.measure, task)
    except UserError as error:
        logger.warning("%s: %s", name, error)
        return {**task.facts(), "reason": str(error)}
    memory = "" if found["memory"] is None else f", {found['memory'] / 2**20:.0f} MiB"
    logger.info("%s: %.1f images/s%s", name, found["images_per_second"], memory)
    return found


def _write(results, output):
    text = json.dumps(results, indent=1)
    if not output:
        print(text)
        return
    try:
        with whole_file(output) as part:
            part.write_text(f"{text}\n", encoding="utf-8")
    except OSError:
        print(text)  # it has taken minutes
        raise
