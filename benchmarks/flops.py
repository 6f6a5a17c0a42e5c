"""Multiply-adds of a network: convolutions, linear layers and matrix products."""

from unittest import mock

import numpy as np
import paddle
import paddle.nn.functional as F
from paddle import nn


def multiply_adds(model, x):
    """Multiply-adds of one forward pass of `model` on `x`, whichever way it asks for its products."""
    total = 0

    def count_layer(layer, inputs, output):
        nonlocal total
        if type(layer) is nn.Linear:  # a subclass here asks for its product itself
            total += inputs[0].size * layer.weight.shape[1]
        elif isinstance(layer, nn.Conv2D):
            total += output.size * int(np.prod(layer.weight.shape[1:]))
        elif isinstance(layer, nn.Conv2DTranspose):
            total += inputs[0].size * int(np.prod(layer.weight.shape[1:]))

    def matmul(x, y, transpose_x=False, transpose_y=False, name=None):
        nonlocal total
        output = original_matmul(x, y, transpose_x, transpose_y)
        total += output.size * x.shape[-2 if transpose_x else -1]
        return output

    def conv2d(x, weight, *args, **kwargs):
        nonlocal total
        output = original_conv2d(x, weight, *args, **kwargs)
        total += output.size * int(np.prod(weight.shape[1:]))
        return output

    original_matmul, original_conv2d = paddle.matmul, F.conv2d
    hooks = [layer.register_forward_post_hook(count_layer) for layer in model.sublayers()]
    try:
        with mock.patch("paddle.matmul", matmul), mock.patch("paddle.nn.functional.conv2d", conv2d):
            with paddle.no_grad():
                model(x)
    finally:
        for hook in hooks:
            hook.remove()
    return total
