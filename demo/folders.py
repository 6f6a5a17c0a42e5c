"""The command line of the modules that write pictures to train and validate on, a folder for each class."""

import argparse
from pathlib import Path

from ppcls_mixformer.hosting.errors import UserError
from ppcls_mixformer.hosting.whole import whole_folder

SPLITS = ("train", "val")


def path_in(folder, split, name, file):
    """Path of a picture of the class `name`, whose folder is made."""
    path = folder / split / name / file
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def run(description, output, write_all, argv):
    """Puts pictures in the place of earlier ones, once all are written, and says how many they are.

    Args:
        description: for `--help`.
        output: the folder where `--output` names none.
        write_all: writes the folders of SPLITS into the folder that it is called with.

    Raises:
        UserError: what is there holds anything else, such as a user's own pictures in folders of these names.
    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--output", type=Path, default=Path(output))
    folder = parser.parse_args(argv).output.resolve()
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{folder} is a file, and is not replaced; name another --output, or rename it")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with whole_folder(folder) as new:
        write_all(new)
        others = _files(folder) - _files(new)
        if others:
            raise UserError(
                f"{folder} holds {min(others)}, which is not of this command, and is not replaced; "
                "name another --output, or rename that folder"
            )
    train, val = (len(_files(folder / split)) for split in SPLITS)
    print(f"{train:,} pictures for training and {val:,} for validation in {folder}")


def _files(folder):
    """Names of all files in a folder, and of links."""
    paths = (path for path in folder.rglob("*") if path.is_symlink() or not path.is_dir())
    return {path.relative_to(folder).as_posix() for path in paths}
