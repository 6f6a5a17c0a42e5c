"""Activation recomputation: the same training step in less memory."""

import sys

import numpy as np
import paddle
import pytest
from commands import run
from dense_networks import SHALLOW, dense
from golden import golden_model, images
from paddle import nn

import ppcls_mixformer
from ppcls_mixformer.network.recompute import frozen_statistics


def training_step(recompute):
    """Loss, gradients and batch norm statistics of one step with stochastic depth."""
    model = ppcls_mixformer.MixFormer_B0(drop_path_rate=0.3, recompute=recompute)
    model.set_state_dict(golden_model("MixFormer_B0").state_dict())
    model.train()
    paddle.seed(0)
    loss = model(images(1, 8, 3, 64, 64)).square().mean()
    loss.backward()
    gradients = {name: p.grad.numpy() for name, p in model.named_parameters() if not p.stop_gradient}
    statistics = {
        name: value.numpy()
        for name, value in model.state_dict().items()
        if name.endswith(("_mean", "_variance"))
    }
    assert gradients and statistics
    return float(loss), gradients, statistics


def test_same_loss_gradients_and_statistics():
    loss, gradients, statistics = training_step(recompute=False)
    loss_again, gradients_again, statistics_again = training_step(recompute=True)
    assert loss == loss_again
    for name, gradient in gradients.items():
        np.testing.assert_allclose(gradients_again[name], gradient, rtol=1e-4, atol=1e-7, err_msg=name)
    for name, value in statistics.items():
        np.testing.assert_allclose(statistics_again[name], value, rtol=1e-5, atol=1e-6, err_msg=name)


@pytest.mark.slow
def test_peak_memory_of_b4_at_224():
    kept, recomputed = (
        int(run(sys.executable, "tests/scripts/peak_memory.py", mode).split("peak ")[1])
        for mode in ("keep", "recompute")
    )
    assert recomputed < 0.6 * kept, f"{recomputed / 2**20:.0f} MiB of {kept / 2**20:.0f} MiB"


def test_a_frozen_stem_leaves_no_parameter_without_gradient():
    model = ppcls_mixformer.MixFormer_B0(recompute=True)
    for parameter in model.patch_embed.parameters():
        parameter.stop_gradient = True
    model(images(1, 2, 3, 32, 32)).mean().backward()
    trained = [p for p in model.layers.parameters() if not p.stop_gradient]
    assert trained and all(p.grad is not None for p in trained)


def test_a_backbone_has_the_same_gradients():
    models = [dense(depths=SHALLOW, recompute=recompute, drop_path_rate=0.3) for recompute in (False, True)]
    models[1].set_state_dict(models[0].state_dict())
    gradients = []
    for model in models:
        paddle.seed(0)
        sum(out.square().mean() for out in model(images(1, 2, 3, 64, 96))).backward()
        gradients.append({n: p.grad.numpy() for n, p in model.named_parameters() if p.grad is not None})
    assert gradients[0].keys() == gradients[1].keys() and "layers.3.blocks.0.attn.qkv.weight" in gradients[0]
    for name, gradient in gradients[0].items():
        np.testing.assert_allclose(gradients[1][name], gradient, rtol=1e-3, atol=1e-6, err_msg=name)


def test_frozen_statistics_stay_and_momenta_return():
    norm = nn.BatchNorm2D(3)
    with frozen_statistics(nn.Sequential(norm)):
        norm(images(0, 2, 3, 4, 4))
    assert not norm._mean.numpy().any() and norm._momentum == 0.9
    norm(images(0, 2, 3, 4, 4))
    assert norm._mean.numpy().all()


@pytest.mark.slow
@pytest.mark.skipif(
    paddle.__version__.startswith("2."), reason="Paddle 2.6 cannot break a graph that it traces"
)
def test_a_compiled_network_recomputes_too():
    model = ppcls_mixformer.MixFormer(5, embed_dim=16, depths=(1, 1), num_heads=(2, 4), recompute=True)
    x = images(1, 2, 3, 40, 40)
    model(x).square().mean().backward()
    expected = model.patch_embed.proj.weight.grad.numpy()
    model.clear_gradients()
    paddle.jit.to_static(model, full_graph=False)(x).square().mean().backward()
    np.testing.assert_allclose(model.patch_embed.proj.weight.grad.numpy(), expected, rtol=1e-2, atol=1e-4)
