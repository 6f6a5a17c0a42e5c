"""Trains a detector or keypoint network: `python tools/det/train.py -c CONFIG [--eval] [-o key=value …]`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from ppcls_mixformer.paddledet.commands import train

if __name__ == "__main__":
    train()
