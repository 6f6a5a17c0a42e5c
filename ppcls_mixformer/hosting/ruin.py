"""Trainings whose weights are no numbers any longer: none recovers, and none is to replace what was saved."""

from pathlib import Path

import paddle

from ppcls_mixformer.hosting.errors import UserError


def ruined(state):
    """Name of the first tensor of a state dict in which NaN or infinity is; None where all are numbers."""
    for name, value in state.items():
        if value.is_floating_point() and not bool(paddle.isfinite(value.astype("float32")).all()):
            return name
    return None


def stop(what, folder, key):
    """The UserError that ends a training.

    Args:
        what: what is wrong, and when.
        folder: of the checkpoints.
        key: of the learning rate.
    """
    saved = next(Path(folder).rglob("*.pdparams"), None)
    before = f"the checkpoints in {folder} are from before" if saved else "nothing was saved"
    return UserError(f"{what}: training stops, and {before}; lower {key}, or look at the data of this step")
