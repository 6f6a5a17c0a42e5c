"""Trains a segmentation model: `python tools/seg/train.py --config CONFIG --do_eval …`, PaddleSeg's flags."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))

from ppcls_mixformer.paddleseg.commands import train

if __name__ == "__main__":
    train()
