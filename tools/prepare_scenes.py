"""Writes small scenes in the layouts of COCO, LVIS and ADE20K: `python tools/prepare_scenes.py --help`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from demo.scenes import main
from ppcls_mixformer.hosting import cli

if __name__ == "__main__":
    cli.run(main)
