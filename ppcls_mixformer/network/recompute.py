"""Activation recomputation: less memory, more time, the same results (arXiv 1604.06174)."""

from contextlib import contextmanager
from functools import partial

import paddle
from paddle.distributed import fleet

from ppcls_mixformer.network.layers import is_batch_norm


def recomputed(block, x, grid, masks):
    """`block(x, grid, masks)`, whose activations are not kept but computed again in the backward pass."""
    if x.stop_gradient:  # then Paddle would give the block's parameters no gradient either
        return block(x, grid, masks)
    return fleet.utils.recompute(partial(_run, block, grid, masks), x)


def _run(block, grid, masks, x):
    if not paddle.is_grad_enabled():
        return block(x, grid, masks)
    with frozen_statistics(block):  # the second time; they have seen this batch
        return block(x, grid, masks)


@contextmanager
def frozen_statistics(layer):
    """Keeps the running statistics of the batch norms in `layer` as they are, also in training."""
    norms = [norm for norm in layer.sublayers() if is_batch_norm(norm)]
    momenta = [norm._momentum for norm in norms]
    for norm in norms:
        norm._momentum = 1.0
    try:
        yield
    finally:
        for norm, momentum in zip(norms, momenta):
            norm._momentum = momentum
