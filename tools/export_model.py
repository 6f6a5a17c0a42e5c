"""Exports a checkpoint: `python tools/export_model.py -c CONFIG [-o key=value …] [--onnx]`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from ppcls_mixformer.paddleclas.export import main

if __name__ == "__main__":
    main()
