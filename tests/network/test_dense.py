"""MixFormer as a backbone: the maps that go out."""

import numpy as np
import pytest
from dense_networks import dense
from golden import images
from paddle import nn

from ppcls_mixformer import VARIANTS, MixFormer_B0
from ppcls_mixformer.weights.checkpoint import TrunkFit

# Trainable, in M: four norms instead of the head, without running statistics and tables of positions.
PARAMETERS = {"B0": 3.571, "B1": 6.278, "B2": 8.285, "B3": 14.975, "B4": 32.861, "B5": 59.428, "B6": 117.241}
SIZES = [(1, 64, 64), (2, 33, 47), (1, 97, 130), (3, 40, 71)]


@pytest.mark.parametrize("name", PARAMETERS)
def test_parameters_of_every_variant(name):
    model = dense(f"MixFormer_{name}")
    count = sum(p.size for p in model.parameters() if not p.stop_gradient) / 1e6
    assert count == pytest.approx(PARAMETERS[name], abs=5e-4)
    assert model.out_dims == [VARIANTS[f"MixFormer_{name}"].embed_dim * 2**i for i in range(4)]


@pytest.mark.parametrize("batch, height, width", SIZES)
def test_maps_are_as_large_as_their_strides_say(batch, height, width):
    model = dense()
    maps = model(images(0, batch, 3, height, width))
    assert model.out_strides == [4, 8, 16, 32]
    for out, channels, stride in zip(maps, model.out_dims, model.out_strides):
        assert out.shape == [batch, channels, -(-height // stride), -(-width // stride)]


def test_maps_are_normalised_stages():
    classifier, model = MixFormer_B0(), dense()
    TrunkFit().load(model, classifier.state_dict(), "the classifier")
    classifier.eval(), model.eval()
    for out, stage in zip(model(images(0, 2, 3, 33, 47)), classifier.forward_stages(images(0, 2, 3, 33, 47))):
        expected = nn.functional.layer_norm(stage.transpose([0, 2, 3, 1]), stage.shape[1:2])
        np.testing.assert_allclose(out.numpy(), expected.transpose([0, 3, 1, 2]).numpy(), atol=1e-5)


def test_only_the_chosen_maps_go_out():
    every, some = dense(), dense(out_indices=(1, 3))
    some.set_state_dict(every.state_dict())
    every.eval(), some.eval()
    x = images(0, 1, 3, 64, 40)
    assert (some.out_dims, some.out_strides) == ([48, 192], [8, 32])
    assert [out.numpy().tolist() for out in some(x)] == [every(x)[i].numpy().tolist() for i in (1, 3)]
    assert not [name for name in some.state_dict() if name.startswith(("norm0", "norm2"))]


@pytest.mark.parametrize("stages", [(), (3, 1), (0, 0), (4,), (-1,)])
def test_impossible_stages_are_named(stages):
    with pytest.raises(ValueError, match="out_indices must be rising stages of 0 to 3"):
        dense(out_indices=stages)
    with pytest.raises(ValueError, match="frozen_stages must be -1 to 4, got 5"):
        dense(frozen_stages=5)


def test_stochastic_depth_replaces_the_variants():
    for arguments, last in (({}, 0.0), ({"drop_path_rate": 0.3}, 0.3)):
        rates = [block.drop_path.rate for stage in dense(**arguments).layers for block in stage.blocks]
        assert rates == pytest.approx(np.linspace(0, last, 15).tolist())
