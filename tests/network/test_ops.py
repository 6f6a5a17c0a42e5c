"""The operators: right in the form for every device, and careful with what they write over."""

import numpy as np
import paddle
import pytest
from golden import golden_model, images

from ppcls_mixformer.network import ops


def training_step(x):
    """Logits and gradients of a training step of B0."""
    model = golden_model("MixFormer_B0")
    logits = model(x)
    logits.square().mean().backward()
    return logits.numpy(), {n: p.grad.numpy() for n, p in model.named_parameters() if p.grad is not None}


def test_the_forms_for_other_devices_give_the_same(monkeypatch):
    x = images(1, 4, 3, 33, 47)
    logits, gradients = training_step(x)
    monkeypatch.setattr(ops, "runs_on_cpu", lambda: False)
    other_logits, other_gradients = training_step(x)
    np.testing.assert_allclose(other_logits, logits, rtol=0, atol=1e-4)
    assert gradients.keys() == other_gradients.keys()
    largest = max(np.linalg.norm(gradient) for gradient in gradients.values())
    for name, gradient in gradients.items():
        distance = np.linalg.norm(other_gradients[name] - gradient)
        assert distance <= 1e-3 * np.linalg.norm(gradient) + 1e-6 * largest, name


@pytest.mark.parametrize("on_cpu", [True, False])
def test_transposed_axes(on_cpu, monkeypatch):
    monkeypatch.setattr(ops, "runs_on_cpu", lambda: on_cpu)
    x, weights = images(2, 3, 5, 4), images(3, 3, 4, 5)
    x.stop_gradient = False
    transposed = ops.transpose(x)
    (transposed * weights).sum().backward()
    np.testing.assert_array_equal(transposed.numpy(), x.numpy().transpose(0, 2, 1))
    np.testing.assert_array_equal(x.grad.numpy(), weights.numpy().transpose(0, 2, 1))


@pytest.mark.skipif(not ops.SLOW_VIEWS, reason="views are fast in this Paddle")
def test_transposed_axes_are_no_view_where_views_are_slow():
    assert ops.transpose(images(2, 3, 5, 4)).is_contiguous()


def test_tokens_taken_have_the_right_gradient():
    x, weights = images(0, 2, 4, 3), images(1, 2, 5, 3)
    x.stop_gradient = False
    index = [2, 0, 2, 3, 2]
    taken = ops.take(x, paddle.to_tensor(index))
    (taken * weights).sum().backward()
    expected = np.zeros([2, 4, 3], "float32")
    for row, position in enumerate(index):
        expected[:, position] += weights.numpy()[:, row]
    np.testing.assert_array_equal(taken.numpy(), x.numpy()[:, index])
    np.testing.assert_allclose(x.grad.numpy(), expected, rtol=1e-6)


def test_a_map_and_its_tokens_are_inverse():
    x = images(0, 2, 3, 4, 5)
    tokens = ops.map_to_tokens(x)
    np.testing.assert_array_equal(tokens.numpy()[1, 2 * 5 + 3], x.numpy()[1, :, 2, 3])
    np.testing.assert_array_equal(ops.tokens_to_map(tokens, (4, 5)).numpy(), x.numpy())


def test_padding_is_at_the_bottom_and_on_the_right():
    x = images(0, 2, 3, 4, 5)
    expected = np.pad(x.numpy(), [(0, 0), (0, 0), (0, 2), (0, 1)])
    np.testing.assert_array_equal(ops.pad_map(x, 2, 1).numpy(), expected)
    padded = ops.pad_tokens(ops.map_to_tokens(x), (4, 5), (6, 6))
    np.testing.assert_array_equal(ops.tokens_to_map(padded, (6, 6)).numpy(), expected)


def test_nothing_is_padded_where_nothing_is_missing():
    x = images(0, 2, 3, 4, 5)
    assert ops.pad_map(x, 0, 0) is x
    assert ops.pad_tokens(x, (3, 4), [3, 4]) is x


@pytest.mark.parametrize("shape", [[3], [5, 3], [2, 5, 3]])
def test_sums_and_softmax_write_over_their_input_in_evaluation_only(shape):
    for function in (
        lambda x: ops.add(x, images(1, *shape)),
        lambda x: ops.add_bias(x, images(1, 3)),
        ops.softmax,
    ):
        x = images(0, *shape)
        expected = function(x)
        assert expected is not x and (x.numpy() == images(0, *shape).numpy()).all()
        with paddle.no_grad():
            found = function(x)
        assert found is x
        np.testing.assert_array_equal(found.numpy(), expected.numpy())


def test_another_precision_keeps_its_type_and_its_input():
    x, y = images(0, 2, 3).astype("float64"), images(1, 3)
    before = x.numpy()
    with paddle.no_grad():
        assert ops.add_bias(x, y).dtype == paddle.float64
    np.testing.assert_array_equal(x.numpy(), before)


def test_nothing_is_cast_to_the_type_that_it_has():
    x = images(0, 2)
    assert ops.cast(x, paddle.float32) is x
    assert ops.cast(x, paddle.float64).dtype == paddle.float64
