"""Mixed precision: outputs within bounds of float32, and no overflow.

Paddle's auto_cast does nothing on CPU, where convolutions have no kernel in half precision; there the
outputs of all layers are rounded to the half type instead. The real thing is tested where a GPU is.
"""

import numpy as np
import paddle
import pytest
from golden import golden_model, images
from paddle import nn

from ppcls_mixformer.network.windows import window_grid

# Largest error of a logit over the standard deviation of all: fp16 has 11 significant bits, bf16 has 8.
BOUNDS = {"float16": 0.02, "bfloat16": 0.15}
FLOAT16_MAX = 65504

needs_gpu = pytest.mark.skipif(
    not paddle.is_compiled_with_cuda() or paddle.device.cuda.device_count() == 0,
    reason="AMP needs a GPU: Paddle's auto_cast does nothing on CPU",
)


@pytest.fixture(scope="module")
def model():
    model = golden_model("MixFormer_B0")
    model.eval()
    return model


def hooked(model, x, hook):
    """Output of `model` with `hook` on the output of every layer."""
    hooks = [layer.register_forward_post_hook(hook) for layer in model.sublayers() if not layer.sublayers()]
    try:
        with paddle.no_grad():
            return model(x).numpy()
    finally:
        for handle in hooks:
            handle.remove()


@pytest.mark.parametrize("dtype", BOUNDS)
@pytest.mark.parametrize("factor", [1.0, 100.0])
def test_rounded_layers_stay_near_float32(model, dtype, factor):
    x = factor * images(0, 2, 3, 64, 64)
    expected = model(x).numpy()
    rounded = hooked(model, x, lambda layer, inputs, output: output.astype(dtype).astype("float32"))
    assert 0 < np.abs(rounded - expected).max() < BOUNDS[dtype] * expected.std()


def test_no_layer_leaves_the_range_of_float16(model):
    largest = {}

    def measure(layer, inputs, output):
        largest[layer.full_name()] = float(output.abs().max())

    hooked(model, 100.0 * images(0, 2, 3, 64, 64), measure)
    assert largest and max(largest.values()) < FLOAT16_MAX, max(largest.items(), key=lambda item: item[1])


def test_gates_and_attention_stand_large_activations(model):
    attention = model.layers[2].blocks[0].attn
    tokens = 1000.0 * images(0, 1, 49, attention.proj_attn.weight.shape[1])
    gates = nn.functional.sigmoid(attention.spatial_interaction(tokens)).numpy()
    assert np.isfinite(gates).all() and gates.min() >= 0 and gates.max() <= 1
    mixed = attention.attend(tokens, window_grid((7, 7), 7, attention.num_heads)).numpy()
    values = attention.qkv(tokens).numpy()[..., -tokens.shape[-1] :]
    assert np.isfinite(mixed).all() and np.abs(mixed).max() <= np.abs(values).max()  # means of values


@needs_gpu
@pytest.mark.parametrize("dtype", BOUNDS)
@pytest.mark.parametrize("level", ["O1", "O2"])
def test_auto_cast(model, level, dtype):
    x = images(0, 2, 3, 64, 64)
    expected = model(x).numpy()
    half = golden_model("MixFormer_B0")
    half.eval()
    if level == "O2":
        half = paddle.amp.decorate(half, level=level, dtype=dtype)
    with paddle.amp.auto_cast(level=level, dtype=dtype):
        outputs = half(x).astype("float32").numpy()
    assert np.abs(outputs - expected).max() < BOUNDS[dtype] * expected.std()


@needs_gpu
@pytest.mark.parametrize("level", ["O1", "O2"])
def test_training_step_has_finite_gradients(level):
    model = golden_model("MixFormer_B0")
    optimizer = paddle.optimizer.AdamW(1e-4, parameters=model.parameters())
    if level == "O2":
        model, optimizer = paddle.amp.decorate(model, optimizer, level=level)
    with paddle.amp.auto_cast(level=level):
        loss = model(100.0 * images(1, 8, 3, 64, 64)).square().mean()
    loss.backward()
    assert all(np.isfinite(p.grad.astype("float32").numpy()).all() for p in model.parameters() if p.trainable)
