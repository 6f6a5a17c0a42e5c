"""Prepares one's own pictures: `python tools/prepare_data.py FOLDER --output FOLDER`, see `--help`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from ppcls_mixformer.hosting import cli
from ppcls_mixformer.prepare import command

if __name__ == "__main__":
    cli.run(command.run)
