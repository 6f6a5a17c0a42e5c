"""Samples that a data loader cannot have: they travel to the trainer with the batch, which decides there.

A worker neither raises an error, which Paddle's loader loses, nor takes another sample in silence.
"""

import logging
import multiprocessing
import traceback
from typing import NamedTuple

import numpy as np

from ppcls_mixformer.hosting import pictures
from ppcls_mixformer.hosting.errors import UserError, reason_of
from ppcls_mixformer.hosting.pictures import Unreadable

logger = logging.getLogger(__name__)

NAMED = 3  # files that one line names
ATTEMPTS = 100  # to find a readable sample instead of one that is not
MISSING = object()


class Failure(NamedTuple):
    """A sample that could not be had.

    Attributes:
        file: its path; "" where a whole batch failed.
        operator: the transform that failed; "" where it was none.
        reason: one line.
        unreadable: whether the file is to blame.
        batch: where a whole batch failed, the paths of its first files.
    """

    file: str
    operator: str
    reason: str
    unreadable: bool
    batch: str = ""

    @classmethod
    def of(cls, error, file, rooms):
        """What the exception `error` says; transforms are the classes in packages that start with `rooms`."""
        operator = operator_of(error, rooms)
        unreadable = is_unreadable(error)
        reason = reason_of(error)
        if not unreadable and not isinstance(error, ValueError):
            reason = f"{type(error).__name__}: {reason}"
        return cls(file, operator, reason, unreadable)

    @classmethod
    def of_sample(cls, index, files, error, rooms):
        """The same of sample `index`, which is of picture `files`: one that cannot be read is to blame."""
        for file in files:
            try:
                pictures.imread(file)
            except (OSError, Unreadable) as unreadable:
                return cls.of(unreadable, file, rooms)
        return cls.of(error, " and ".join(map(str, files)) or f"sample {index}", rooms)

    def __str__(self):
        if self.unreadable:
            return f"{self.file} cannot be read: {self.reason}"
        what = self.operator or ("reading" if self.file else "joining a batch")
        return f"{what} fails on {self.file or self.batch}: {self.reason}"


def operator_of(error, rooms):
    """Name of the transform in which `error` was raised, "" if in none; `Compose` only calls others."""
    for frame, _ in traceback.walk_tb(error.__traceback__):
        owner = type(frame.f_locals.get("self"))
        if owner.__module__.startswith(rooms) and owner.__name__ != "Compose":
            return owner.__name__
    return ""


def is_unreadable(error):
    """Whether `error` is about a file: it is missing, or no whole picture to OpenCV or Pillow."""
    if isinstance(error, (OSError, Unreadable)):
        return True
    frames = [frame.f_globals.get("__name__", "") for frame, _ in traceback.walk_tb(error.__traceback__)]
    return frames[-1].startswith("PIL.") and "Plugin" in frames[-1]


class Reader:
    """Dataset and collate function of a loader, as its workers see them.

    A batch becomes `[batch, a number, failures]`; the batch is None where nothing of it could be had. The
    number is there because the loader takes a batch without arrays for its end.
    """

    def __init__(self, dataset, collate, describe, replaces):
        """Reads `dataset`; `describe(dataset, index, error)` makes the Failure of an exception.

        Args:
            replaces: whether another sample takes the place of an unreadable one; it is left out otherwise.
        """
        self.dataset, self.join = dataset, collate
        self.describe, self.replaces = describe, replaces
        self.indices, self.failures = [], []

    def __len__(self):
        return len(self.dataset)

    def __getitem__(self, index):
        for _ in range(ATTEMPTS):
            try:
                sample = self.dataset[index]
                self.indices.append(index)
                return sample
            except BaseException as error:  # whatever a transform raises, `sys.exit` included
                if isinstance(error, KeyboardInterrupt) and multiprocessing.parent_process():
                    raise  # Ctrl-C ends workers
                self.failures.append(self.describe(self.dataset, index, error))
            if not (self.replaces and self.failures[-1].unreadable):
                break
            other = int(np.random.randint(len(self.dataset)))
            index = (*index[:-1], other) if isinstance(index, (tuple, list)) else other
        return MISSING

    def collate(self, samples):
        """The batch of those `samples` that could be had, and what went wrong with the others."""
        failures, self.failures = self.failures, []
        indices, self.indices = self.indices, []
        samples = [sample for sample in samples if sample is not MISSING]
        batch = None
        if samples:
            try:
                batch = self.join(samples)
            except Exception as error:  # whatever a transform of batches raises
                failures.append(self._describe_batch(indices, error))
        return [batch, np.zeros(1), [list(failure) for failure in failures]]

    def _describe_batch(self, indices, error):
        files = list(dict.fromkeys(self.describe(self.dataset, index, error).file for index in indices))
        rest = f" and {len(files) - NAMED} more" if len(files) > NAMED else ""
        failure = self.describe(self.dataset, None, error)
        return failure._replace(batch=", ".join(files[:NAMED]) + rest, unreadable=False)  # each could be read


class Watch:
    """What the trainer makes of failures; this one refuses each.

    Args:
        key: of the loader, as the config spells it.
        total: how many samples its dataset has.
        describe: see `Reader`.
    """

    replaces = False

    def __init__(self, key, total, describe):
        self.key, self.total, self.describe = key, total, describe
        self.unreadable = {}  # reason of each file, in the order in which they were met
        self.refusal = ""

    def reader(self, dataset, collate):
        """What the workers of a loader read `dataset` with."""
        return Reader(dataset, collate, self.describe, self.replaces)

    def batches(self, iterator):
        """The batches of a loader's `iterator` over a `Reader`, without those of which nothing is left.

        Raises:
            UserError: a failure that the run must not go on with, and again in what follows: PaddleClas 2.6
                starts its loader anew after any error.
        """
        try:
            if self.refusal:
                raise UserError(self.refusal)
            self.begin()
            for batch, _, failures in iterator:
                for failure in failures:
                    self.meet(Failure(*failure))
                if batch is not None:
                    yield batch
            self.end()
        except UserError as error:
            self.refusal = str(error)  # the error itself would keep the iterator alive
            raise

    def begin(self):
        """Is called before the first batch of an epoch."""

    def meet(self, failure):
        """Is called with each failure.

        Raises:
            UserError: the run must not go on.
        """
        if not failure.unreadable:
            raise UserError(f"{self.key}: {failure}")
        if failure.file not in self.unreadable:
            self.unreadable[failure.file] = failure.reason
            self.meet_unreadable(failure)

    def meet_unreadable(self, failure):
        """Is called with the first failure of each unreadable file."""
        raise UserError(f"{self.key}: {failure}")

    def end(self):
        """Is called after the last batch of an epoch."""

    def named(self):
        """`3 of 12 pictures cannot be read: …`, with the names of the first."""
        names = [f"{file} ({reason})" for file, reason in list(self.unreadable.items())[:NAMED]]
        rest = len(self.unreadable) - len(names)
        more = [f"and {rest} more"] if rest else []
        count = f"{len(self.unreadable)} of {self.total} pictures cannot be read"
        return f"{self.key}: {count}: {', '.join(names + more)}"


class TrainingWatch(Watch):
    """Names unreadable files once each, and stops where they are more than `share` (0 to 1) of all.

    Args:
        share_key: the key that sets the share.
    """

    replaces = True

    def __init__(self, key, total, describe, share, share_key):
        super().__init__(key, total, describe)
        self.share, self.share_key = share, share_key

    def meet_unreadable(self, failure):
        if len(self.unreadable) > self.share * self.total:
            raise UserError(
                f"{self.named()}, more than {self.share_key} = {self.share}; mend the files, or raise it"
            )
        logger.warning(
            "%s: %s; training goes on without it (%d of %d)",
            self.key,
            failure,
            len(self.unreadable),
            self.total,
        )


class EvaluationWatch(Watch):
    """Refuses the result once all unreadable files are known, or says of how many it is.

    Args:
        skips: whether the result may be of the other pictures.
        processes: how many evaluate together; several need batches of one size, so they stop at once.
    """

    def __init__(self, key, total, describe, skips, processes):
        super().__init__(key, total, describe)
        self.skips, self.processes = skips, processes

    def begin(self):
        self.unreadable.clear()

    def meet_unreadable(self, failure):
        if self.processes > 1:
            raise UserError(f"{self.key}: {failure}; mend the file, or evaluate in one process")

    def end(self):
        if not self.unreadable:
            return
        left = self.total - len(self.unreadable)
        if not self.skips or not left:
            raise UserError(f"{self.named()}; mend or remove them, or leave them out with --skip-unreadable")
        logger.warning("%s; the result is of the other %d", self.named(), left)


class InferenceWatch(Watch):
    """Leaves out samples that cannot be read or transformed, and says of each why.

    Args:
        failures: gets the reason of each such file.
    """

    def __init__(self, key, total, describe, failures):
        super().__init__(key, total, describe)
        self.failures = failures

    def meet(self, failure):
        if not failure.file:
            raise UserError(f"{self.key}: {failure}")
        self.failures[failure.file] = failure.reason
        logger.warning("%s", failure)
