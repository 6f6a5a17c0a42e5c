"""Adaptive average pooling by products: Paddle's numbers, and a graph that becomes an ONNX file."""

import numpy as np
import paddle
import paddle.nn.functional as F
import pytest
from commands import HAS_ONNX

from ppcls_mixformer.hosting import onnx
from ppcls_mixformer.hosting.inference import find_program
from ppcls_mixformer.hosting.pooling import pool, pooling_by_products

BINS = [2, 3, 6, (1, 4), (5, None)]


def noise(*shape):
    return np.random.RandomState(0).standard_normal(shape).astype("float32")


@pytest.mark.parametrize("size", [(6, 12), (7, 5), (1, 2), (16, 67)])
@pytest.mark.parametrize("rows, columns", [(1, 1), (2, 2), (3, 3), (6, 6), (4, 7), (None, 3)])
def test_averages_are_those_of_paddle(size, rows, columns):
    x = paddle.to_tensor(noise(2, 3, *size))
    expected = F.adaptive_avg_pool2d(x, (rows, columns))
    np.testing.assert_allclose(pool(x, rows, columns).numpy(), expected.numpy(), rtol=0, atol=1e-6)


class Pooled(paddle.nn.Layer):
    """Pools by function and by layer; a program without parameters cannot be loaded."""

    def __init__(self):
        super().__init__()
        self.conv = paddle.nn.Conv2D(3, 2, 1)
        self.layers = paddle.nn.LayerList(paddle.nn.AdaptiveAvgPool2D(bins) for bins in BINS)

    def forward(self, x):
        x = self.conv(x)
        maps = [layer(x) for layer in self.layers] + [F.adaptive_avg_pool2d(x, 3)]
        return [each.flatten(2) * F.adaptive_avg_pool2d(x, 1).flatten(2) for each in maps]


@pytest.mark.skipif(not HAS_ONNX, reason="there is no paddle2onnx")
@pytest.mark.parametrize("shape", [[None, 3, None, None], [2, 3, 17, 11]], ids=["open", "fixed"])
def test_a_pooled_map_of_any_size_becomes_an_onnx_file(tmp_path, shape):
    network = Pooled()
    network.eval()
    spec = [paddle.static.InputSpec(shape, "float32", name="x")]
    with pooling_by_products():
        graph = paddle.jit.to_static(network, input_spec=spec, full_graph=True)
        paddle.jit.save(graph, str(tmp_path / "inference"))
    assert F.adaptive_avg_pool2d.__module__.startswith("paddle")
    onnx.convert(find_program(tmp_path), tmp_path / "inference.onnx")
    runtime, network = onnx.session(tmp_path / "inference.onnx"), Pooled.forward.__get__(network)
    for x in onnx.trials(shape, [(1, 17, 11), (2, 4, 33), (3, 32, 32)]):
        found, expected = runtime.run(None, {"x": x}), network(paddle.to_tensor(x))
        assert len(found) == len(BINS) + 1
        for mine, theirs in zip(found, expected):
            np.testing.assert_allclose(mine, theirs.numpy(), rtol=0, atol=1e-6)
