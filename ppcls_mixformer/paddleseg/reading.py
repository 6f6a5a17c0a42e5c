"""Samples that PaddleSeg cannot read or transform: they end a run at once, in one line with the file.

Nothing is changed on disk. Each function says its symptom.
"""

import importlib
import sys
from pathlib import Path

import paddle

from ppcls_mixformer.hosting import loading, pictures, reading
from ppcls_mixformer.hosting.patches import shadow_module
from ppcls_mixformer.paddleseg.data import is_picture

ROOMS = ("paddleseg.transforms.transforms",)
SPLITS = {"paddleseg.core.train": "train_dataset", "paddleseg.core.val": "val_dataset"}


def apply():
    """Applies every bridge; applying them again changes nothing."""
    watched_loaders()
    half_pictures()


def watched_loaders():
    """All releases: an error in a reader never says of which file it is."""
    for name, split in SPLITS.items():
        module = importlib.import_module(name)  # its package has a function of that name
        shadow_module(module, "paddle")
        shadow_module(module.paddle, "io", DataLoader=_watched(split))


def _watched(split):
    def load(dataset, **options):
        loader = paddle.io.DataLoader(dataset, **options)
        loading.watch(loader, reading.Watch(split, len(dataset), describe))
        return loader

    return load


def half_pictures():
    """All releases: OpenCV decodes the half of a JPEG file that is there, and gives None for no picture."""
    for name, module in list(sys.modules.items()):
        if name.startswith("paddleseg.") and hasattr(module, "cv2"):
            shadow_module(module, "cv2", imread=pictures.imread)


def describe(dataset, index, error):
    """The Failure of `error`, which came of sample `index` of `dataset`, or of a batch where it is None."""
    if index is None:
        return reading.Failure.of(error, "", ROOMS)
    listed = getattr(dataset, "file_list", None)
    files = map(Path, filter(None, listed[index])) if listed else ()
    return reading.Failure.of_sample(index, [str(file) for file in files if is_picture(file)], error, ROOMS)
