"""The class of each pixel, found in parts, is the one that PaddleSeg finds in the logits of all classes."""

import importlib

import numpy as np
import paddle
import pytest

from ppcls_mixformer.hosting.errors import UserError


class Network(paddle.nn.Layer):
    """Logits of seven classes, many of them equal."""

    def __init__(self):
        super().__init__()
        self.conv = paddle.nn.Conv2D(3, 7, 3, padding=1)

    def forward(self, x):
        return [paddle.round(3 * self.conv(x))]


@pytest.fixture
def infer(host, monkeypatch):
    """PaddleSeg's module, for which a small picture is a large one."""
    from paddleseg.core import infer

    from ppcls_mixformer.paddleseg import pixels

    monkeypatch.setattr(pixels, "MOST", 5000)
    monkeypatch.setattr(pixels, "LARGE", 100)
    return infer


COLLATED = [[["resize"], [paddle.to_tensor([100]), paddle.to_tensor([130])]]]  # as evaluation has it
WINDOWS = {"is_slide": True, "stride": (17, 9)}


@pytest.mark.parametrize(
    "name, changes, options",
    [
        ("inference", [("resize", (120, 100)), ("padding", (55, 70))], {}),
        ("inference", COLLATED, {}),
        ("aug_inference", [("resize", (120, 100))], {"scales": [0.5, 1.0], "flip_horizontal": True}),
        ("inference", [], {**WINDOWS, "crop_size": (30, 20)}),
        ("inference", [("padding", (55, 70))], {**WINDOWS, "crop_size": [30, 200]}),
        ("inference", [("resize", (120, 100))], {**WINDOWS, "crop_size": (300, 20)}),
    ],
)
def test_classes_and_logits_are_those_of_paddleseg(infer, name, changes, options):
    paddle.seed(0)
    call, arguments = getattr(infer, name), (Network(), paddle.randn([1, 3, 61, 83]))
    with paddle.no_grad():
        expected, expected_logits = call.bridged(*arguments, trans_info=changes, **options)
        classes, logits = call(*arguments, trans_info=changes, **options)
        assert callable(logits) and np.array_equal(logits(), expected_logits)
    assert classes.dtype == expected.dtype and np.array_equal(classes, expected)
    assert len(np.unique(classes)) > 3


def test_never_are_all_logits_there_at_once(infer, monkeypatch):
    sizes, original = [], infer.reverse_transform

    def reverse_transform(logits, *args, **kwargs):
        result = original(logits, *args, **kwargs)
        sizes.append(result.size)
        return result

    monkeypatch.setattr(infer, "reverse_transform", reverse_transform)
    picture, changes = paddle.randn([1, 3, 16, 16]), [("resize", (40, 50))]
    assert callable(infer.inference(Network(), picture, trans_info=changes)[1])
    assert max(sizes) <= 5000 and sum(sizes) >= 7 * 40 * 50


def test_small_pictures_have_logits(infer):
    _, logits = infer.inference(Network(), paddle.randn([1, 3, 8, 8]), trans_info=[("resize", (9, 11))])
    assert logits.shape == [1, 7, 9, 11]


def test_evaluation_takes_the_logits_where_it_needs_them(infer):
    evaluation = importlib.import_module("paddleseg.core.val")
    _, logits = infer.inference(Network(), paddle.randn([1, 3, 16, 16]), trans_info=[("resize", (40, 50))])
    shares = evaluation.F.softmax(logits, axis=1)
    assert shares.shape == [1, 7, 40, 50] and np.allclose(shares.sum(1), 1)


def test_a_picture_that_needs_more_memory_than_is_left_is_refused(infer, monkeypatch):
    from ppcls_mixformer.paddleseg import pixels

    network, picture = Network(), paddle.randn([1, 3, 160, 200])
    each = pixels.bytes_of_a_pixel(network, picture)
    if each is None:
        pytest.skip("this Paddle does not tell how much memory it takes")
    assert 7 * 4 <= each < 1000  # that of the logits, and what is computed on the way
    need = 160 * 200 * each
    monkeypatch.setattr(pixels.memory, "available", lambda: 1.01 * need)
    assert infer.inference(network, picture, trans_info=[])[0].shape == [1, 1, 160, 200]
    text = "^200x160 pixels in the network as a whole need about .* windows: --is_slide"
    with pytest.raises(UserError, match=text):
        infer.aug_inference(network, picture, trans_info=[], scales=[1.0, 1.25])
    monkeypatch.setattr(pixels.memory, "available", lambda: 0.99 * need)
    with pytest.raises(UserError, match=text):
        infer.inference(network, picture, trans_info=[])
    windows = {**WINDOWS, "crop_size": (30, 20)}
    assert infer.inference(network, picture, trans_info=[], **windows)[0].shape == [1, 1, 160, 200]
