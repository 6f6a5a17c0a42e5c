"""Segments pictures: `python tools/seg/predict.py --config CONFIG --model_path WEIGHTS --image_path PATH`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))

from ppcls_mixformer.paddleseg.commands import predict

if __name__ == "__main__":
    predict()
