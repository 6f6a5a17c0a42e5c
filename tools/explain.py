"""Draws what a network looked at: `python tools/explain.py -c CONFIG --image PICTURES --output FOLDER`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from ppcls_mixformer.hosting import cli
from ppcls_mixformer.paddleclas import commands

if __name__ == "__main__":
    cli.run(commands.explain)
