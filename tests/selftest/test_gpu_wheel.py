"""What can be known of GPUs without one: the kernels in paddlepaddle-gpu; see `make test-gpu-wheel`."""

import paddle
import pytest

from ppcls_mixformer.selftest import checks, kernels, machine

pytestmark = pytest.mark.skipif(
    not paddle.is_compiled_with_cuda(), reason="this Paddle is built for the CPU: make test-gpu-wheel"
)


def test_a_gpu_has_kernels_for_every_operator():
    used = set().union(*checks.counted()["network"].values())
    assert {"matmul", "matmul_grad", "batch_norm_grad", "softmax", "gelu_grad"} <= used and len(used) > 30
    finding = checks.gpu_kernels()
    assert finding.holds, finding


def test_an_operator_without_kernels_is_named():
    finding = kernels.missing({"matmul", "svd", "operator_of_nobody"})
    assert not finding.holds and finding.where == "operator_of_nobody, svd"


def test_a_mixing_block_calls_no_more_operators_than_it_should():
    for finding in checks.operator_calls():
        assert finding.holds, finding


def test_golden_files_are_replayed_without_tf32():
    core = paddle.base.core
    before = core.get_cublas_switch(), core.get_cudnn_switch()
    with machine.full_precision():
        assert not core.get_cublas_switch() and not core.get_cudnn_switch()
    assert (core.get_cublas_switch(), core.get_cudnn_switch()) == before == (True, True)
