"""Mixed precision: outputs within bounds of float32, and no overflow.

Paddle's auto_cast does nothing on CPU, where convolutions have no kernel in half precision; there the
outputs of all layers are rounded to the half type instead. The real thing runs where a GPU is.
"""

import functools

import numpy as np
import paddle
from paddle import nn

from ppcls_mixformer.network.windows import window_grid
from ppcls_mixformer.selftest.finding import Finding, largest
from ppcls_mixformer.selftest.replay import golden_model, images

# Largest error of a logit over the standard deviation of all: fp16 has 11 significant bits, bf16 has 8.
BOUNDS = {"float16": 0.02, "bfloat16": 0.15}
FACTORS = (1, 100)  # of the pictures
LEVELS = ("O1", "O2")
FLOAT16_MAX = 65504


def fresh_network():
    """B0 in evaluation."""
    model = golden_model("MixFormer_B0")
    model.eval()
    return model


network = functools.lru_cache(None)(fresh_network)  # which nobody changes


def error(found, expected):
    """Largest difference of logits, as a share of the standard deviation of those expected."""
    return float(np.abs(found - expected).max() / expected.std())


def hooked(x, hook):
    """Output of the network with `hook` on the output of every layer."""
    layers = [layer for layer in network().sublayers() if not layer.sublayers()]
    hooks = [layer.register_forward_post_hook(hook) for layer in layers]
    try:
        with paddle.no_grad():
            return network()(x).numpy()
    finally:
        for handle in hooks:
            handle.remove()


def rounded_layers(dtype, factor):
    """The finding on logits of a network whose layers give no more digits than `dtype` has."""
    x = float(factor) * images(0, 2, 3, 64, 64)
    expected = network()(x).numpy()
    rounded = hooked(x, lambda layer, inputs, output: output.astype(dtype).astype("float32"))
    name = f"layers rounded to {dtype}, pictures × {factor}: logits"
    return Finding(name, error(rounded, expected), BOUNDS[dtype])


def largest_output():
    """The finding on what layers give for pictures that are a hundred times too bright."""
    found = {}

    def measure(layer, inputs, output):
        found[layer.full_name()] = float(output.abs().max())

    hooked(100.0 * images(0, 2, 3, 64, 64), measure)
    return largest("outputs of layers, pictures × 100", found, FLOAT16_MAX)


def large_activations():
    """Yields findings on the gates and on the attention of a block whose tokens are large."""
    attention = network().layers[2].blocks[0].attn
    tokens = 1000.0 * images(0, 1, 49, attention.proj_attn.weight.shape[1])
    gates = nn.functional.sigmoid(attention.spatial_interaction(tokens)).numpy()
    yield Finding("gates of large activations: distance from 0.5", float(np.abs(gates - 0.5).max()), 0.5)
    mixed = attention.attend(tokens, window_grid((7, 7), 7, attention.num_heads)).numpy()
    values = attention.qkv(tokens).numpy()[..., -tokens.shape[-1] :]
    share = float(np.abs(mixed).max() / np.abs(values).max())
    yield Finding("attention of large activations: share of the largest value", share, 1)  # means of values


def auto_cast(level, dtype):
    """The finding on logits in mixed precision on a GPU."""
    x = images(0, 2, 3, 64, 64)
    expected = network()(x).numpy()
    half = fresh_network()
    if level == "O2":
        half = paddle.amp.decorate(half, level=level, dtype=dtype)
    with paddle.amp.auto_cast(level=level, dtype=dtype):
        outputs = half(x).astype("float32").numpy()
    return Finding(f"auto_cast {level} {dtype}: logits", error(outputs, expected), BOUNDS[dtype])


def broken_gradients(level):
    """The finding on gradients of a training step in mixed precision on a GPU: how many are not finite."""
    model = golden_model("MixFormer_B0")
    optimizer = paddle.optimizer.AdamW(1e-4, parameters=model.parameters())
    if level == "O2":
        model, optimizer = paddle.amp.decorate(model, optimizer, level=level)
    with paddle.amp.auto_cast(level=level):
        loss = model(100.0 * images(1, 8, 3, 64, 64)).square().mean()
    loss.backward()
    gradients = [p.grad.astype("float32").numpy() for p in model.parameters() if p.trainable]
    broken = sum(not np.isfinite(gradient).all() for gradient in gradients)
    return Finding(f"auto_cast {level} float16: gradients that are not finite", broken, 0)
