"""Writes scikit-learn's 1,797 handwritten digits as PNG files and PaddleClas list files.

1,437 pictures for training and 360 for testing, always the same ones; nothing is downloaded. The
`parity_…` lists hold the same pictures as two classes, even and odd, for the fine-tuning config.
"""

import argparse
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits

from ppcls_mixformer.hosting.whole import whole_folder

TRAIN = 1437
SIDE = 28  # pixels; the originals are 8×8
LISTS = {f"{kind}{name}_list.txt" for kind in ("", "parity_") for name in ("train", "test", "label")}


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


def write_all(folder):
    """Writes both splits and the names of the classes into `folder`."""
    digits = load_digits()
    order = np.random.RandomState(0).permutation(len(digits.target))
    write_split(folder, "train", digits.images, digits.target, order[:TRAIN])
    write_split(folder, "test", digits.images, digits.target, order[TRAIN:])
    (folder / "label_list.txt").write_text("".join(f"{i} digit {i}\n" for i in range(10)))
    (folder / "parity_label_list.txt").write_text("0 even\n1 odd\n")


def main():
    """Puts the digits in the place of earlier ones, once all are written."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=Path("dataset/digits"))
    folder = parser.parse_args().output.resolve()
    others = {path.name for path in folder.glob("*")} - LISTS - {"train", "test"}
    if others:
        parser.error(f"{folder} holds {min(others)}, which is not of this command, and is not replaced")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with whole_folder(folder) as new:
        write_all(new)
    test = len(list((folder / "test").iterdir()))
    print(f"{TRAIN} training and {test} test pictures of {SIDE}×{SIDE} in {folder}")


if __name__ == "__main__":
    main()
