"""Writes scikit-learn's 1,797 handwritten digits as PNG files, a folder for each digit.

1,437 pictures are for training, in `train`, and 360 for validation, in `val`, always the same ones; nothing
is downloaded.
"""

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits

from ppcls_mixformer.hosting import cli

from . import folders

TRAIN = 1437
SIDE = 28  # pixels; the originals are 8×8


def ordered():
    """Images, digits and numbers of all, always in the same order; the first TRAIN are for training."""
    digits = load_digits()
    order = np.random.RandomState(0).permutation(len(digits.target))
    return digits.images[order], digits.target[order], order


def picture_of(image):
    """A digit `[8, 8]`, ink from 0 to 16, as a picture."""
    grey = Image.fromarray((image * (255 / 16)).round().astype(np.uint8))
    return grey.resize((SIDE, SIDE), Image.BICUBIC)


def write_all(folder):
    """Writes `folder/SPLIT/DIGIT/NUMBER.png`."""
    for place, (image, digit, number) in enumerate(zip(*ordered())):
        split = "train" if place < TRAIN else "val"
        picture_of(image).save(folders.path_in(folder, split, str(digit), f"{number:04d}.png"))


def main(argv=None):
    """Writes the pictures into the folder `--output`."""
    folders.run(__doc__.splitlines()[0], "dataset/handwritten", write_all, argv)


if __name__ == "__main__":
    cli.run(main)
