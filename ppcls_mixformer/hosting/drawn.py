"""Pictures of Pillow, written to files whole or with an error.

Pillow itself ends a JPEG file where a disk is full, and says nothing: its code in C does not look at how much
was written.
"""

import functools
import io
import os
from pathlib import Path

from PIL import Image

from ppcls_mixformer.hosting.whole import named, whole_file


def save(image, path, **options):
    """Saves a picture of Pillow in the format that the name of the file at `path` has.

    Args:
        options: those of Pillow's `save`.
    """
    with named(path):
        Path(path).write_bytes(encoded(Image.Image.save, image, path, **options))


def saved_whole(save):
    """Pillow's `save(image, path)`, by which the file then appears only once it is whole.

    What is saved to an open file, such as one in memory, goes there as before.
    """

    @functools.wraps(save)
    def save_aside(image, path, *args, **kwargs):
        if not isinstance(path, (str, os.PathLike)):
            return save(image, path, *args, **kwargs)
        content = encoded(save, image, path, *args, **kwargs)
        with whole_file(path) as part:
            part.write_bytes(content)

    return save_aside


def encoded(save, image, path, *args, **kwargs):
    """What Pillow's `save(image, path)` would write, bytes."""
    content = io.BytesIO()
    content.name = str(path)  # of which Pillow takes the format
    save(image, content, *args, **kwargs)
    return content.getvalue()
