"""Draws what is found: `python tools/det/infer.py -c CONFIG -o weights=PATH --infer_img PATH`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from ppcls_mixformer.paddledet.commands import infer

if __name__ == "__main__":
    infer()
