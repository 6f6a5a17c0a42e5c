"""Evaluates a segmentation model: `python tools/seg/eval.py --config CONFIG --model_path WEIGHTS`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))

from ppcls_mixformer.paddleseg.commands import evaluate

if __name__ == "__main__":
    evaluate()
