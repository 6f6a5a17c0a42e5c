"""Writes crops of the photographs that scikit-image and scikit-learn carry, a folder for each photograph.

Each photograph is cut into twelve fields. Crops for training, in `train`, are of nine of them, and crops for
validation, in `val`, of the other three, so no part of a photograph is in both. Nothing is downloaded.
"""

from pathlib import Path

import numpy as np
import skimage
import sklearn.datasets
from PIL import Image

from ppcls_mixformer.hosting import cli, drawn

from . import folders

CARRIED = {  # by path, since skimage.data may download
    Path(skimage.__file__).parent / "data": (
        "astronaut.png",
        "brick.png",
        "chelsea.png",
        "coffee.png",
        "grass.png",
        "gravel.png",
        "hubble_deep_field.jpg",
        "ihc.png",
        "motorcycle_left.png",
        "rocket.jpg",
    ),
    Path(sklearn.datasets.__file__).parent / "images": ("china.jpg", "flower.jpg"),
}
COLUMNS, ROWS = 4, 3
HELD_OUT = {(3, 0), (1, 1), (2, 2)}  # column and row of the fields for validation
CROPS = {"train": 5, "val": 4}  # of each field
SHARES = 0.7, 1.0  # of the shorter side of a field that a crop has
SIDE = 60  # pixels of a crop as it is written; `prepare` varies small ones little, which suits a short run


def boxes(size, random):
    """Yields split and box `(left, top, right, bottom)` of each crop of a photograph of `size` (W, H)."""
    width, height = size[0] // COLUMNS, size[1] // ROWS
    for column in range(COLUMNS):
        for row in range(ROWS):
            split = "val" if (column, row) in HELD_OUT else "train"
            for _ in range(CROPS[split]):
                side = int(min(width, height) * random.uniform(*SHARES))
                left = column * width + random.randint(width - side + 1)
                top = row * height + random.randint(height - side + 1)
                yield split, (left, top, left + side, top + side)


def write_all(folder):
    """Writes `folder/SPLIT/PHOTOGRAPH/NUMBER.jpg`."""
    random = np.random.RandomState(0)
    for source, files in CARRIED.items():
        for file in files:
            name = file.split(".")[0].split("_")[0]
            with Image.open(source / file) as opened:
                photograph = opened.convert("RGB")
            for number, (split, box) in enumerate(boxes(photograph.size, random)):
                crop = photograph.resize((SIDE, SIDE), Image.BICUBIC, box)
                drawn.save(crop, folders.path_in(folder, split, name, f"{number:02d}.jpg"), quality=92)


def main(argv=None):
    """Writes the crops into the folder `--output`."""
    folders.run(__doc__.splitlines()[0], "dataset/photographs", write_all, argv)


if __name__ == "__main__":
    cli.run(main)
