"""Test-time augmentation: flips and enlargements around the middle, averaged."""

import numpy as np
import paddle
import pytest

from ppcls_mixformer.hosting.errors import UserError
from ppcls_mixformer.paddleclas.scores import Averaged, to_logits
from ppcls_mixformer.predict import views

IMAGES = np.random.RandomState(0).rand(2, 3, 7, 10).astype("float32")


def seen(view):
    return views.seen(IMAGES, *views.matrices(view, 7, 10))


def test_what_the_flag_may_say():
    assert views.parse("") == [(False, 1.0)] and views.parse("flip") == [(False, 1.0), (True, 1.0)]
    assert views.parse(" 1.5 ,flip, 1.5") == [(False, 1.0), (True, 1.0), (False, 1.5), (True, 1.5)]
    for text in ("flop", "0.5", "5", "nan", "flip;1.2", "-1"):
        with pytest.raises(UserError, match="is no view; it takes flip and scales from 1 to 4"):
            views.parse(text)


def test_the_picture_itself_and_its_mirror_image_are_exact():
    assert np.array_equal(seen((False, 1.0)), IMAGES)
    assert np.array_equal(seen((True, 1.0)), IMAGES[:, :, :, ::-1])


def test_an_enlargement_keeps_the_middle_and_what_is_linear():
    ramp = np.broadcast_to(np.arange(10, dtype="float32"), (1, 1, 7, 10))
    found = views.seen(ramp, *views.matrices((False, 2.0), 7, 10))[0, 0, 0]
    np.testing.assert_allclose(found, (np.arange(10) - 4.5) / 2 + 4.5, atol=1e-5)
    constant = np.ones((1, 1, 7, 10), "float32")
    np.testing.assert_allclose(views.seen(constant, *views.matrices((True, 1.3), 7, 10)), 1, atol=1e-6)


class Network(paddle.nn.Layer):
    """Looks at the left half."""

    def forward(self, x):
        left = x[:, :, :, :5].mean([1, 2, 3])
        return paddle.stack([left * 9, 1 - left], 1)


@pytest.mark.parametrize("independent", [False, True])
def test_the_network_and_the_program_average_alike(independent):
    activation = paddle.nn.functional.sigmoid if independent else paddle.nn.functional.softmax
    asked = views.parse("flip,1.2")

    def run(images):
        return [activation(Network()(paddle.to_tensor(images))).numpy()]

    expected = np.mean([run(seen(view))[0] for view in asked], 0)
    np.testing.assert_allclose(views.averaged(run, asked)(IMAGES)[0], expected, atol=1e-6)
    logits = Averaged(Network(), asked, independent)(paddle.to_tensor(IMAGES))
    np.testing.assert_allclose(activation(logits).numpy(), expected, atol=1e-5)
    assert np.abs(expected - run(IMAGES)[0]).max() > 1e-3


def test_scores_of_zero_and_one_stay_finite():
    scores = paddle.to_tensor([[0.0, 1.0]])
    for independent in (False, True):
        assert bool(paddle.isfinite(to_logits(scores, independent)).all())
