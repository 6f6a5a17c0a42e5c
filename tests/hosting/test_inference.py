"""Exported programs: those that oneDNN refuses are known beforehand, damaged ones are named."""

import numpy as np
import paddle
import paddle.nn.functional as F
import pytest

from ppcls_mixformer.hosting.errors import UserError
from ppcls_mixformer.hosting.inference import SUFFIXES, find_program, input_shapes, onednn_refuses, predictor


class Doubled(paddle.nn.Layer):
    """A convolution, whose output is doubled in height and width."""

    def __init__(self, double):
        super().__init__()
        self.conv = paddle.nn.Conv2D(1, 4, 1)
        self.double = double

    def forward(self, x):
        return self.double(self.conv(x)) + 1


def volume(x):
    return F.interpolate(x.unsqueeze(2), [1, 8, 8], mode="trilinear", data_format="NCDHW").squeeze(2)


@pytest.mark.parametrize(
    "double",
    [
        pytest.param(lambda x: F.interpolate(x, [8, 8], mode="bilinear"), id="bilinear"),
        pytest.param(lambda x: F.interpolate(x, scale_factor=2, mode="nearest"), id="nearest"),
        pytest.param(volume, id="volume"),
        pytest.param(F.relu, id="none"),
    ],
)
def test_a_program_that_onednn_refuses_is_known(tmp_path, double):
    layer = Doubled(double)
    layer.eval()
    spec = [paddle.static.InputSpec([None, 1, 4, 4], "float32")]
    graph = paddle.jit.to_static(layer, input_spec=spec, full_graph=True)
    paddle.jit.save(graph, str(tmp_path / "inference"))
    program = find_program(tmp_path)
    x = np.random.RandomState(0).standard_normal((2, 1, 4, 4)).astype("float32")
    if onednn_refuses(program):
        with pytest.raises(NotImplementedError, match="DoubleAttribute"):
            predictor(program)(x)
    else:
        expected = layer(paddle.to_tensor(x)).numpy()
        np.testing.assert_allclose(predictor(program)(x)[0], expected, rtol=0, atol=1e-5)


DAMAGED = [(".json", "{}"), (".json", "[1]"), (".pdmodel", "none")]


@pytest.mark.parametrize("suffix, content", [pair for pair in DAMAGED if pair[0] in SUFFIXES])
def test_a_program_that_paddle_cannot_read_is_named_in_one_line(tmp_path, suffix, content):
    layer = paddle.nn.Linear(4, 2)
    spec = [paddle.static.InputSpec([None, 4], "float32")]
    paddle.jit.save(paddle.jit.to_static(layer, input_spec=spec, full_graph=True), f"{tmp_path}/inference")
    program = tmp_path / f"inference{suffix}"
    program.write_text(content)
    for read in (predictor, input_shapes):
        with pytest.raises(UserError, match=f"inference{suffix} cannot be read by paddlepaddle") as error:
            read(program)
        assert "\n" not in error.value.args[0]
