"""Runs the demo on photographs: `python tools/photos_demo.py`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from demo.photos_demo import main
from ppcls_mixformer.hosting import cli

if __name__ == "__main__":
    cli.run(main)
