"""Evaluates a checkpoint: `python tools/det/eval.py -c CONFIG -o weights=PATH`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from ppcls_mixformer.paddledet.commands import evaluate

if __name__ == "__main__":
    evaluate()
