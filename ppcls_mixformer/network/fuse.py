"""What pays only at inference: norms folded into the layers around them, position biases as constants."""

import copy

import paddle
from paddle import nn

from ppcls_mixformer.network.layers import is_batch_norm
from ppcls_mixformer.network.mixformer import MixingAttention


def fuse_for_inference(model):
    """A copy of a network that gives the same outputs with fewer operators, in evaluation mode.

    Every batch norm behind a convolution becomes part of it, `conv_norm` part of `proj`, and each
    position bias a constant. The copy is an ordinary network, but its state dict is no checkpoint.

    Args:
        model: `MixFormer`, or a network that has one as its backbone, trained; it is left as it is.
    """
    model = copy.deepcopy(model)
    model.eval()
    with paddle.no_grad():
        for layer in model.sublayers():
            if isinstance(layer, nn.Sequential):
                fuse_convolutions(layer)
            elif isinstance(layer, MixingAttention) and layer.fixed_position_bias is None:
                fuse_attention(layer)
    return model


def affine_map(norm):
    """A batch norm in evaluation as `x * scale + shift`: `(scale, shift)`, `[C]` each."""
    scale = norm.weight * paddle.rsqrt(norm._variance + norm._epsilon)
    return scale, norm.bias - norm._mean * scale


def fuse_convolutions(layers):
    """Folds each batch norm of a Sequential into the convolution in front of it."""
    for i in range(1, len(layers)):
        conv, norm = layers[i - 1], layers[i]
        if isinstance(conv, nn.Conv2D) and is_batch_norm(norm):
            scale, shift = affine_map(norm)
            if conv.bias is None:
                conv.bias = conv.create_parameter(shift.shape, is_bias=True)
            conv.weight.set_value(conv.weight * scale.reshape([-1, 1, 1, 1]))
            conv.bias.set_value(conv.bias * scale + shift)
            layers[i] = nn.Identity()


def fuse_attention(attention):
    """Folds `conv_norm` into `proj`, whose last C/2 inputs it normalises, and fixes the position bias."""
    scale, shift = affine_map(attention.conv_norm)
    proj, half = attention.proj, scale.shape[0]
    untouched, normalised = proj.weight[:half], proj.weight[half:]
    proj.bias.set_value(proj.bias + paddle.matmul(shift, normalised))
    proj.weight.set_value(paddle.concat([untouched, normalised * scale.unsqueeze(1)]))
    attention.conv_norm = nn.Identity()
    attention.register_buffer("fixed_position_bias", attention.position_bias())
