"""The processes that hold what is measured."""

import multiprocessing
import os
import signal
import threading
import time

import pytest

from ppcls_mixformer.benchmark import worker
from ppcls_mixformer.benchmark.processes import Process, once
from ppcls_mixformer.hosting.errors import UserError


class Counter:
    """An object of another process."""

    def __init__(self, start):
        self.value = start

    def add(self, number):
        self.value += number
        return self.value, os.getpid()


def fail(kind, message):
    raise kind(message)


def fill(mebibytes):
    """Peak of memory once so much was in use."""
    return worker.peak_memory(), (b"x" * (mebibytes << 20), worker.peak_memory())[1]


def test_an_object_lives_in_a_process_of_its_own():
    with Process(Counter, 1) as process:
        first, pid = process.call("add", 1)
        assert process.call("add", 2) == (4, pid) and first == 2 and pid != os.getpid()
        with Process(Counter, 1) as other:
            assert other.call("add", 1)[1] not in (pid, os.getpid())
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_errors_come_back_in_one_line_and_the_process_goes_on():
    with pytest.raises(UserError, match="^of ours$"):
        once(fail, UserError, "of ours")
    with pytest.raises(UserError, match="^ValueError: of a library$"):
        once(fail, ValueError, "of a library\nand more")
    with Process(Counter, "a") as process:
        with pytest.raises(UserError, match="^TypeError: "):
            process.call("add", 1)
        assert process.call("add", "b")[0] == "ab"


def test_a_process_that_dies_is_named():
    with pytest.raises(UserError, match="^its process ended with SIGKILL: there may not be enough memory$"):
        once(signal.raise_signal, signal.SIGKILL)
    with pytest.raises(UserError, match="^its process ended with status 3$"):
        once(os._exit, 3)


class Terminated:
    """Asks this process to end while it is handed to another one."""

    def __reduce__(self):
        os.kill(os.getpid(), signal.SIGTERM)
        return Counter, (1,)


def test_a_signal_waits_until_a_process_is_started():
    """It ended in a traceback of that process, which got half of what it needs."""
    started = []

    def count(number, frame):
        started.append(len(multiprocessing.active_children()) - others)

    others = len(multiprocessing.active_children())
    before = signal.signal(signal.SIGTERM, count)
    try:
        with Process(Terminated()):
            assert started == [1] and signal.getsignal(signal.SIGTERM) is count
    finally:
        signal.signal(signal.SIGTERM, before)


def test_an_interruption_reaches_no_process_that_starts():
    """Ctrl-C goes to all processes of a terminal."""
    with Process(Counter, 1) as process:
        os.kill(process.process.pid, signal.SIGINT)
        assert process.call("add", 1)[0] == 2
        os.kill(process.process.pid, signal.SIGTERM)
        with pytest.raises(UserError, match="^its process ended with signal 15$"):
            process.call("add", 1)


def test_a_process_that_hangs_is_given_up():
    with pytest.raises(UserError, match="^no answer within 0.5 seconds$"):
        once(time.sleep, 60, within=0.5)
    assert once(abs, -1, within=60) == 1


def test_the_peak_of_memory_is_that_of_the_process_alone():
    held = b"x" * (300 << 20)
    before, after = once(fill, 100)
    assert before < len(held) and 95 << 20 < after - before < 200 << 20


def test_rest_waits_for_threads_that_spin():
    end = time.perf_counter() + 0.4

    def spin():
        while time.perf_counter() < end:
            pass

    threading.Thread(target=spin).start()
    worker.rest()
    assert end - 0.05 < time.perf_counter() < end + 1
    start = time.perf_counter()
    worker.rest()
    assert time.perf_counter() - start < 0.3
