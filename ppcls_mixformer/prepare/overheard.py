"""What libraries in C say of pictures while they are decoded: to the error output, and to nobody else."""

import contextlib
import os
import tempfile

ERRORS = 2  # the file descriptor


@contextlib.contextmanager
def error_output():
    """Keeps what is written to the error output of the process, as long as a `with` block runs.

    Yields:
        `(terminal, heard)`: a file that is still the error output, and a function that returns the bytes
        that were written since it was called last. Where there is no error output, None, and never a byte.
    """
    try:
        earlier = os.dup(ERRORS)
    except OSError:
        yield None, bytes
        return
    with os.fdopen(earlier, "w", errors="replace") as terminal, tempfile.TemporaryFile("a+b", 0) as kept:
        os.dup2(kept.fileno(), ERRORS)
        try:
            yield terminal, lambda: _taken(kept)
        finally:
            os.dup2(earlier, ERRORS)


def _taken(kept):
    """The content of a file without a buffer at whose end others write, and which is empty then."""
    kept.seek(0)  # `os.pread` is not there on Windows
    content = kept.read()
    kept.truncate(0)
    return content
