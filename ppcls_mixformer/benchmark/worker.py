"""What is measured, in a process that does nothing else."""

import contextlib
import importlib
import os
import sys
import threading
import time
from pathlib import Path
from typing import NamedTuple, Optional

import numpy as np
from tqdm import tqdm

from ppcls_mixformer.hosting.errors import UserError
from ppcls_mixformer.predict import programs
from ppcls_mixformer.predict.classifier import Classifier

# How each reader loads a program, by its name.
READERS = {
    "onednn": programs.Options(programs.PADDLE),
    "paddle": programs.Options(programs.PADDLE, onednn=False),
    "onnxruntime": programs.Options(programs.ONNX),
    "onnxruntime-fp16": programs.Options(programs.ONNX, use_fp16=True),
}
LEAST = 3  # runs in a turn, however long they take
GLANCE, IDLE = 0.02, 0.002  # seconds: of waiting, and of work in them that is none
PATIENCE = 2  # seconds for threads to come to rest


class Task(NamedTuple):
    """One combination that is measured.

    Attributes:
        folder: of the export.
        reader: one of READERS.
        device: `cpu` or `gpu`.
        threads: of the math library.
        batch: pictures a run.
        shape: of a picture, `(C, H, W)`; None where no program of the folder can be read.
    """

    folder: str
    reader: str
    device: str
    threads: int
    batch: int
    shape: Optional[tuple[int, int, int]]

    def options(self):
        """How `programs.load` is to load it."""
        options = options_of(self.folder, self.reader)
        return options._replace(use_gpu=self.device == "gpu", threads=self.threads)


def options_of(folder, reader):
    """How `programs` is to find the program in `folder` for a reader."""
    return READERS[reader]._replace(prefix=programs.prefix_of(folder))


class Runner:
    """The program of a `Task`, loaded once it is asked for."""

    def __init__(self, task):
        os.environ["OMP_NUM_THREADS"] = str(task.threads)  # read when Paddle is loaded
        self.task, self.program, self.images = task, None, None

    def load(self):
        """Seconds to load the program; the engine itself is imported before.

        Raises:
            UserError: it cannot be loaded.
        """
        options = self.task.options()
        with silence():
            importlib.import_module(options.engine)
            start = time.perf_counter()
            self.program = programs.load(self.task.folder, options)
            seconds = time.perf_counter() - start
        shape = [self.task.batch, *self.task.shape]
        self.images = np.random.default_rng(0).standard_normal(shape, "float32")
        return seconds

    def first(self):
        """Seconds of the first run.

        Raises:
            UserError: the program does not take such pictures.
        """
        with silence():
            start = time.perf_counter()
            self.program.run(self.images)
            return time.perf_counter() - start

    def turn(self, seconds):
        """Seconds of each run, for so many seconds in all; one run more, before them, fills the caches."""
        self.program.run(self.images)
        found, end = [], time.perf_counter() + seconds
        while len(found) < LEAST or time.perf_counter() < end:
            start = time.perf_counter()
            self.program.run(self.images)
            found.append(time.perf_counter() - start)
        rest()
        return found

    def facts(self):
        """`(memory, size)` in bytes: the peak of this process, None where it is not known; the files read."""
        return peak_memory(), size_of(self.program.path)


@contextlib.contextmanager
def silence(*descriptors):
    """Drops what libraries print, which is the same in each process; their errors are raised all the same.

    Args:
        descriptors: 1 for standard output, 2 for standard error; none for both.
    """
    descriptors = descriptors or (1, 2)
    kept = [os.dup(descriptor) for descriptor in descriptors]
    with open(os.devnull, "w") as nowhere:
        for descriptor in descriptors:
            os.dup2(nowhere.fileno(), descriptor)
    try:
        yield
    finally:
        for descriptor, before in zip(descriptors, kept):
            os.dup2(before, descriptor)
            os.close(before)


def rest():
    """Waits until no thread of this process works: OpenMP's spin up to 0.2 s after a run, while others do."""
    end = time.perf_counter() + PATIENCE
    while time.perf_counter() < end:
        before = time.process_time()
        time.sleep(GLANCE)
        if time.process_time() - before < IDLE:
            return


def peak_memory():
    """Most bytes that this process had in memory; None where the system does not say."""
    try:  # not getrusage, in which Linux counts what the parent had at the start
        status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
        return next(int(line.split()[1]) << 10 for line in status.splitlines() if line.startswith("VmHWM"))
    except (OSError, StopIteration):
        pass
    try:
        import resource
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak << 10


def size_of(program):
    """Bytes of the program and of the weights beside it."""
    files = [program.with_suffix(".pdiparams")] if program.suffix != ".onnx" else []
    files += program.parent.glob(f"{program.name}*")  # weights of a large ONNX file lie beside it
    return sum(path.stat().st_size for path in files)


def input_shape(folder, reader):
    """What the program of a reader in `folder` takes, `[N, C, H, W]`, None for what is left open.

    Raises:
        UserError: there is no program that can be read here, or it takes something else than pictures.
    """
    with silence():
        shapes = programs.input_shapes(folder, options_of(folder, reader))
    if len(shapes) != 1 or len(shapes[0]) != 4:
        taken = ", ".join(str(shape).replace("None", "?") for shape in shapes) or "nothing"
        raise UserError(f"{folder} takes {taken}; programs that take pictures alone are measured here")
    return shapes[0]


def accuracy(task, listing, root, path):
    """Share of the listed pictures whose likeliest class is their label.

    Args:
        listing: images and labels, as `lists.read` gives them.
        root: the folder that images are in.
        path: of the list, for messages.

    Raises:
        UserError: a picture cannot be read, or there is no such class.
    """
    os.environ["OMP_NUM_THREADS"] = str(task.threads)
    with silence():
        program = programs.load(task.folder, task.options())
    tqdm.set_lock(threading.RLock())  # its own is for several processes, and would outlive this one
    classify = Classifier(task.folder, program)
    with silence(1):  # the bar is on standard error
        scores = classify.scores([os.path.join(root, image) for image in listing.images], task.batch)
    classes, highest = scores.shape[1], max(listing.labels)
    if highest >= classes:
        line = listing.lines[listing.labels.index(highest)]
        raise UserError(f"{path}, line {line}: label {highest}, but {task.folder} has {classes} classes")
    return float((scores.argmax(1) == np.array(listing.labels)).mean())
