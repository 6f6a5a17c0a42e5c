"""Measures exports on this machine: `python tools/benchmark_export.py FOLDER [FOLDER …]`, see `--help`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from ppcls_mixformer.benchmark import command
from ppcls_mixformer.hosting import cli

if __name__ == "__main__":
    cli.run(command.run)
