"""Folders of small pictures, each of its own noise."""

import json

import numpy as np
import pytest
from PIL import Image

from ppcls_mixformer.prepare import command


class Pictures:
    """Makes pictures in a folder, no two alike."""

    def __init__(self, root):
        self.root, self.random = root, np.random.RandomState(0)

    def add(self, name, width=40, height=40, mode="RGB", **options):
        """Writes one picture, and returns its path."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        noise = self.random.randint(0, 256, (height, width, 3), dtype="uint8")
        Image.fromarray(noise).convert(mode).save(path, **options)
        return path

    def add_classes(self, counts, below=""):
        """Writes as many pictures into the folder of each class as the dict `counts` says."""
        for name, count in counts.items():
            for number in range(count):
                self.add(f"{below}{name}/{number}.png")

    def add_table(self, text, encoding="utf-8", name="table.csv", pictures=6):
        """Writes a table, and pictures img/0.png, img/1.png, …"""
        for number in range(pictures):
            self.add(f"img/{number}.png")
        (self.root / name).write_bytes(text.encode(encoding))
        return self.root / name


@pytest.fixture
def pictures(tmp_path):
    return Pictures(tmp_path / "mine")


@pytest.fixture
def prepare(pictures, tmp_path):
    """Runs the command on the pictures; returns the output's folder and what data.json says."""

    def run(*flags, place=None, output=tmp_path / "output/set"):
        command.run(
            [str(place or pictures.root), "--output", str(output), "--device", "cpu", *map(str, flags)]
        )
        return output, json.loads((output / "data.json").read_text())

    return run
