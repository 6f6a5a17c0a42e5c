"""The layers on tokens against Paddle's own."""

import numpy as np
import paddle
import pytest
from golden import images
from paddle import nn

from benchmarks.flops import multiply_adds
from ppcls_mixformer import MixFormer_B0
from ppcls_mixformer.hosting import paddle_bridges
from ppcls_mixformer.network import layers
from ppcls_mixformer.network.fine_tuning import freeze
from ppcls_mixformer.network.windows import patches


def as_tokens(x):
    return x.flatten(2).transpose([0, 2, 1])


def gradients(outputs, tensors):
    """Gradients of a loss that weighs every output differently; none for what is frozen."""
    for tensor in tensors.values():
        tensor.clear_grad()
    if not outputs.stop_gradient:
        (outputs * images(3, *outputs.shape)).sum().backward()
    return {name: None if t.grad is None else t.grad.numpy() for name, t in tensors.items()}


def assert_same(found, expected):
    for name, gradient in expected.items():
        if gradient is None:
            assert found[name] is None, name
        else:
            np.testing.assert_allclose(found[name], gradient, rtol=1e-5, atol=1e-4, err_msg=name)


@pytest.mark.parametrize("frozen", [(), ("weight",), ("bias",), ("weight", "bias"), ("x",)])
def test_linear_has_the_outputs_and_gradients_of_paddles_own(frozen):
    layer = layers.Linear(4, 6)
    tensors = {"x": images(2, 3, 5, 4), "weight": layer.weight, "bias": layer.bias}
    for name, tensor in tensors.items():
        tensor.stop_gradient = name in frozen
    found, expected = layer(tensors["x"]), nn.functional.linear(tensors["x"], layer.weight, layer.bias)
    np.testing.assert_allclose(found.numpy(), expected.numpy(), rtol=1e-5, atol=1e-5)
    assert_same(gradients(found, tensors), gradients(expected, tensors))


CONVOLUTIONS = {
    layers.PointwiseConv: lambda layer, x: layer(as_tokens(x)),
    layers.MapToTokensConv: lambda layer, x: layer(x),
    layers.PatchConv: lambda layer, x: layer(patches(as_tokens(x), (4, 6))),
}


@pytest.mark.parametrize("kind", CONVOLUTIONS, ids=lambda kind: kind.__name__)
def test_convolutions_have_the_outputs_and_gradients_of_paddles_own(kind):
    layer = kind(4, 6)
    layer.bias.set_value(images(1, 6))
    tensors = {"x": images(2, 3, 4, 4, 6), "weight": layer.weight, "bias": layer.bias}
    tensors["x"].stop_gradient = False
    found = CONVOLUTIONS[kind](layer, tensors["x"])
    expected = as_tokens(nn.Conv2D.forward(layer, tensors["x"]))
    np.testing.assert_allclose(found.numpy(), expected.numpy(), rtol=1e-5, atol=1e-5)
    assert_same(gradients(found, tensors), gradients(expected, tensors))


def random_norm(norm):
    for seed, value in enumerate(norm.state_dict().values()):
        value.set_value(images(seed, *value.shape) ** 2 + 0.5)
    return norm


@pytest.mark.parametrize("mode", ["training", "evaluation", "global statistics"])
def test_a_convolution_and_its_norm_are_as_paddles_own_one_after_the_other(mode):
    conv = nn.Conv2D(4, 4, 3, padding=1, groups=4)
    conv.bias.set_value(images(1, 4))
    pairs = [random_norm(nn.BatchNorm2D(4)) for _ in range(2)]
    for norm in pairs:
        norm.train() if mode == "training" else norm.eval()
        norm._use_global_stats = True if mode == "global statistics" else None
    x = images(2, 3, 4, 5, 6)
    x.stop_gradient = False
    results = []
    for norm, function in zip(pairs, (layers.conv_bn, lambda conv, norm, x: norm(conv(x)))):
        tensors = {"x": x, "weight": conv.weight, "scale": norm.weight, "shift": norm.bias}
        outputs = function(conv, norm, x)
        results.append((outputs.numpy(), gradients(outputs, tensors), norm._mean.numpy(), norm._variance))
    for found, expected in zip(results[0][::2], results[1][::2]):
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
    assert_same(results[0][1], results[1][1])
    np.testing.assert_allclose(results[0][3].numpy(), results[1][3].numpy(), rtol=1e-5)


def test_a_convolution_and_its_norm_may_be_of_double_precision():
    conv, norm = nn.Conv2D(3, 4, 3).to(dtype="float64"), random_norm(nn.BatchNorm2D(4)).to(dtype="float64")
    outputs = layers.conv_bn(conv, norm, images(0, 2, 3, 5, 6).astype("float64"))
    outputs.sum().backward()
    assert outputs.dtype == paddle.float64 and norm.bias.grad.dtype == paddle.float64


@pytest.mark.parametrize("mode", ["training", "evaluation"])
@pytest.mark.parametrize("frozen", ["conv", "norm"])
def test_a_convolution_learns_in_front_of_a_frozen_norm_and_the_other_way_round(frozen, mode):
    pair = {"conv": nn.Conv2D(3, 4, 3), "norm": nn.BatchNorm2D(4)}
    freeze([pair[frozen]])
    pair["norm"].training = mode == "training"
    tensors = {f"{name}.{n}": p for name, layer in pair.items() for n, p in layer.named_parameters()}
    x = images(0, 2, 3, 5, 6)
    found = gradients(layers.conv_bn(pair["conv"], pair["norm"], x), tensors)
    assert_same(found, gradients(pair["norm"](pair["conv"](x)), tensors))


def test_a_weight_that_a_hook_makes_is_the_one_that_is_used():
    stem, x = layers.ConvNormAct(nn.Conv2D(3, 4, 3), nn.BatchNorm2D(4), nn.GELU()), images(0, 1, 3, 8, 8)
    stem.eval()
    before = stem(x).numpy()
    nn.utils.weight_norm(stem[0])
    stem[0].weight_g.set_value(2 * stem[0].weight_g)
    assert np.abs(stem(x).numpy() - before).max() > 0.01


def test_a_batch_norm_of_tokens_is_that_of_all_their_positions():
    ours, paddles = random_norm(layers.TokenBatchNorm(4)), random_norm(nn.BatchNorm1D(4))
    x = images(0, 3, 5, 4)
    np.testing.assert_allclose(
        ours(x).numpy(), paddles(x.reshape([15, 4])).numpy().reshape(3, 5, 4), atol=1e-5
    )
    np.testing.assert_allclose(ours._mean.numpy(), paddles._mean.numpy(), rtol=1e-5)


def test_every_kind_of_batch_norm_is_one_and_no_other_norm_is():
    norms = [nn.BatchNorm1D(4), nn.BatchNorm2D(4), nn.SyncBatchNorm(4), layers.TokenBatchNorm(4)]
    assert all(map(layers.is_batch_norm, norms))
    assert not any(map(layers.is_batch_norm, [nn.LayerNorm(4), nn.GroupNorm(2, 4), nn.Identity()]))


def test_stochastic_depth_drops_whole_samples_in_training_only():
    drop, x = layers.DropPath(0.5), paddle.ones([64, 6, 3])
    dropped = drop(x).numpy().reshape(64, -1)
    assert set(np.unique(dropped)) == {0.0, 2.0} and (dropped.std(1) == 0).all()
    drop.eval()
    assert drop(x) is x
    assert layers.DropPath(0.0)(x) is x


def test_stochastic_depth_drops_as_often_as_its_rate_says():
    kept = layers.DropPath(0.2)(paddle.ones([20000, 1, 1])).numpy()
    assert (kept > 0).mean() == pytest.approx(0.8, abs=0.015)
    assert kept.mean() == pytest.approx(1.0, abs=0.02)


def test_masks_of_one_draw_have_rates_of_their_own():
    masks = layers.drop_masks([0.0, 0.2, 0.5], 20000)
    assert [mask.shape for mask in masks] == [[20000, 1, 1]] * 3
    for mask, rate in zip(masks, [0.0, 0.2, 0.5]):
        kept = mask.numpy()
        assert set(np.unique(kept)) <= {np.float32(0), np.float32(1) / np.float32(1 - rate)}
        assert (kept > 0).mean() == pytest.approx(1 - rate, abs=0.015)
    assert abs(np.corrcoef(masks[1].numpy().ravel(), masks[2].numpy().ravel())[0, 1]) < 0.03


def attention_products(model, sizes):
    """Multiply-adds of queries by keys and of weights by values, which no layer does."""
    total = 0
    for stage, dim, (height, width) in zip(model.layers, model.stage_dims, sizes):
        windows = -(-height // 7) * -(-width // 7)
        total += len(stage.blocks) * 2 * windows * 49**2 * dim // 2
    return total


def rest_of_paddles_counter(model, x):
    """What Paddle counts besides: one for each output of its own convolutions, two for those of its norms."""
    total = 0

    def add(layer, inputs, output):
        nonlocal total
        total += output.size * (2 if type(layer) is nn.BatchNorm2D else 1)

    hooks = [
        layer.register_forward_post_hook(add)
        for layer in model.sublayers()
        if type(layer) in (nn.Conv2D, nn.BatchNorm2D)
    ]
    model(x)
    for hook in hooks:
        hook.remove()
    return total


def test_paddles_counter_counts_all_but_the_attention_products():
    model, x = MixFormer_B0(), images(0, 1, 3, 64, 64)
    model.eval()
    products = attention_products(model, [(16, 16), (8, 8), (4, 4), (2, 2)])
    paddle_bridges.numbers_of_one_element()
    counted = paddle.flops(model, [1, 3, 64, 64], custom_ops=layers.flops_counters())
    assert counted - rest_of_paddles_counter(model, x) == multiply_adds(model, x) - products > 0
