"""Bridges between PaddleSeg and Paddle: each does its work, and is proven to be needed.

The PaddleSeg in use may need only some. The others are tested on a stand-in for what they bridge.
"""

import numpy as np
import paddle
import pytest
from paddle import nn
from segmentation import noise

from ppcls_mixformer.hosting.errors import UserError
from ppcls_mixformer.hosting.inference import PADDLE_3


@pytest.fixture(scope="module")
def bridges(host):
    from ppcls_mixformer.paddleseg import bridges

    return bridges


def test_one_element_losses(bridges):
    losses = bridges._with_one_element_each(lambda: [paddle.to_tensor(1.5)])()
    assert losses[0].numpy()[0] == 1.5
    with pytest.raises(IndexError):
        paddle.to_tensor(1.5).numpy()[0]


@pytest.mark.parametrize(
    "kinds, text",
    [
        (["DiceLoss", "DiceLoss"], "loss: RuntimeError: The length of logits_list should equal"),
        (["FocalLoss"], "loss: FocalLoss fails: AssertionError: The channel of logit should be 2"),
        (["CrossEntropyLoss"], "loss: CrossEntropyLoss fails: "),
    ],
)
def test_losses_that_fail(bridges, kinds, text):
    from paddleseg.models import losses

    logits, label = paddle.to_tensor(noise((1, 3, 2, 2))), paddle.full([1, 2, 2], 77, "int64")
    parts = {"types": [getattr(losses, kind)() for kind in kinds], "coef": [1] * len(kinds)}
    with pytest.raises(UserError) as error:
        bridges.trainer.loss_computation(logits_list=[logits], labels=label, edges=None, losses=parts)
    assert str(error.value).startswith(text) and "\n" not in str(error.value)


def test_scalars_in_concat(bridges):
    label = paddle.to_tensor([[[0, 1, 255]]])
    areas = bridges.metrics.calculate_area(paddle.to_tensor([[[0, 0, 1]]]), label, 2)
    assert [area.tolist() for area in areas] == [[1, 0], [2, 0], [1, 1]]
    with pytest.raises((TypeError, ValueError, RuntimeError)):
        paddle.concat([paddle.to_tensor(1), paddle.to_tensor(2)])


@pytest.mark.parametrize("weight", [None, [1.0, 2.0]])
def test_labels_times_floats(bridges, weight):
    from paddleseg.models.losses import CrossEntropyLoss

    logits, label = paddle.to_tensor(noise((1, 2, 2, 2))), paddle.to_tensor([[[0, 1], [255, 1]]])
    loss = CrossEntropyLoss(weight=weight)(logits, label)
    log_softmax = nn.functional.log_softmax(logits, 1).numpy()[0]
    terms = {
        c: [-log_softmax[c, i, j] for i, j in ((0, 0), (0, 1), (1, 1)) if label[0, i, j] == c] for c in (0, 1)
    }
    factors = weight or [1.0, 1.0]
    total = sum(factors[c] * sum(terms[c]) for c in (0, 1))
    assert float(loss) == pytest.approx(total / (factors[0] + 2 * factors[1]), rel=1e-4)
    if PADDLE_3:
        with pytest.raises((TypeError, ValueError, RuntimeError)):
            paddle.ones([2], "float32") * paddle.ones([2], "int64")


@pytest.mark.parametrize("kind, arguments", [("RMILoss", {"num_classes": 3}), ("DualTaskLoss", {})])
def test_booleans_times_floats(bridges, kind, arguments):
    from paddleseg.models import losses

    loss, logits = getattr(losses, kind)(**arguments), paddle.to_tensor(noise((1, 3, 16, 16)))
    label = paddle.to_tensor(np.arange(256).reshape(1, 16, 16) % 3)
    label[0, 0] = 255
    logits.stop_gradient = False
    parts = {"types": [loss], "coef": [1]}
    sum(bridges.trainer.loss_computation([logits], label, None, parts)).backward()
    assert np.isfinite(logits.grad.numpy()).all() and logits.grad.abs().sum() > 0
    if PADDLE_3:
        with pytest.raises(TypeError):
            paddle.ones([2], "float32") * paddle.ones([2], "bool")


def test_labels_of_other_losses(bridges):
    from paddleseg.models.losses import DiceLoss

    def label_behind(call):
        label = paddle.to_tensor([[[0, 1], [255, 1]]])
        call(DiceLoss(), paddle.to_tensor(noise((1, 2, 2, 2))), label)
        return label.flatten().tolist()

    assert label_behind(DiceLoss.forward) == [0, 1, 255, 1]
    original = getattr(DiceLoss.forward, "bridged", None)
    assert original is None or label_behind(original) == [0, 1, 0, 1]


def check_crop(crop, call):
    """Asserts that `call` pads and crops a picture together with its label."""
    label = np.arange(100, dtype="uint8").reshape(10, 10)
    image = np.stack([label.astype("float32") + 1000] * 3, -1)
    sample = call(crop, {"img": image, "label": label, "gt_fields": ["label"]})
    inside = sample["img"][:, :10]
    assert sample["gt_fields"] == ["label"] and inside.shape == (4, 10, 3)
    assert (inside[..., 0] == sample["label"][:, :10] + 1000.0).all()
    assert (sample["img"][:, 10:] == 127.5).all() and (sample["label"][:, 10:] == 255).all()


def test_crops_of_pictures(bridges):
    from paddleseg.transforms import RandomPaddingCrop

    crop = RandomPaddingCrop(crop_size=[12, 4], category_max_ratio=0.75)
    check_crop(crop, RandomPaddingCrop.__call__)
    original = getattr(RandomPaddingCrop.__call__, "bridged", None)
    if original:
        with pytest.raises((AssertionError, IndexError)):
            check_crop(crop, original)


def test_short_sides(bridges):
    from paddleseg.transforms import ResizeByShort

    def height_behind_a_long_one(call):
        transform = ResizeByShort(short_size=20, max_size=40)
        sizes = [(10, 80), (20, 30)]
        pictures = [{"img": np.zeros((*size, 3), "float32"), "trans_info": []} for size in sizes]
        return [call(transform, picture)["img"].shape[0] for picture in pictures]

    assert height_behind_a_long_one(ResizeByShort.__call__) == [5, 20]
    original = getattr(ResizeByShort.__call__, "bridged", None)
    assert original is None or height_behind_a_long_one(original) == [5, 5]


def test_scaler_of_groups(bridges):
    weight = paddle.create_parameter([1], "float32", default_initializer=nn.initializer.Constant(1.0))

    def step(scaler):
        optimizer = paddle.optimizer.AdamW(0.1, parameters=[{"params": [weight]}])
        loss = scaler.scale((2 * weight).sum())
        loss.backward()
        scaler.minimize(optimizer, loss)

    step(bridges.paddle_bridges.SteppingScaler(enable=False))
    assert float(weight) < 1.0
    with pytest.raises((TypeError, ValueError), match="got dict"):
        step(paddle.amp.GradScaler(enable=False))


def test_the_trainer_saves_whole_files(bridges, tmp_path):
    path = tmp_path / "iter_2/model.pdparams"
    bridges.trainer.paddle.save({}, str(path))
    assert not path.exists()  # it waits for the optimizer's state, see test_seg_checkpoints.py
    bridges.trainer.paddle.save({}, str(path.with_name("model.pdopt")))
    assert path.exists()


def test_bridges_are_applied_once(bridges):
    def state():
        trainer = bridges.trainer
        return [trainer.paddle, trainer.loss_computation, trainer.evaluate, bridges.metrics.paddle]

    before = state()
    bridges.apply()
    assert all(a is b for a, b in zip(state(), before))
    assert bridges.trainer.paddle.nn is paddle.nn
