"""Writes scikit-learn's digits, a folder for each: `python tools/prepare_digits.py [--output FOLDER]`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from demo.digits import main
from ppcls_mixformer.hosting import cli

if __name__ == "__main__":
    cli.run(main)
