"""How every command ends and speaks: one line for an error, and no traceback."""

import contextlib
import importlib.util
import logging
import sys
from typing import Any, NamedTuple

from ppcls_mixformer.hosting.advice import untried_paddle
from ppcls_mixformer.hosting.errors import UserError, first_line, needs_paddle

logger = logging.getLogger(__name__)

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
        with _untried_paddle_is_named():
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


@contextlib.contextmanager
def _untried_paddle_is_named():
    """Warns of a Paddle that was not tried, as soon as the block imports it; many commands need none."""
    watch = _Watch()
    sys.meta_path.insert(0, watch)
    try:
        if sys.modules.get("paddle"):
            _name_untried(sys.modules["paddle"])
        yield
    finally:
        if watch in sys.meta_path:
            sys.meta_path.remove(watch)


class _Watch:
    """A finder of modules that finds none, but has `_name_untried` called on Paddle once it is imported."""

    def find_spec(self, name, path=None, target=None):
        if name != "paddle":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.loader is not None:  # or a folder that is no package
            execute = spec.loader.exec_module

            def execute_and_look(module):
                execute(module)
                _name_untried(module)

            spec.loader.exec_module = execute_and_look
        return spec


def _name_untried(paddle):
    untried = untried_paddle(paddle.__version__)
    if untried:
        logger.warning(untried)


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
