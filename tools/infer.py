"""Classifies pictures with a checkpoint: `python tools/infer.py -c CONFIG [-o key=value …]`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from ppcls_mixformer.paddleclas.commands import infer

if __name__ == "__main__":
    infer()
