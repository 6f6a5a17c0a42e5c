"""What an exported program does to the size of pictures: what PaddleSeg does, or it says that it does not."""

import random

import numpy as np
import paddle
import pytest
from commands import HAS_ONNX
from segmentation import CHAINS, CONFIG, NORMALIZE, PICTURES, build

from ppcls_mixformer.hosting import onnx

OPEN = [None, 3, None, None]
RESIZE = {"type": "ResizeByLong", "long_size": 99}
SEEN = [(750, 1000), (1000, 750), (683, 1024), (600, 800)]  # halves of pixels among what they become


@pytest.fixture(scope="module")
def sizes(host):
    from ppcls_mixformer.paddleseg import sizes

    return sizes


def some_transforms(rng):
    """A transform of each kind with arguments by chance, none of which PaddleSeg refuses."""
    from paddleseg import transforms as of

    side = rng.choice([512, 513, 682, 341, rng.randint(40, 900)])
    yield of.Resize((2048, 512), keep_ratio=True)
    yield of.Resize((side, 300), keep_ratio=True, size_divisor=rng.choice([None, 7, 32, 48]))
    yield of.Resize((side, 300), size_divisor=rng.choice([None, 7, 32, 48]))
    yield of.ResizeByLong(side)
    yield of.ResizeByShort(side, max_size=rng.choice([1e10, 900, 1333]))
    yield of.LimitLong(side, rng.randint(20, side))
    yield of.LimitLong(None, side)
    yield of.LimitLong(side)
    yield of.Padding((1600, 1500), im_padding_value=0)
    yield of.PaddingByAspectRatio(rng.choice([1, 1.5, 16 / 9]))


def test_sizes_are_those_of_opencv(sizes):
    rng = random.Random(0)
    for n in range(150):
        size = SEEN[n % 4] if n < 60 else (rng.randint(90, 1500), rng.randint(90, 1500))
        for transform in some_transforms(rng):
            found = sizes.TARGETS[type(transform)](transform, *map(sizes._number, size))
            sample = {"img": np.zeros(size, "uint8"), "trans_info": [], "gt_fields": []}
            expected = transform(sample)["img"].shape[:2]
            assert [side.item() for side in found] == list(expected), (size, vars(transform))


def test_padding_has_the_color_that_it_has_in_front_of_normalize(sizes):
    from paddleseg import transforms as of

    picture = np.random.RandomState(0).rand(5, 4, 3).astype("float32")
    padding, normalize = of.Padding((9, 7)), of.Normalize(NORMALIZE["mean"], NORMALIZE["std"])
    (place,), (step,), strange = sizes.split([padding, normalize])
    assert (place, strange) == (1, None)
    expected = normalize(padding({"img": picture.copy(), "trans_info": []}))["img"]
    x = normalize({"img": picture.copy()})["img"].transpose(2, 0, 1)[None]
    padded = step.do(paddle.to_tensor(x))
    np.testing.assert_allclose(padded.numpy()[0].transpose(1, 2, 0), expected, atol=1e-6)
    np.testing.assert_allclose(step.undo(padded, [5, 4]).numpy(), x, atol=1e-6)


class Colors(paddle.nn.Layer):
    """A network that gives a list of one map."""

    def __init__(self):
        super().__init__()
        self.conv = paddle.nn.Conv2D(3, 4, 1)

    def forward(self, x):
        return [self.conv(x)]


@pytest.mark.skipif(not HAS_ONNX, reason="there is no paddle2onnx")
@pytest.mark.parametrize("chain", CHAINS)
def test_onnx_runtime_does_it_and_undoes_it(sizes, tmp_path, chain):
    from ppcls_mixformer.paddleseg.export import share_transforms, write_program

    _, steps = share_transforms(build(CONFIG, f"val_dataset.transforms={CHAINS[chain]}"), OPEN)
    assert len(steps) == len([each for each in CHAINS[chain] if each != NORMALIZE])
    network = Colors()
    onnx.convert(write_program(network, steps, OPEN, "none", tmp_path), tmp_path / "model.onnx")
    runtime = onnx.session(tmp_path / "model.onnx")
    for width, height in PICTURES:
        (x,) = onnx.trials(OPEN, [(2, height, width)])
        (expected,) = sizes.Sized(network, steps)(paddle.to_tensor(x))
        (found,) = runtime.run(None, {"x": x})
        assert found.shape == (2, 4, height, width)
        np.testing.assert_allclose(found, expected.numpy(), rtol=0, atol=1e-3)


def share(transforms, shape=(None, 3, None, None)):
    """The readers' part of some transforms, by their places, and the number of steps of the program."""
    from ppcls_mixformer.paddleseg.export import share_transforms

    builder = build(CONFIG, f"val_dataset.transforms={transforms}")
    places, steps = share_transforms(builder, shape)
    return places, len(steps)


def test_a_program_does_what_changes_sizes(host, caplog):
    noise = {"type": "RandomNoise"}
    assert share([NORMALIZE]) == ([0], 0)
    assert share([RESIZE, NORMALIZE]) == ([1], 1)
    assert share([noise, NORMALIZE, RESIZE]) == ([0, 1], 1)
    assert share([RESIZE, NORMALIZE, RESIZE], shape=[1, 3, -1, -1]) == ([1], 2)
    assert share([NORMALIZE], shape=[1, 3, 64, 64]) == ([0], 0)
    assert not caplog.text


@pytest.mark.parametrize(
    "transforms, shape, named",
    [
        ([RESIZE, NORMALIZE], [1, 3, 64, 64], "--input_shape"),
        ([{"type": "Resize", "interp": "AREA"}, NORMALIZE], [None, 3, None, None], "Resize"),
        ([RESIZE, {"type": "RandomNoise"}, NORMALIZE], [None, 3, None, None], "RandomNoise"),
    ],
)
def test_it_is_said_what_a_program_leaves_to_its_readers(host, caplog, transforms, shape, named):
    assert share(transforms, shape) == (list(range(len(transforms))), 0)
    assert (
        f"{named}: the program gives maps of the size that the transforms in deploy.yaml make" in caplog.text
    )
