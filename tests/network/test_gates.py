"""The spatial gates as outputs, against those that `understand.saliency` reads of the trained network."""

import numpy as np
import paddle
import pytest
from golden import golden_model, images

from ppcls_mixformer.network.fuse import fuse_for_inference
from ppcls_mixformer.network.gates import spatial_gates
from ppcls_mixformer.understand import saliency


@pytest.mark.parametrize("size", [(64, 64), (45, 100)])
@pytest.mark.parametrize("fuse", [True, False], ids=["fused", "trained"])
def test_they_are_those_of_the_trained_network(fuse, size):
    model = golden_model("MixFormer_B0")
    model.eval()
    x = images(0, 2, 3, *size)
    expected = [saliency.gates(stage) for stage in saliency.trace(model, x).stages]
    network = fuse_for_inference(model) if fuse else model
    with paddle.no_grad(), spatial_gates(network) as take:
        for _ in range(2):  # nothing is left of the pass before
            network(x)
            found = [gates.numpy() for gates in take()]
    assert [gates.shape for gates in found] == [gates.shape for gates in expected]
    assert max(np.ptp(gates) for gates in expected) > 0.1
    assert max(np.abs(mine - theirs).max() for mine, theirs in zip(found, expected)) < 1e-5
    assert not any(layer._forward_post_hooks for layer in network.sublayers())
