"""Mixed precision: outputs within bounds of float32, and no overflow; see `selftest/precision.py`."""

import paddle
import pytest

from ppcls_mixformer.selftest import precision

needs_gpu = pytest.mark.skipif(
    not paddle.is_compiled_with_cuda() or paddle.device.cuda.device_count() == 0,
    reason="AMP needs a GPU: Paddle's auto_cast does nothing on CPU",
)


@pytest.mark.parametrize("dtype", precision.BOUNDS)
@pytest.mark.parametrize("factor", precision.FACTORS)
def test_rounded_layers_stay_near_float32(dtype, factor):
    finding = precision.rounded_layers(dtype, factor)
    assert 0 < finding.measured and finding.holds, finding


def test_no_layer_leaves_the_range_of_float16():
    finding = precision.largest_output()
    assert finding.holds, finding


def test_gates_and_attention_stand_large_activations():
    for finding in precision.large_activations():
        assert finding.holds, finding


@needs_gpu
@pytest.mark.parametrize("dtype", precision.BOUNDS)
@pytest.mark.parametrize("level", precision.LEVELS)
def test_auto_cast(level, dtype):
    finding = precision.auto_cast(level, dtype)
    assert finding.holds, finding


@needs_gpu
@pytest.mark.parametrize("level", precision.LEVELS)
def test_training_step_has_finite_gradients(level):
    finding = precision.broken_gradients(level)
    assert finding.holds, finding
