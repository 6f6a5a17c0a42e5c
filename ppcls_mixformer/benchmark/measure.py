"""Exports measured in turns: whatever slows the machine down slows all of them down."""

import contextlib
import itertools
import logging
from dataclasses import dataclass, field, replace
from typing import NamedTuple, Optional

from tqdm import tqdm

from ppcls_mixformer.benchmark.processes import Process
from ppcls_mixformer.benchmark.worker import Runner, Task
from ppcls_mixformer.hosting.errors import UserError

logger = logging.getLogger(__name__)

PATIENCE = 600  # seconds to load a program, and to run it once: libraries that crash may hang


class Plan(NamedTuple):
    """How much is measured.

    Attributes:
        rounds: turns of each export.
        seconds: of a turn.
        starts: fresh processes whose first answer is timed.
        together: exports that take turns with the last one, each in a process that stays.
    """

    rounds: int = 7
    seconds: float = 1.0
    starts: int = 3
    together: int = 4


@dataclass
class Timing:
    """What was measured of a `Task`.

    Attributes:
        task: what it was.
        first: seconds to load it and run it once, of each fresh process.
        turns: seconds of the runs in each turn.
        reference: the same of the export that this one is compared with, in the turns beside these.
        memory: peak of its process, bytes; None where it is not known.
        size: bytes of its files.
        reason: why it could not be measured; then all others are empty.
    """

    task: Task
    first: list[float] = field(default_factory=list)
    turns: list[list[float]] = field(default_factory=list)
    reference: list[list[float]] = field(default_factory=list)
    memory: Optional[int] = None
    size: int = 0
    reason: str = ""


def measure(tasks, plan, reference):
    """Yields a `Timing` for each `Task`, those of the last export behind the others of their kind.

    Exports of one reader, number of threads and batch take turns. Where there are more of them than take
    turns together, the last one takes part again in each group, and has the turns of all groups.

    Args:
        tasks: of one reader, number of threads and batch after the other, the last export last.
        reference: folder of the export that the others are compared with, the last one where it is among
            the tasks of a kind.
    """
    unreadable = {}
    for _, kind in itertools.groupby(tasks, key=lambda task: task[1:-1]):
        *others, last = kind
        groups = [others[i : i + plan.together] for i in range(0, len(others), plan.together)] or [[]]
        of_last = []
        for group in groups:
            *found, beside = in_turns([*group, last], plan, unreadable)
            of_last.append(beside)
            for timing in found:
                yield replace(timing, reference=beside.turns if last.folder == reference else [])
        yield _joined(of_last)


def _joined(timings):
    """One `Timing` of one task, of all its groups in which it could be measured."""
    good = [timing for timing in timings if not timing.reason] or timings[:1]
    return replace(
        good[0],
        first=[value for timing in good for value in timing.first],
        turns=[turn for timing in good for turn in timing.turns],
        memory=max((timing.memory for timing in good if timing.memory), default=None),
    )


def in_turns(tasks, plan, unreadable):
    """A `Timing` of each task: one after the other, round for round.

    Args:
        unreadable: by folder and reader, why an export cannot be loaded; is not tried again, and added to.
    """
    steps = [Entrant.start] * plan.starts + [Entrant.turn] * plan.rounds + [Entrant.finish]
    with contextlib.ExitStack() as stack:
        entrants = [stack.enter_context(Entrant(task, plan.seconds, unreadable)) for task in tasks]
        names = [entrant.timing.task.folder for entrant in entrants if not entrant.timing.reason]
        if names:
            logger.info("%s: %s", kind_of(tasks[0]), ", ".join(names))
        bar = stack.enter_context(tqdm(total=len(steps) * len(tasks), disable=None, leave=False))
        for step, entrant in itertools.product(steps, entrants):
            entrant.take(step)
            bar.update()
    return [entrant.timing for entrant in entrants]


def kind_of(task):
    """What tasks that are compared have in common, in words."""
    threads = "1 thread" if task.threads == 1 else f"{task.threads} threads"
    return f"{task.reader} on the {task.device.upper()}, {threads}, batch {task.batch}"


class Entrant:
    """A task that takes turns with others, in a process that waits in between."""

    def __init__(self, task, seconds, unreadable):
        self.key, self.unreadable = (task.folder, task.reader), unreadable
        self.timing = Timing(task, reason=unreadable.get(self.key, ""))
        self.seconds, self.process = seconds, None

    def take(self, step):
        """Calls `step`, a method, unless an earlier one has failed; says why the first one does."""
        if self.timing.reason:
            return
        try:
            step(self)
        except UserError as error:
            task = self.timing.task
            logger.warning("%s, %s: %s", task.folder, kind_of(task), error)
            self.timing = Timing(task, reason=str(error))

    def start(self):
        """Times the first answer of a fresh process, which takes the place of an earlier one."""
        self.__exit__()
        self.process = Process(Runner, self.timing.task)
        try:
            loading = self.process.call("load", within=PATIENCE)
        except UserError as error:
            self.unreadable[self.key] = str(error)
            raise
        self.timing.first.append(loading + self.process.call("first", within=PATIENCE))

    def turn(self):
        self.timing.turns.append(self.process.call("turn", self.seconds))

    def finish(self):
        self.timing.memory, self.timing.size = self.process.call("facts")

    def __enter__(self):
        return self

    def __exit__(self, *error):
        if self.process:
            self.process.end()
