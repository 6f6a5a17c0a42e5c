"""A fresh process that holds one object, whose methods are called from here; it dies with this one."""

import contextlib
import functools
import multiprocessing
import os
import signal
import threading

from ppcls_mixformer.hosting import cli
from ppcls_mixformer.hosting.errors import UserError, gist

HELD = (signal.SIGINT, signal.SIGTERM)  # while a process is started
SPAWN = multiprocessing.get_context("spawn")  # a fork would bring along what this process has loaded


class Process:
    """A process with an object of its own, made there by `make(*arguments)` once it is first called."""

    def __init__(self, make, *arguments):
        self.pipe, theirs = SPAWN.Pipe()
        self.process = SPAWN.Process(target=_serve, args=(theirs, make, arguments), daemon=True)
        with _undisturbed():
            self.process.start()
        theirs.close()  # or the end of that process would not be seen here

    def call(self, method, *arguments, within=None):
        """What the object's `method` returns.

        Args:
            within: seconds; None to wait for ever.

        Raises:
            UserError: it raised an error, the process has ended, or there is no answer in time.
        """
        try:
            self.pipe.send((method, arguments))
            if not self.pipe.poll(within):
                raise UserError(f"no answer within {within} seconds")
            value, error = self.pipe.recv()
        except (EOFError, OSError):
            self.process.join()
            raise UserError(f"its process ended with {_status(self.process.exitcode)}") from None
        if error is not None:
            raise UserError(error)
        return value

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.end()

    def end(self):
        """Ends it at once: it holds nothing that has to be written."""
        self.process.kill()
        self.process.join()
        self.pipe.close()


def once(function, *arguments, within=None):
    """What `function(*arguments)` returns in a process of its own.

    Raises:
        UserError: as `Process.call`.
    """
    with Process(functools.partial, function) as process:
        return process.call("__call__", *arguments, within=within)


@contextlib.contextmanager
def _undisturbed():
    """Has Ctrl-C and SIGTERM wait until the block ends: a process that is half started prints a traceback.

    A process that is started in it does not get them until it says so.
    """
    if not hasattr(signal, "pthread_sigmask") or threading.current_thread() is not threading.main_thread():
        yield
        return
    from multiprocessing import resource_tracker

    resource_tracker.ensure_running()  # starting it would let signals through
    came = []
    handlers = {number: signal.signal(number, lambda number, _: came.append(number)) for number in HELD}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, HELD)  # of this thread; another may take them
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler or signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        for number in came:
            signal.raise_signal(number)


def _status(exitcode):
    if exitcode == -getattr(signal, "SIGKILL", 9):
        return "SIGKILL: there may not be enough memory"
    return f"signal {-exitcode}" if exitcode < 0 else f"status {exitcode}"


def _serve(pipe, make, arguments):
    """Answers calls until the other end is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # it is the other process that ends this one
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, HELD)  # see `_undisturbed`
    cli.set_up_logging()
    made = None
    with contextlib.suppress(EOFError, OSError):
        while True:
            method, given = pipe.recv()
            try:
                made = make(*arguments) if made is None else made
                answer = getattr(made, method)(*given), None
            except Exception as error:  # whatever an engine raises
                answer = None, str(error) if isinstance(error, UserError) else gist(error)
            pipe.send(answer)
    os._exit(0)  # without the clean-up of libraries, which may complain
