"""Test-time augmentation: a network's scores averaged over views of one picture.

A view is a pair of matrices, `rows` `[H, H]` and `columns` `[W, W]`: `rows @ image @ columns^T` is what the
network sees.
So views are alike on numpy and on Paddle, and all have the size that an export takes.
"""

import numpy as np

from ppcls_mixformer.hosting.errors import UserError

FLIP = "flip"
LARGEST = 4.0  # scale


def parse(text):
    """The views that a flag asks for, `flip`, scales such as `1.15`, or several with commas between.

    Returns:
        `[(flipped, scale), …]`, the picture itself first; scales are combined with the flip.

    Raises:
        UserError: something else.
    """
    scales, flips = [1.0], [False]
    for part in filter(None, (part.strip() for part in str(text).split(","))):
        if part == FLIP:
            flips = [False, True]
            continue
        try:
            scale = float(part)
        except ValueError:
            scale = None
        if scale is None or not 1 <= scale <= LARGEST:
            raise UserError(
                f"--tta {text}: {part!r} is no view; it takes {FLIP} and scales from 1 to {LARGEST:g}, "
                f"such as --tta {FLIP},1.15"
            )
        if scale not in scales:
            scales.append(scale)
    return [(flip, scale) for scale in scales for flip in flips]


def matrices(view, height, width):
    """`(rows, columns)` of a view, float32: enlarged around the middle by linear interpolation, flipped."""
    flip, scale = view
    columns = _enlarging(width, scale)
    return _enlarging(height, scale), columns[::-1].copy() if flip else columns


def _enlarging(length, scale):
    """The matrix `[length, length]` that enlarges by `scale` and keeps the middle."""
    places = (np.arange(length) + 0.5 - length / 2) / scale + length / 2 - 0.5
    left = np.clip(np.floor(places).astype(int), 0, length - 1)
    right = np.clip(left + 1, 0, length - 1)
    share = np.clip(places - left, 0, 1)
    matrix = np.zeros((length, length), "float32")
    matrix[np.arange(length), left] += 1 - share
    matrix[np.arange(length), right] += share
    return matrix


def averaged(run, views):
    """`run`, its outputs averaged over `views` of the images; both take float32 `[N, C, H, W]`."""

    def run_all(images):
        height, width = images.shape[2:]
        outputs = [run(seen(images, *matrices(view, height, width))) for view in views]
        return [sum(parts) / len(views) for parts in zip(*outputs)]

    return run if len(views) == 1 else run_all


def seen(images, rows, columns):
    """What a view shows of `images`, `[N, C, H, W]`."""
    return np.ascontiguousarray(rows @ images @ columns.T, dtype="float32")
