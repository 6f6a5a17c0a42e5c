"""How every command ends and speaks: one line for an error, and no traceback."""

import logging
import sys
from typing import Any, NamedTuple

from ppcls_mixformer.hosting.errors import UserError, first_line, needs_paddle

INTERRUPTED = 130  # the status that shells give to a program ended by Ctrl-C


class Settings(NamedTuple):
    """What a command runs with: its flags, and the config in the form of its host."""

    flags: Any
    config: Any


def run(command, argv=None):
    """Runs `command(argv)`; an error that a user can fix ends the process in one line, with status 1.

    Args:
        argv: the flags, a list of strings; None for those of this process.
    """
    set_up_logging()
    try:
        return command(sys.argv[1:] if argv is None else argv)
    except UserError as error:
        sys.exit(f"error: {error}")
    except ModuleNotFoundError as error:
        if error.name != "paddle":
            raise
        sys.exit(f"error: {needs_paddle('this command')}")
    except OSError as error:  # a folder that cannot be written, a full disk, …
        place = f"{error.filename}: " if error.filename else ""
        sys.exit(f"error: {place}{error.strerror or first_line(error)}")
    except KeyboardInterrupt:
        print("error: interrupted", file=sys.stderr, flush=True)
        sys.exit(INTERRUPTED)


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
