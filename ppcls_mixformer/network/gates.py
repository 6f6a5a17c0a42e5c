"""The spatial gates of a network's blocks, of one as it was trained and of one that was fused.

The network knows nothing of this: forward hooks on its own layers keep what passes through them.
"""

import contextlib

import paddle
import paddle.nn.functional as F

from ppcls_mixformer.network.fused import FusedBlock


@contextlib.contextmanager
def spatial_gates(trunk):
    """Yields a function that gives the gates of the last forward pass of `trunk`, and forgets them.

    They are a list, for each stage `[N, blocks, height, width]`, 0 to 1: with these the attention branch of a
    block lets the convolution's branch pass, place by place.
    """
    stages = [[] for _ in trunk.layers]
    hooks = []
    for stage, found in zip(trunk.layers, stages):
        for block in stage.blocks:
            hooks += _watch(block, found)

    def take():
        maps = [paddle.concat(found, axis=1) for found in stages]
        for found in stages:
            found.clear()
        return maps

    try:
        yield take
    finally:
        for hook in hooks:
            hook.remove()


def _watch(block, found):
    """Has every forward pass add the gate of `block`, `[N, 1, height, width]`, to `found`; its hooks."""
    is_fused = isinstance(block, FusedBlock)  # its gate has the sigmoid in it
    owner = block if is_fused else block.attn
    gate = block.spatial_gate if is_fused else block.attn.spatial_interaction
    values = []

    def keep(layer, inputs, output):
        values.append(output if is_fused else F.sigmoid(output))

    def crop(layer, inputs, output):
        _, grid = inputs
        height, width = grid.padded
        tokens = values.pop().reshape([-1, height * width, 1])
        found.append(grid.crop(tokens).reshape([-1, 1, *grid.size]))

    return [gate.register_forward_post_hook(keep), owner.register_forward_post_hook(crop)]
