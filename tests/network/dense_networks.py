"""Dense networks for the tests, and what has moved in their state dicts."""

from ppcls_mixformer import zoo
from ppcls_mixformer.network.dense import DenseMixFormer

SHALLOW = (1, 1, 2, 1)  # of B0's width, faster


def dense(name="MixFormer_B0", **arguments):
    return DenseMixFormer(**zoo.resolve_dense(name, **arguments))


def values(model, kind=""):
    """Values of the state dict's entries whose names end as `kind` says."""
    return {name: value.numpy().copy() for name, value in model.state_dict().items() if name.endswith(kind)}


def moved(model, before):
    """Names of the entries of `before` that have another value now."""
    return {name for name, value in values(model).items() if name in before and (value != before[name]).any()}
