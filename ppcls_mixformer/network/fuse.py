"""What pays only at inference: norms folded into the layers around them, stages of fewer operators."""

import copy

import paddle
from paddle import nn

from ppcls_mixformer.network.fused import FusedStage
from ppcls_mixformer.network.layers import is_batch_norm
from ppcls_mixformer.network.mixformer import MixFormerTrunk, MixingAttention


def fuse_for_inference(model):
    """A copy of a network that gives the same outputs with fewer operators, in evaluation mode.

    Every batch norm behind a convolution becomes part of it, and `conv_norm` part of `proj`. Then each stage
    is replaced by a `FusedStage`. Its state dict is no checkpoint.

    Args:
        model: `MixFormer`, or a network that has one as its backbone, trained; it is left as it is.
    """
    model = copy.deepcopy(model)
    model.eval()
    with paddle.no_grad():
        for layer in model.sublayers():
            if isinstance(layer, nn.Sequential):
                fuse_convolutions(layer)
            elif isinstance(layer, MixingAttention):
                fuse_conv_norm(layer)
        for layer in model.sublayers(include_self=True):
            if isinstance(layer, MixFormerTrunk):
                layer.layers = nn.LayerList(FusedStage(stage) for stage in layer.layers)
    model.eval()
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


def fuse_conv_norm(attention):
    """Folds `conv_norm` into `proj`, whose last C/2 inputs it normalises."""
    scale, shift = affine_map(attention.conv_norm)
    proj, half = attention.proj, scale.shape[0]
    untouched, normalised = proj.weight[:half], proj.weight[half:]
    proj.bias.set_value(proj.bias + paddle.matmul(shift, normalised))
    proj.weight.set_value(paddle.concat([untouched, normalised * scale.unsqueeze(1)]))
