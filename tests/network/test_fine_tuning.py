"""What of a classifier learns, and how fast."""

import copy

import numpy as np
import paddle
import pytest
from golden import images
from paddle import nn
from stand_ins import SMALL, small

from ppcls_mixformer import zoo


def step(model, optimizer):
    """Moves of all parameters in a step in training mode, and their gradients."""
    model.train()
    before = {name: value.numpy().copy() for name, value in model.named_parameters()}
    model(images(0, 2, 3, 32, 32)).square().mean().backward()
    gradients = {name: value.grad for name, value in model.named_parameters()}
    optimizer.step()
    return {name: value.numpy() - before[name] for name, value in model.named_parameters()}, gradients


def test_frozen_stages_neither_learn_nor_measure():
    model = small(frozen_stages=1)
    statistics = {name: value.numpy().copy() for name, value in model.named_buffers()}
    moves, _ = step(nn.Sequential(model), paddle.optimizer.SGD(1.0, parameters=model.parameters()))
    held = ("0.patch_embed.", "0.layers.0.")
    assert {name for name, move in moves.items() if (move != 0).any()} >= {"0.head.weight", "0.norm.weight"}
    assert not any((move != 0).any() for name, move in moves.items() if name.startswith(held))
    for name, value in model.named_buffers():
        stays = f"0.{name}".startswith(held) or name.endswith("relative_position_index")
        assert (value.numpy() == statistics[name]).all() == stays, name


def test_a_copy_holds_its_own_frozen_stages():
    model = copy.deepcopy(small(frozen_stages=1))
    before = model.patch_embed.stem[1]._mean.numpy().copy()
    model.train()
    model(images(0, 2, 3, 32, 32))
    assert (model.patch_embed.stem[1]._mean.numpy() == before).all()


@pytest.mark.parametrize("optimizer", ["SGD", "AdamW"])
def test_learning_rates_decay_towards_the_stem(optimizer):
    model = small(layer_decay=0.5)
    settings = {"weight_decay": 0.0} if optimizer == "AdamW" else {}
    rule = getattr(paddle.optimizer, optimizer)(0.5, parameters=model.parameters(), **settings)
    moves, gradients = step(model, rule)
    factors = {
        "patch_embed": 1 / 8,
        "layers.0": 1 / 4,
        "layers.1": 1 / 2,
        "norm": 1,
        "last_proj": 1,
        "head": 1,
    }
    for name, move in moves.items():
        factor = next(value for part, value in factors.items() if name.startswith(f"{part}."))
        if gradients[name] is None:
            continue  # Paddle counts running statistics as parameters
        gradient = gradients[name].numpy()
        expected = gradient if optimizer == "SGD" else np.sign(gradient)  # the first step of Adam
        clear = np.abs(gradient) > 1e-5  # far above Adam's epsilon
        np.testing.assert_allclose(move[clear], -0.5 * factor * expected[clear], rtol=0.01, atol=1e-6)


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"layer_decay": 0}, "layer_decay must be above 0 and at most 1, got 0"),
        ({"layer_decay": 1.5}, "layer_decay must be above 0 and at most 1, got 1.5"),
        ({"layer_decay": "0.9"}, "layer_decay must be above 0 and at most 1, got '0.9'"),
        ({"frozen_stages": 5}, "frozen_stages must be -1 to 2, got 5"),
        ({"frozen_stages": True}, "frozen_stages must be -1 to 2, got True"),
        ({"frozen_stages": 1.5}, "frozen_stages must be -1 to 2, got 1.5"),
    ],
)
def test_what_cannot_be_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        small(**arguments)
    with pytest.raises(ValueError, match=message):
        zoo.resolve("MixFormer_B1", **{**SMALL, **arguments})
