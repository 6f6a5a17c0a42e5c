"""Writes scikit-learn's 1,797 handwritten digits as PNG files and PaddleClas list files.

1,437 pictures for training and 360 for testing, always the same ones; nothing is downloaded.
"""

import argparse
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits

TRAIN = 1437
SIDE = 32  # pixels; the originals are 8×8


def write_split(folder, name, images, labels, indices):
    """Writes `folder/name/*.png` and `folder/name_list.txt` for `indices` of `images`."""
    (folder / name).mkdir(parents=True, exist_ok=True)
    lines = []
    for index in indices:
        file = f"{name}/{index:04d}.png"
        gray = Image.fromarray((images[index] * (255 / 16)).round().astype(np.uint8))
        gray.resize((SIDE, SIDE), Image.BICUBIC).save(folder / file)
        lines.append(f"{file} {labels[index]}\n")
    (folder / f"{name}_list.txt").write_text("".join(lines))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=Path("dataset/digits"))
    folder = parser.parse_args().output
    digits = load_digits()
    order = np.random.RandomState(0).permutation(len(digits.target))
    write_split(folder, "train", digits.images, digits.target, order[:TRAIN])
    write_split(folder, "test", digits.images, digits.target, order[TRAIN:])
    (folder / "label_list.txt").write_text("".join(f"{i} digit {i}\n" for i in range(10)))
    print(f"{TRAIN} training and {len(order) - TRAIN} test pictures of {SIDE}×{SIDE} in {folder}")


if __name__ == "__main__":
    main()
