"""The network fused for inference against the network that it was made of."""

import numpy as np
import paddle
import pytest
from golden import golden_model, images
from paddle import nn

from ppcls_mixformer import VARIANTS
from ppcls_mixformer.network.fuse import fuse_for_inference


def outputs(model, x):
    with paddle.no_grad():
        return model(x).numpy()


@pytest.mark.parametrize("size", [(64, 64), (45, 100)])
def test_outputs_agree(size):
    model = golden_model("MixFormer_B0")
    model.eval()
    x = images(0, 2, 3, *size)
    fused = fuse_for_inference(model)
    assert np.abs(outputs(fused, x) - outputs(model, x)).max() < 1e-5


@pytest.mark.parametrize("name", VARIANTS)
def test_outputs_of_every_variant_agree(name):
    model = golden_model(name, class_num=10, depths=(1, 1, 1, 1))
    model.eval()
    x = images(0, 2, 3, 80, 56)  # 20x14, 10x7, 5x4 and 3x2 positions: padded and not
    expected = outputs(model, x)
    assert np.ptp(expected) > 0.1
    assert np.abs(outputs(fuse_for_inference(model), x) - expected).max() < 1e-5


def test_features_and_maps_agree():
    model = golden_model("MixFormer_B0")
    model.eval()
    fused, x = fuse_for_inference(model), images(0, 2, 3, 64, 96)
    with paddle.no_grad():
        assert paddle.abs(fused.forward_features(x) - model.forward_features(x)).max() < 1e-5
        for found, expected in zip(fused.forward_stages(x), model.forward_stages(x)):
            assert paddle.abs(found - expected).max() < 1e-4


def test_only_the_norms_between_stages_are_left():
    fused = fuse_for_inference(golden_model("MixFormer_B0"))
    norms = [n for n, layer in fused.named_sublayers() if isinstance(layer, nn.layer.norm._BatchNormBase)]
    assert norms == [f"layers.{stage}.downsample.norm" for stage in range(3)]


def test_the_network_itself_stays_as_it_is():
    model = golden_model("MixFormer_B0")
    before = {name: value.numpy() for name, value in model.state_dict().items()}
    fuse_for_inference(model)
    assert model.training
    assert before.keys() == model.state_dict().keys()
    assert all((value.numpy() == before[name]).all() for name, value in model.state_dict().items())


def test_synchronised_norms_are_fused_too():
    model = golden_model("MixFormer_B0")
    model.eval()
    x = images(0, 1, 3, 32, 32)
    expected = outputs(model, x)
    fused = fuse_for_inference(nn.SyncBatchNorm.convert_sync_batchnorm(model))
    for stage in fused.layers[:3]:  # a synchronised norm cannot run without a process group
        norm = nn.BatchNorm1D(stage.downsample.norm.weight.shape[0], data_format="NLC")
        norm.set_state_dict(stage.downsample.norm.state_dict())
        stage.downsample.norm = norm
    fused.eval()
    assert np.abs(outputs(fused, x) - expected).max() < 1e-5
