"""Draws a training run: `python tools/report.py --help`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from demo.pictures import main

if __name__ == "__main__":
    main()
