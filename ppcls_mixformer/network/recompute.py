"""Activation recomputation: less memory, more time, the same results (arXiv 1604.06174)."""

from contextlib import contextmanager

import paddle
from paddle.distributed import fleet

from ppcls_mixformer.network.layers import is_batch_norm


def recomputed(block, x, *arguments):
    """`block(x, *arguments)`, whose activations are not kept but computed again in the backward pass."""
    if x.stop_gradient:  # then Paddle would give the block's parameters no gradient either
        return block(x, *arguments)

    def forward(x):
        if not paddle.is_grad_enabled():
            return block(x, *arguments)
        with frozen_statistics(block):  # the second time; they have seen this batch
            return block(x, *arguments)

    return fleet.utils.recompute(forward, x)


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
