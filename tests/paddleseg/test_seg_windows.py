"""Sliding windows in exported programs: the maps of PaddleSeg's own, at any size."""

import numpy as np
import paddle
import pytest
from commands import HAS_ONNX
from segmentation import WINDOWS, noise

from ppcls_mixformer.hosting import onnx
from ppcls_mixformer.hosting.inference import predictor

SHAPES = {name: WINDOWS[name] for name in ("crop_size", "stride")}
SIZES = [(1, 3, 90, 120), (2, 3, 91, 350), (1, 3, 301, 60), (2, 3, 70, 171)]  # a window, and more, and less


class Blurred(paddle.nn.Layer):
    """A network whose maps tell where a window ends: it sees zeros there."""

    def __init__(self):
        super().__init__()
        paddle.seed(0)
        self.conv = paddle.nn.Conv2D(3, 4, 9, padding=4)

    def forward(self, x):
        return [self.conv(x)]


@pytest.fixture(scope="module")
def windowed(host):
    """A network, and the same on windows."""
    from ppcls_mixformer.paddleseg.export import windowed

    network = Blurred()
    return network, windowed(network, WINDOWS)


def expected_of(network, x):
    """What PaddleSeg's windows give for pictures, which it takes one by one."""
    from paddleseg.core.infer import slide_inference

    found = [slide_inference(network, paddle.to_tensor(each[None]), **SHAPES) for each in x]
    return paddle.concat(found).numpy()


def test_exported_windows_are_those_of_paddleseg(windowed, tmp_path):
    from ppcls_mixformer.paddleseg.export import trials_of, write_program

    network, model = windowed
    program = write_program(model, [], [None, 3, None, None], "none", tmp_path)
    readers = [predictor(program, onednn=onednn) for onednn in (True, False)]
    if HAS_ONNX:
        onnx.convert(program, tmp_path / "model.onnx")
        readers.append(onnx.runner(tmp_path / "model.onnx"))
    for size in SIZES:
        x = noise(size)
        for run in readers:
            np.testing.assert_allclose(run(x)[0], expected_of(network, x), rtol=0, atol=1e-5)
    assert [x.shape for x in trials_of([None, 3, None, None], WINDOWS)][-1] == (1, 3, 160, 170)


def test_windows_of_a_fixed_size(windowed, tmp_path):
    from ppcls_mixformer.paddleseg.export import write_program

    network, model = windowed
    x = noise((2, 3, 100, 200))
    run = predictor(write_program(model, [], [2, 3, 100, 200], "none", tmp_path))
    np.testing.assert_allclose(run(x)[0], expected_of(network, x), rtol=0, atol=1e-5)
