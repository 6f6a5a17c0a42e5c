"""What a MixFormer looked at: Grad-CAM, the gates of its blocks, and their attention.

The network knows nothing of this: forward hooks on its own layers keep what passes through them.
"""

import contextlib
from typing import Any, List, NamedTuple, Tuple

import numpy as np
import paddle
import paddle.nn.functional as F
from paddle import nn

STEM_STRIDE = 4  # pixels a position of the first stage's map


class Block(NamedTuple):
    """What passed through a Mixing Block.

    Attributes:
        attention: its `MixingAttention`.
        grid: the `WindowGrid` of its map.
        qkv: queries, keys and values, `[N, padded L, 3C/2]`.
        gate: what a sigmoid makes the spatial gate, `[N, padded L, 1]`.
    """

    attention: Any
    grid: Any
    qkv: Any
    gate: Any


class Stage(NamedTuple):
    """What passed through a stage.

    Attributes:
        tokens: its output, `[N, L, C]`.
        size: `(height, width)` of its map.
        stride: pixels a position of that map.
        blocks: a `Block` for each of its Mixing Blocks.
    """

    tokens: Any
    size: Tuple[int, int]
    stride: int
    blocks: List[Block]


class Trace(NamedTuple):
    """What a forward pass left.

    Attributes:
        network: the `MixFormer`.
        logits: `[N, classes]`.
        stages: a `Stage` for each of its stages.
    """

    network: Any
    logits: Any
    stages: List[Stage]


class Window(NamedTuple):
    """What one position of a map attends to.

    Attributes:
        top, left: first row and column of its window, in positions of the map.
        weights: `[N, heads, side, side]`; they add up to 1 over the window.
        padding: share of each picture's weights that lies outside of the map, `[N]`.
    """

    top: int
    left: int
    weights: np.ndarray
    padding: np.ndarray

    def of(self, index):
        """That of one picture, still `[1, …]`."""
        return self._replace(weights=self.weights[index : index + 1], padding=self.padding[index : index + 1])


def trace(network, images):
    """The `Trace` of `images` `[N, C, H, W]`, with what gradients of its maps need.

    Args:
        network: a `MixFormer`, in evaluation mode.
    """
    images = paddle.to_tensor(images)
    images.stop_gradient = False
    with paddle.enable_grad(), _frozen(network), _kept(network) as kept:
        logits = network(images)
    stages = []
    for number, stage in enumerate(network.layers):
        (_, size), tokens = kept[stage]
        blocks = [_block(kept, block.attn) for block in stage.blocks]
        stages.append(Stage(tokens, tuple(size), STEM_STRIDE * 2**number, blocks))
    return Trace(network, logits, stages)


@contextlib.contextmanager
def _frozen(network):
    """Yields the weights of layer norms, which alone have gradients beside the maps.

    Paddle's partial gradients refuse a PyLayer of a map and a weight. And where the gradient of its weight is
    not asked for, a layer norm on CPU leaves the weight out of the gradient of its input.
    """
    norms = [layer.weight for layer in network.sublayers() if isinstance(layer, nn.LayerNorm)]
    before = [(weight, weight.stop_gradient) for weight in network.parameters()]
    try:
        for weight, _ in before:
            weight.stop_gradient = True
        for weight in norms:
            weight.stop_gradient = False
        yield norms
    finally:
        for weight, was in before:
            weight.stop_gradient = was


def _block(kept, attention):
    (_, grid), _ = kept[attention]
    return Block(attention, grid, kept[attention.qkv][1], kept[attention.spatial_interaction][1])


@contextlib.contextmanager
def _kept(network):
    """Yields a dict, in which a forward pass leaves inputs and output of the layers that are read here."""
    kept = {}
    layers = list(network.layers)
    for block in (block for stage in network.layers for block in stage.blocks):
        layers += [block.attn, block.attn.qkv, block.attn.spatial_interaction]

    def keep(layer, inputs, output):
        kept[layer] = inputs, output

    hooks = [layer.register_forward_post_hook(keep) for layer in layers]
    try:
        yield kept
    finally:
        for hook in hooks:
            hook.remove()


def grad_cams(trace, classes):
    """Grad-CAM (arXiv 1610.02391) of one class for each picture, on the output of each stage.

    Each channel of a map is weighted by the mean gradient of the logit of the class; what is left of their
    sum above 0 speaks for the class.

    Args:
        trace: a `Trace`; it can be asked again, for other classes.
        classes: a number for each picture.

    Returns:
        For each stage an array `[N, height, width]`.
    """
    places = paddle.to_tensor(classes, "int64").unsqueeze(1)
    chosen = paddle.take_along_axis(trace.logits, places, axis=1).sum()
    maps = [stage.tokens for stage in trace.stages]
    with _frozen(trace.network) as norms:
        gradients = paddle.grad(chosen, [*maps, *norms], retain_graph=True, allow_unused=True)
    return [
        _grad_cam(_numbers(stage.tokens), _numbers(gradient)).reshape([-1, *stage.size])
        for stage, gradient in zip(trace.stages, gradients)
    ]


def _grad_cam(tokens, gradients):
    weights = gradients.mean(axis=1, keepdims=True)
    return np.maximum((tokens * weights).sum(axis=-1), 0)


def gates(stage):
    """The spatial gates of a stage, 0 to 1, `[N, blocks, height, width]`.

    With these its attention branch lets the convolution's branch pass, place by place.
    """
    maps = [
        _numbers(block.grid.crop(F.sigmoid(block.gate))).reshape([-1, *stage.size]) for block in stage.blocks
    ]
    return np.stack(maps, axis=1)


def attention(block, row, column):
    """The `Window` of the position `(row, column)` of the map of `block`."""
    grid, side = block.grid, block.grid.side
    columns = grid.padded[1] // side
    window, query = row // side * columns + column // side, row % side * side + column % side
    rows = attention_matrix(block, window)[:, :, query].reshape([-1, grid.heads, side, side])
    top, left = row // side * side, column // side * side
    inside = rows[:, :, : max(grid.size[0] - top, 0), : max(grid.size[1] - left, 0)]
    return Window(top, left, rows, 1 - inside.sum(axis=(2, 3)).mean(axis=1))


def attention_matrix(block, window):
    """Attention within one window of `block`, `[N, heads, side², side²]`: queries in rows.

    Args:
        window: its number; windows are counted row by row.
    """
    grid = block.grid
    count = grid.padded[0] // grid.side * (grid.padded[1] // grid.side)
    query, key = (part.reshape([-1, count, *part.shape[1:]])[:, window] for part in grid.split(block.qkv)[:2])
    products = paddle.matmul(query * block.attention.scale, key, transpose_y=True)
    return _numbers(F.softmax((products + block.attention.position_bias()).astype("float32")))


def _numbers(tensor):
    return tensor.detach().astype("float32").numpy()
