"""Trains a model: `python tools/train.py -c CONFIG [-o key=value …]`, PaddleClas's flags."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from ppcls_mixformer.paddleclas.commands import train

if __name__ == "__main__":
    train()
