"""Exports a checkpoint: `python tools/det/export.py -c CONFIG -o weights=PATH [--output_dir DIR]`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from ppcls_mixformer.paddledet.export import main

if __name__ == "__main__":
    main()
