"""Errors that a user can mend, and how every tool ends on them."""

import logging
import sys

from ppcls_mixformer.weights.checkpoint import WeightsError


class HostError(Exception):
    """Something about the set-up, a config or a file; its text says what, where and what to do."""


def in_one_line(main):
    """Runs `main`; errors that a user can mend end the process in one line, without a traceback."""
    speak_in_one_line()
    try:
        return main()
    except (HostError, WeightsError) as error:
        sys.exit(f"error: {error}")


class _Line(logging.Formatter):
    def format(self, record):
        prefix = "warning: " if record.levelno >= logging.WARNING else ""
        return prefix + record.getMessage()


def speak_in_one_line():
    """Prints what the package has to say, warnings as `warning: …`, whatever loggers the hosts set up."""
    handler = logging.StreamHandler()
    handler.setFormatter(_Line())
    package = logging.getLogger("ppcls_mixformer")
    package.handlers, package.propagate = [handler], False
    package.setLevel(logging.INFO)
