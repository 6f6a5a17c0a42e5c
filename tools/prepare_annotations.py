"""Checks annotations: `python tools/prepare_annotations.py FILE.json --output FOLDER`, see `--help`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from ppcls_mixformer.check import command
from ppcls_mixformer.hosting import cli

if __name__ == "__main__":
    cli.run(command.run)
