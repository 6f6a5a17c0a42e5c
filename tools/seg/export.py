"""Exports a segmentation network: `python tools/seg/export.py --config CONFIG --model_path PATH`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from ppcls_mixformer.hosting import cli
from ppcls_mixformer.paddleseg import commands

if __name__ == "__main__":
    cli.run(commands.export)
