"""Runs the quick start: `python tools/quick_start.py`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from demo.quick_start import main
from ppcls_mixformer.hosting import cli

if __name__ == "__main__":
    cli.run(main)
