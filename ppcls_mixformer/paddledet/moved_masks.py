"""Transforms of PaddleDetection that move a picture and its boxes, and forget its masks in silence."""

import inspect
import re

from ppdet.data import transform

from ppcls_mixformer.hosting.errors import UserError
from ppcls_mixformer.paddledet.splits import learns_masks


def check_masks_move(config):
    """Refuses transforms of training that leave the masks of a moved picture where they were.

    What is no transform with its arguments is refused elsewhere, see `preflight.check_transforms`.

    Raises:
        UserError: names each, and what to do.
    """
    entries = (config.get("TrainReader") or {}).get("sample_transforms")
    if not learns_masks(config) or not isinstance(entries, list):
        return
    named = [pair for entry in entries if isinstance(entry, dict) for pair in entry.items()]
    found = ((name, arguments, getattr(transform, str(name), None)) for name, arguments in named)
    wrong = [
        f"TrainReader.sample_transforms: {name} {text}"
        for name, arguments, made_by in found
        if isinstance(arguments, dict)
        for text in filter(None, [why_masks_stay(made_by, arguments)])
    ]
    if wrong:
        raise UserError(*wrong)


def why_masks_stay(made_by, arguments):
    """What is to be said of a transform, a class, that does not move masks with its picture; else None."""
    if not inspect.isclass(made_by):
        return None
    if "is_mask_crop" in inspect.signature(made_by).parameters and not arguments.get("is_mask_crop"):
        return "crops pictures, but not the masks that this network learns: set is_mask_crop: true"
    parts = [part for part in made_by.__mro__ if part.__module__.startswith("ppdet.")]
    source = "".join(map(inspect.getsource, parts))
    moves = all(re.search(rf"\[['\"]{name}['\"]\] = ", source) for name in ("image", "gt_bbox"))
    if moves and "gt_poly" not in source:
        return "moves pictures and boxes, but not the masks that this network learns: leave it out"
    return None
