"""What is computed of a network: each against the same taken by hand, on maps that need padding."""

import numpy as np
import paddle
import pytest

from ppcls_mixformer import MixFormer
from ppcls_mixformer.understand import saliency

SIDE = 4
SMALL = {
    "class_num": 5,
    "embed_dim": 16,
    "depths": (1, 2, 1, 1),
    "num_heads": (1, 2, 4, 8),
    "window_size": SIDE,
}


@pytest.fixture(scope="module")
def network():
    """A small one, with statistics and biases that are not those of the start."""
    paddle.seed(3)
    network = MixFormer(**SMALL)
    network.train()
    with paddle.no_grad():
        for parameter in filter(lambda parameter: not parameter.stop_gradient, network.parameters()):
            parameter.set_value(parameter + 0.05 * paddle.randn(parameter.shape))
        network(paddle.randn([4, 3, 64, 64]))
    network.eval()
    return network


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).normal(size=(2, 3, 52, 68)).astype("float32")


def in_double(network):
    """The same network in float64, in which finite differences are exact."""
    paddle.set_default_dtype("float64")
    try:
        double = MixFormer(**SMALL)
    finally:
        paddle.set_default_dtype("float32")
    for own, other in zip(double.state_dict().values(), network.state_dict().values()):
        own.set_value(other.astype(own.dtype))
    double.eval()
    return double


def onwards(network, number, tokens, size):
    """Logits from the output of stage `number` on, as the network has them."""
    for previous, stage in zip(list(network.layers)[number:], list(network.layers)[number + 1 :]):
        tokens, size = previous.downsample(tokens, size)
        tokens = stage(tokens, size)
    features = paddle.nn.functional.gelu(network.last_proj(network.norm(tokens))).mean(1)
    return network.head(features)


def kept(layer, network, images):
    """Input and output of a layer, by a hook of the test's own."""
    found = []
    hook = layer.register_forward_post_hook(lambda layer, inputs, output: found.append((inputs[0], output)))
    with paddle.no_grad():
        network(paddle.to_tensor(images))
    hook.remove()
    return tuple(tensor.numpy() for tensor in found[0])


def softmax(x):
    x = np.exp(x - x.max(axis=-1, keepdims=True))
    return x / x.sum(axis=-1, keepdims=True)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


@pytest.mark.parametrize("number", range(4))
def test_grad_cam_is_that_of_gradients_by_finite_differences(network, images, number):
    classes = [4, 1]
    network = in_double(network)
    trace = saliency.trace(network, images.astype("float64"))
    cams = saliency.grad_cams(trace, classes)[number]
    stage, step = trace.stages[number], 1e-4
    for index, chosen in enumerate(classes):
        tokens = stage.tokens[index].detach()
        steps = step * paddle.eye(tokens.shape[1], dtype="float64").unsqueeze(
            1
        )  # each channel, at all places at once
        with paddle.no_grad():
            up, down = (onwards(network, number, tokens + s, stage.size)[:, chosen] for s in (steps, -steps))
        weights = (up - down).numpy() / (2 * step * tokens.shape[0])
        expected = np.maximum((tokens.numpy() * weights).sum(axis=1), 0).reshape(stage.size)
        assert expected.any()
        np.testing.assert_allclose(cams[index], expected, atol=1e-5 * expected.max())


def test_other_classes_can_be_asked_for_and_pictures_do_not_mix(network, images):
    trace = saliency.trace(network, images)
    both = saliency.grad_cams(trace, [0, 0]), saliency.grad_cams(trace, [2, 2])
    for first, second, alone in zip(*both, saliency.grad_cams(saliency.trace(network, images[1:]), [2])):
        assert not np.allclose(first, second)
        np.testing.assert_allclose(second[1:], alone, atol=1e-5)


def test_gates_are_the_sigmoid_of_what_passes_the_layer(network, images):
    stages = saliency.trace(network, images).stages
    for stage, layer in zip(stages, network.layers):
        found = saliency.gates(stage)
        assert found.shape == (2, len(layer.blocks), *stage.size)
        for number, block in enumerate(layer.blocks):
            _, output = kept(block.attn.spatial_interaction, network, images)
            padded = [-(-side // SIDE) * SIDE for side in stage.size]
            expected = sigmoid(output.reshape([2, *padded]))[:, : stage.size[0], : stage.size[1]]
            np.testing.assert_allclose(found[:, number], expected, rtol=1e-5)
            assert found[:, number].std() > 1e-4


@pytest.mark.parametrize("number", range(4))
def test_attention_is_the_product_by_hand(network, images, number):
    stages = saliency.trace(network, images).stages
    block, layer = stages[number].blocks[-1], network.layers[number].blocks[-1].attn
    rows, columns = (-(-side // SIDE) for side in stages[number].size)
    _, qkv = kept(layer.qkv, network, images)
    parts = qkv.reshape([2, rows, SIDE, columns, SIDE, 3, layer.num_heads, -1])
    table, index = layer.relative_position_bias_table.numpy(), layer.relative_position_index.numpy()
    window = rows * columns - 1  # the last one, of which a part is padding
    query, key = (
        parts[:, rows - 1, :, columns - 1, :, part].reshape([2, SIDE**2, layer.num_heads, -1])
        for part in (0, 1)
    )
    products = np.einsum("nqhd,nkhd->nhqk", query, key) * query.shape[-1] ** -0.5
    expected = softmax(products + table[index].transpose(2, 0, 1))
    found = saliency.attention_matrix(block, window)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    np.testing.assert_allclose(found.sum(axis=-1), 1, rtol=1e-5)


def test_attention_is_what_the_network_weighs_its_values_with(network, images):
    stages = saliency.trace(network, images).stages
    layer, block = network.layers[1].blocks[1].attn, stages[1].blocks[1]
    gated, _ = kept(layer.spatial_interaction, network, images)
    _, channels = kept(layer.channel_interaction, network, images)
    windows = block.grid.padded[0] * block.grid.padded[1] // SIDE**2
    matrices = np.stack([saliency.attention_matrix(block, window) for window in range(windows)], axis=1)
    values = block.grid.split(block.qkv)[2]
    mixed = paddle.matmul(paddle.to_tensor(matrices.reshape([-1, *matrices.shape[2:]])), values)
    np.testing.assert_allclose(block.grid.merge(mixed).numpy() * sigmoid(channels), gated, atol=1e-5)


def test_the_window_of_a_position(network, images):
    stages = saliency.trace(network, images).stages
    assert stages[0].size == (13, 17) and stages[0].stride == 4
    block = stages[0].blocks[0]
    window = saliency.attention(block, 12, 6)
    assert (window.top, window.left) == (12, 4)
    matrix = saliency.attention_matrix(block, 3 * 5 + 1)  # five windows in a row
    np.testing.assert_allclose(window.weights.reshape([2, 1, -1]), matrix[:, :, 0 * SIDE + 2], rtol=1e-6)
    outside = window.weights[:, :, 1:].sum(axis=(1, 2, 3))  # of the window, the first row is on the map
    np.testing.assert_allclose(window.padding, outside, rtol=1e-4)
    assert (outside > 0.1).all()
    assert saliency.attention(block, 0, 0).padding == pytest.approx(0, abs=1e-5)


def test_the_network_stays_as_it_was(network, images):
    with paddle.no_grad():
        before = network(paddle.to_tensor(images)).numpy()
    network.head.bias.stop_gradient = True
    trace = saliency.trace(network, images)
    saliency.grad_cams(trace, [0, 1])
    np.testing.assert_allclose(trace.logits.numpy(), before, atol=1e-5)
    frozen = [name for name, parameter in network.named_parameters() if parameter.stop_gradient]
    assert [name for name in frozen if not name.endswith(("._mean", "._variance"))] == ["head.bias"]
    network.head.bias.stop_gradient = False
    assert not [layer for layer in network.sublayers() if layer._forward_post_hooks]
    assert all(p.grad is None for p in network.parameters())
