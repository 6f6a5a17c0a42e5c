"""The command line of the modules that write pictures to train and validate on, a folder for each class."""

import argparse
from pathlib import Path

from ppcls_mixformer.hosting.whole import whole_folder

SPLITS = ("train", "val")


def path_in(folder, split, name, file):
    """Path of a picture of the class `name`, whose folder is made."""
    path = folder / split / name / file
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def run(description, output, write_all):
    """Puts pictures in the place of earlier ones, once all are written, and says how many they are.

    Args:
        description: for `--help`.
        output: the folder where `--output` names none.
        write_all: writes the folders of SPLITS into the folder that it is called with.
    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--output", type=Path, default=Path(output))
    folder = parser.parse_args().output.resolve()
    others = {path.name for path in folder.glob("*")} - set(SPLITS)
    if others:
        parser.error(f"{folder} holds {min(others)}, which is not of this command, and is not replaced")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with whole_folder(folder) as new:
        write_all(new)
    train, val = (sum(path.is_file() for path in (folder / split).rglob("*")) for split in SPLITS)
    print(f"{train:,} pictures for training and {val:,} for validation in {folder}")
