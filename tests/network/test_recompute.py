"""Activation recomputation: the same training step in less memory."""

import sys

import numpy as np
import paddle
from commands import run
from golden import golden_model, images

import ppcls_mixformer


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


def test_peak_memory_of_b4_at_224():
    script = """
import sys
import ppcls_mixformer
import paddle
from paddle.base import core
model = ppcls_mixformer.MixFormer_B4(recompute=sys.argv[1] == "True")
model.train()
loss = model(paddle.randn([4, 3, 224, 224])).mean()
loss.backward()
print("peak", core.host_memory_stat_peak_value("Allocated", 0))
"""
    kept, recomputed = (
        int(run(sys.executable, "-c", script, recompute).split("peak ")[1]) for recompute in (False, True)
    )
    assert recomputed < 0.6 * kept, f"{recomputed / 2**20:.0f} MiB of {kept / 2**20:.0f} MiB"


def test_a_frozen_stem_leaves_no_parameter_without_gradient():
    model = ppcls_mixformer.MixFormer_B0(recompute=True)
    for parameter in model.patch_embed.parameters():
        parameter.stop_gradient = True
    model(images(1, 2, 3, 32, 32)).mean().backward()
    trained = [p for p in model.layers.parameters() if not p.stop_gradient]
    assert trained and all(p.grad is not None for p in trained)
