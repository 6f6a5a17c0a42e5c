"""Pythons that this one starts: they import the copy of the package that runs here, installed or not."""

import os
import subprocess
import sys
from pathlib import Path


def environment(**variables):
    """Environment of this process, and `variables`, for a Python that imports this copy of the package."""
    root = str(Path(__file__).parents[2])
    path = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
    return {**os.environ, "PYTHONPATH": path, **variables}


def run_module(module, *arguments, **variables):
    """The `subprocess.CompletedProcess` of `python -m MODULE ARGUMENT …`, all that it prints as `stdout`.

    Args:
        variables: of its environment, beside those of this process.
    """
    return subprocess.run(
        [sys.executable, "-m", module, *map(str, arguments)],
        env=environment(**variables),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
