"""Paddle's data loader where something fails: the first cause, at once, and no process left behind.

Nothing is changed on disk. Each function says its symptom.
"""

import functools
import gc
import inspect
import logging
import multiprocessing
import os
import re
import shutil
import signal
import threading
import time

import paddle
from paddle.io import multiprocess_utils
from paddle.io.dataloader import dataloader_iter
from paddle.io.dataloader.collate import default_collate_fn
from paddle.io.dataloader.worker import _WorkerException

from ppcls_mixformer.hosting.errors import UserError, first_line
from ppcls_mixformer.hosting.patches import replace_once, replaced, shadow_module

logger = logging.getLogger(__name__)

PATIENCE = 5  # seconds that workers and threads have to end by themselves
INTERVAL = 1  # seconds between two looks at whether the trainer is alive
PAUSE = 0.1  # seconds between two looks of a loader's thread at whether it is to end
SHARED = "/dev/shm"
LEAST_SHARED = 2**30  # bytes, below which PaddleDetection does without, too
TASKS = "/proc/self/task"  # the threads of this process, down to their last instruction
BUS_ERROR = "Bus error"  # how a worker ends that finds SHARED full
dead_workers = []  # one line each, until it is said
reading_threads = {}  # by the number of each thread of a loader: the event that says that it is to end


def apply():
    """Applies every bridge; applying them again changes nothing."""
    replace_once(paddle.io.DataLoader, "__iter__", _watched)
    for name in ("_DataLoaderIterSingleProcess", "_DataLoaderIterMultiProcess"):
        errors_of_the_thread(getattr(dataloader_iter, name))
        locks_of_the_thread(getattr(dataloader_iter, name))
    workers_that_collect_what_they_inherit()
    workers_that_outlive_their_trainer()
    batches_that_cannot_be_sent()
    workers_that_are_killed()
    shared_memory_of_containers()


def watch(loader, watcher):
    """From now on `loader` hands its failures to the `reading.Watch` `watcher`."""
    loader.watcher = watcher


def _watched(original):
    """`DataLoader.__iter__`, of which a `watcher` sees what fails."""

    @functools.wraps(original)
    def __iter__(self):
        watcher = getattr(self, "watcher", None)
        if watcher is None:
            return original(self)
        reader = watcher.reader(self.dataset, self.collate_fn or default_collate_fn)
        with replaced(self, "dataset", reader), replaced(self, "collate_fn", reader.collate):
            iterator = original(self)
        return _batches(watcher, iterator)

    return __iter__


def _batches(watcher, iterator):
    try:
        yield from watcher.batches(iterator)
    except UserError:
        close(iterator)
        raise


def close(iterator):
    """Ends the threads and workers of a loader's `iterator`, which later wait for each other for ever."""
    workers = getattr(iterator, "_workers", ())
    iterator._try_shutdown_all(*([PATIENCE] if workers else []))
    for worker in workers:
        if worker.is_alive():
            worker.kill()
    iterator._reader.shutdown()


def errors_of_the_thread(iterator):
    """All hosts: an error in the loader's thread ends that thread, and the trainer waits for ever."""
    replace_once(iterator, "_thread_loop", _with_its_error_kept)
    replace_once(iterator, "__next__", _with_the_error_of_the_thread)


def _with_its_error_kept(original):
    @functools.wraps(original)
    def _thread_loop(self, *args):
        try:
            original(self, *args)
        except BaseException as error:  # whatever a dataset or a sampler raises, `sys.exit` included
            self.thread_error = _first_cause(error)  # the error itself would keep the iterator alive
            self._exit_thread_unexpectedly()

    return _thread_loop


def _with_the_error_of_the_thread(original):
    @functools.wraps(original)
    def __next__(self):
        try:
            _refuse_dead_workers()
            return original(self)
        except UserError:
            close(self)
            raise
        except SystemError:  # the queue between both was closed
            ended = [worker for worker in getattr(self, "_workers", ()) if worker.exitcode is not None]
            cause = getattr(self, "thread_error", None)
            dead_workers.extend(_death(worker) for worker in ended if worker.exitcode or not cause)
            close(self)
            _refuse_dead_workers()
            if cause:
                raise UserError(f"the data loader failed: {cause}") from None
            raise

    return __next__


def _first_cause(error):
    """One line; what a worker raised holds its traceback."""
    text = str(error.args[0]) if error.args else ""
    caught = re.match(r"DataLoader worker\(\d+\) caught (\w+) with message:", text)
    if not caught:
        return f"{type(error).__name__}: {first_line(error)}".removeprefix("UserError: ")
    causes = re.findall(rf"^(?:[\w.]+\.)?{caught[1]}(?:$|:.*$)", text, re.MULTILINE)
    cause = causes[-1] if causes else text.strip().splitlines()[-1]
    return cause.partition("UserError: ")[2] or cause


def _death(worker):
    signals = -worker.exitcode
    if signals > 0:
        return _killed(worker.pid, f"killed by signal: {signal.strsignal(signals)}")
    return f"worker {worker.pid} ended before its work was done"


def _killed(pid, how):
    where = f"{SHARED} was full" if BUS_ERROR in how else "memory ran out"
    return (
        f"worker {pid} was {how}; where {where}, take fewer workers or a smaller batch, or set "
        "use_shared_memory to false"
    )


def locks_of_the_thread(iterator):
    """All hosts: a worker that is forked while the thread of an earlier loader ends waits for ever.

    Such a thread ends up to 5 seconds after its loader. Behind its last line of Python it takes itself off
    Paddle's books of memory, under a lock; the worker finds that taken, by a thread that it does not have.
    """
    replace_once(iterator, "_thread_loop", _known_to_forks)
    wait_before_forks()


def _known_to_forks(original):
    @functools.wraps(original)
    def _thread_loop(self, *args):
        reading_threads[threading.get_native_id()] = self._thread_done_event
        self._timeout = min(self._timeout, PAUSE)
        original(self, *args)

    return _thread_loop


@functools.lru_cache(maxsize=None)  # a second call registers nothing more
def wait_before_forks():
    """Has each fork wait until no thread of a loader is ending."""
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(before=_wait_for_threads_that_end, after_in_child=reading_threads.clear)


def _wait_for_threads_that_end():
    limit = time.monotonic() + PATIENCE
    for thread, is_to_end in list(reading_threads.items()):
        if thread == threading.get_native_id():
            continue
        while is_to_end.is_set() and _is_there(thread) and time.monotonic() < limit:
            time.sleep(0.001)
        if not _is_there(thread):
            reading_threads.pop(thread, None)


def _is_there(thread):
    """Whether the thread with this number has not yet ended; False where the system does not tell."""
    return os.path.exists(f"{TASKS}/{thread}")


@functools.lru_cache(maxsize=None)  # a second call registers nothing more
def workers_that_collect_what_they_inherit():
    """All hosts: a worker that collects an earlier loader of its trainer waits for ever for its threads.

    Threads are not inherited. A worker does not collect what was there before it.
    """
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(before=gc.freeze, after_in_parent=gc.unfreeze)


def workers_that_outlive_their_trainer():
    """All hosts: a worker waits for work without end, and so for ever once its trainer was killed."""
    replace_once(dataloader_iter, "_worker_loop", _ending_with_its_trainer)


def _ending_with_its_trainer(original):
    @functools.wraps(original)
    def _worker_loop(*args, **kwargs):
        threading.Thread(target=_end_with, args=(multiprocessing.parent_process().pid,), daemon=True).start()
        return original(*args, **kwargs)

    return _worker_loop


def batches_that_cannot_be_sent():
    """All hosts: a batch that a worker cannot send ends it with a traceback, or is lost and waited for."""
    replace_once(dataloader_iter, "_worker_loop", _saying_what_it_cannot_send)


def _saying_what_it_cannot_send(original):
    arguments = inspect.signature(original)

    @functools.wraps(original)
    def _worker_loop(*args, **kwargs):
        given = arguments.bind(*args, **kwargs).arguments
        results = given["out_queue"]

        def send(error, batch=None):
            """Has the trainer raise the text of this error, which might not be one that can be sent."""
            sent = UserError(f"{type(error).__name__}: {first_line(error)}")
            results.put((None, _WorkerException(given["worker_id"], (UserError, sent, None)), None))

        results._on_queue_feeder_error = send
        try:
            return original(*args, **kwargs)
        except BaseException as error:  # arrays that Paddle does not know, `sys.exit`, …
            send(error)

    return _worker_loop


def _end_with(trainer):
    """Ends this process soon after the process `trainer`, its parent, has ended."""
    while os.getppid() == trainer:
        time.sleep(INTERVAL)
    multiprocess_utils._cleanup_mmap()  # what it had in shared memory
    os._exit(1)


def workers_that_are_killed():
    """All hosts: a worker's death ends in a traceback of C++, raised wherever the trainer is at that time.

    It is kept for the next batch. What the loader's thread logs of it is the same, or is of workers that end
    with their trainer.
    """
    shadow_module(multiprocess_utils, "core", _throw_error_if_process_failed=_keep_dead_workers)
    shadow_module(dataloader_iter, "logging", warning=logger.debug, error=logger.debug)


def _keep_dead_workers():
    try:
        paddle.base.core._throw_error_if_process_failed()
    except Exception as error:  # of several types, by Paddle's release
        found = re.search(r"pid\s+(\d+)\) exited is (killed by signal: [\w ]+)", str(error))
        if "queue capacity" in str(error):  # advice on SHARED, by which Paddle overwrites the number
            dead_workers.append(_killed("of the loader", f"killed by signal: {BUS_ERROR}"))
        else:
            dead_workers.append(_killed(*found.groups()) if found else first_line(error))


def _refuse_dead_workers():
    if dead_workers:
        death = dead_workers.pop()
        dead_workers.clear()
        raise UserError(f"the data loader failed: {death}")


def shared_memory_of_containers():
    """All hosts: a worker dies of a bus error where shared memory is full; a container has 64 MB of it."""
    replace_once(paddle.io.DataLoader, "__init__", _without_little_shared_memory)


def _without_little_shared_memory(original):
    @functools.wraps(original)
    def __init__(self, *args, **kwargs):
        if kwargs.get("num_workers") and kwargs.get("use_shared_memory", True) and _shared_memory_is_little():
            kwargs["use_shared_memory"] = False
        original(self, *args, **kwargs)

    return __init__


@functools.lru_cache(maxsize=None)  # it is said once
def _shared_memory_is_little():
    size = shutil.disk_usage(SHARED).total if os.path.isdir(SHARED) else LEAST_SHARED
    if size < LEAST_SHARED:
        logger.warning(
            "%s has %d MB, so data loaders do without shared memory, which is slower; in a container, "
            "--shm-size=8g gives it more",
            SHARED,
            size // 2**20,
        )
    return size < LEAST_SHARED
