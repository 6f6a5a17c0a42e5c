"""How every command ends and speaks: one line for an error, and no traceback."""

import logging
import signal
import sys
import threading
from typing import Any, NamedTuple

from ppcls_mixformer.hosting.errors import UserError, first_line, needs_paddle

WORDS = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated by SIGTERM"}
SIGNALLED = 128  # added to a signal's number it is the status that shells give to a program that it ended


class Settings(NamedTuple):
    """What a command runs with: its flags, and the config in the form of its host."""

    flags: Any
    config: Any


def run(command, argv=None):
    """Runs `command(argv)`; errors that a user can fix end the process, a line each, with status 1.

    Args:
        argv: the flags, a list of strings; None for those of this process.
    """
    set_up_logging()
    print_what_the_terminal_lacks()
    received = raise_on_signals()
    try:
        return command(sys.argv[1:] if argv is None else argv)
    except BaseException as error:  # passing through Paddle's C++ an interruption gets another type
        if not received:
            _end(error)
            raise
        print(f"error: {_words(error, received[0])}", file=sys.stderr, flush=True)
        sys.exit(SIGNALLED + received[0])


def _end(error):
    """Ends this process, in a line for each thing that a user can do something about."""
    if isinstance(error, UserError):
        sys.exit("\n".join(f"error: {text}" for text in error.texts))
    if isinstance(error, ModuleNotFoundError) and error.name == "paddle":
        sys.exit(f"error: {needs_paddle('this command')}")
    if isinstance(error, BrokenPipeError):
        sys.exit("error: what reads the output has ended before it was complete")
    if isinstance(error, OSError):  # a folder that cannot be written, a full disk, …
        place = f"{error.filename}: " if error.filename else ""
        sys.exit(f"error: {place}{error.strerror or first_line(error)}")


def raise_on_signals():
    """Has Ctrl-C and SIGTERM raise KeyboardInterrupt; returns a list, to which they add their number.

    Paddle ends at SIGTERM with a traceback of C++. A signal that comes again ends the process at once.
    """
    received = []

    def stop(number, frame):
        received.append(number)
        signal.signal(number, signal.SIG_DFL)
        raise KeyboardInterrupt

    for number in WORDS if threading.current_thread() is threading.main_thread() else ():
        if signal.getsignal(number) != signal.SIG_IGN:  # of a job in the background of a shell
            signal.signal(number, stop)
    return received


def take_signals_back():
    """Has the handlers of `raise_on_signals` called again; to be called once Paddle is imported.

    Paddle puts a handler of C++ in the place of Python's, which still believes in its own: SIGTERM then ends
    a command without a word, and leaves what was being written.
    """
    for number in WORDS if threading.current_thread() is threading.main_thread() else ():
        if callable(signal.getsignal(number)):
            signal.signal(number, signal.getsignal(number))


def print_what_the_terminal_lacks():
    """Has standard output escape what its encoding lacks, such as a file's name in another one."""
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="backslashreplace")


def _words(error, number):
    """What has ended by a signal, in the words of the command where it has some."""
    has_words = isinstance(error, UserError) and isinstance(error.__context__, KeyboardInterrupt)
    return str(error) if has_words else WORDS[number]


class _Line(logging.Formatter):
    def format(self, record):
        prefix = "warning: " if record.levelno >= logging.WARNING else ""
        return prefix + record.getMessage()


def set_up_logging():
    """Prints what the package logs, warnings as `warning: …`, whatever loggers the hosts set up."""
    handler = logging.StreamHandler()
    handler.setFormatter(_Line())
    package = logging.getLogger("ppcls_mixformer")
    package.handlers, package.propagate = [handler], False
    package.setLevel(logging.INFO)
