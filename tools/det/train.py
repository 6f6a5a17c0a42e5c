"""Trains a detector or keypoint network: `python tools/det/train.py -c CONFIG [--eval] [-o key=value …]`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from ppcls_mixformer.hosting import cli
from ppcls_mixformer.paddledet import commands

if __name__ == "__main__":
    cli.run(commands.train)
