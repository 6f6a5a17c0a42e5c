"""Multiply-adds of a network: convolutions, linear layers and the matrix products outside of them."""

import paddle
from paddle import nn

from ppcls_mixformer.hosting.patches import replaced


def multiply_adds(model, x):
    """Multiply-adds of one forward pass of `model` on `x`."""
    counter = Counter()
    layers = [layer for layer in model.sublayers() if isinstance(layer, Counter.LAYERS)]
    hooks = [layer.register_forward_pre_hook(counter.enter) for layer in layers]
    hooks += [layer.register_forward_post_hook(counter.leave) for layer in layers]
    try:
        with replaced(paddle, "matmul", counter.matmul), paddle.no_grad():
            model(x)
    finally:
        for hook in hooks:
            hook.remove()
    return counter.total


class Counter:
    """Adds up what layers multiply by their weights, and products that are asked for outside of these."""

    LAYERS = (nn.Linear, nn.Conv2D, nn.Conv2DTranspose)

    def __init__(self):
        self.total = 0
        self.in_layer = False
        self.plain_matmul = paddle.matmul

    def enter(self, layer, inputs):
        self.in_layer = True

    def leave(self, layer, inputs, output):
        self.in_layer = False
        if isinstance(layer, nn.Linear):
            self.total += output.size * layer.weight.shape[0]
        elif isinstance(layer, nn.Conv2D):
            self.total += output.size * layer.weight[0].size
        else:
            self.total += inputs[0].size * layer.weight[0].size

    def matmul(self, x, y, transpose_x=False, transpose_y=False, name=None):
        output = self.plain_matmul(x, y, transpose_x, transpose_y)
        if not self.in_layer:
            self.total += output.size * x.shape[-2 if transpose_x else -1]
        return output
