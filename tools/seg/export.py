"""Exports a segmentation model: `python tools/seg/export.py --config CONFIG --model_path WEIGHTS`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))

from ppcls_mixformer.paddleseg.export import main

if __name__ == "__main__":
    main()
