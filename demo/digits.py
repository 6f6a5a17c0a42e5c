"""Writes scikit-learn's 1,797 handwritten digits as PNG files and PaddleClas list files.

1,437 pictures for training and 360 for testing, always the same ones; nothing is downloaded. The
`parity_…` lists hold the same pictures as two classes, even and odd, for the fine-tuning config.
"""

import argparse
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits

TRAIN = 1437
SIDE = 28  # pixels; the originals are 8×8


def write_split(folder, name, images, labels, indices):
    """Writes `folder/name/*.png` and the list files of split `name` for `indices` of `images`."""
    (folder / name).mkdir(parents=True, exist_ok=True)
    lines, parity = [], []
    for index in indices:
        file = f"{name}/{index:04d}.png"
        gray = Image.fromarray((images[index] * (255 / 16)).round().astype(np.uint8))
        gray.resize((SIDE, SIDE), Image.BICUBIC).save(folder / file)
        lines.append(f"{file} {labels[index]}\n")
        parity.append(f"{file} {labels[index] % 2}\n")
    (folder / f"{name}_list.txt").write_text("".join(lines))
    (folder / f"parity_{name}_list.txt").write_text("".join(parity))


def main():
    """Writes both splits and the names of the classes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=Path("dataset/digits"))
    folder = parser.parse_args().output
    digits = load_digits()
    order = np.random.RandomState(0).permutation(len(digits.target))
    write_split(folder, "train", digits.images, digits.target, order[:TRAIN])
    write_split(folder, "test", digits.images, digits.target, order[TRAIN:])
    (folder / "label_list.txt").write_text("".join(f"{i} digit {i}\n" for i in range(10)))
    (folder / "parity_label_list.txt").write_text("0 even\n1 odd\n")
    print(f"{TRAIN} training and {len(order) - TRAIN} test pictures of {SIDE}×{SIDE} in {folder}")


if __name__ == "__main__":
    main()
