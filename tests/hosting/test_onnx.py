"""Conversion to ONNX: what paddle2onnx gets wrong is put right, and what is missing is named."""

import re

import numpy as np
import paddle
import paddle.nn.functional as F
import pytest
from commands import HAS_ONNX

from ppcls_mixformer.hosting import onnx
from ppcls_mixformer.hosting.errors import UserError
from ppcls_mixformer.hosting.inference import find_program


class Padded(paddle.nn.Layer):
    """Pads twice, with different values. A program without parameters cannot be loaded."""

    def __init__(self):
        super().__init__()
        self.conv = paddle.nn.Conv2D(1, 1, 1)

    def forward(self, x):
        return F.pad(self.conv(F.pad(x, [0, 1, 0, 1], value=7.0)), [2, 0, 0, 1], value=-3.0)


def write(layer, folder):
    """Exports `layer`, which takes maps of one channel and any batch, and gives its program."""
    layer.eval()
    spec = [paddle.static.InputSpec([None, 1, 3, 5], "float32")]
    program = paddle.jit.to_static(layer, input_spec=spec, full_graph=True)
    paddle.jit.save(program, str(folder / "inference"))
    return find_program(folder)


@pytest.mark.skipif(not HAS_ONNX, reason="there is no paddle2onnx")
def test_padding_keeps_its_values(tmp_path):
    layer = Padded()
    onnx.convert(write(layer, tmp_path), tmp_path / "inference.onnx")
    x = np.random.RandomState(0).standard_normal((2, 1, 3, 5)).astype("float32")
    session = onnx.session(tmp_path / "inference.onnx")
    found = session.run(None, {session.get_inputs()[0].name: x})[0]
    np.testing.assert_allclose(found, layer(paddle.to_tensor(x)).numpy(), rtol=0, atol=1e-6)


@pytest.mark.parametrize("present", ["", "0.9.2"], ids=["none", "one for another Paddle"])
def test_the_paddle2onnx_that_this_paddle_needs_is_named(monkeypatch, present):
    monkeypatch.setattr(onnx, "installed", lambda package: present)
    command = re.escape(f"pip install paddle2onnx=={onnx.paddle2onnx_release()}")
    with pytest.raises(UserError, match=f"--onnx needs .* on paddlepaddle .*: {command}"):
        onnx.require("--onnx")
