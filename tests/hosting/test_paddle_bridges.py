"""Each bridge between Paddle and today's packages: what it fixes, and that it is broken without it."""

import numpy as np
import paddle
import pytest
from google.protobuf.descriptor_pb2 import FieldDescriptorProto

from ppcls_mixformer.hosting import paddle_bridges


@pytest.fixture(autouse=True)
def bridged():
    paddle_bridges.apply()


@pytest.mark.parametrize("shape", [[], [1], [1, 1]])
def test_a_tensor_with_one_element_is_a_number(shape):
    tensor = paddle.full(shape, 3)
    assert (int(tensor), float(tensor), [0, 1, 2, 4][tensor]) == (3, 3.0, 4)


def test_a_tensor_with_several_elements_is_none():
    with pytest.raises((AssertionError, TypeError, ValueError)):
        int(paddle.ones([2]))


def test_without_the_bridge_new_numpys_refuse_all_but_scalars():
    if np.lib.NumpyVersion(np.__version__) < "2.4.0":
        assert not hasattr(paddle.Tensor.__int__, "bridged")
    else:
        with pytest.raises(TypeError):
            paddle.Tensor.__int__.bridged(paddle.ones([1]))


def test_fleet_reads_its_strategy():
    strategy = paddle.distributed.fleet.DistributedStrategy()
    strategy.amp_configs = {"init_loss_scaling": 4.0, "custom_white_list": ["conv2d"]}
    assert strategy.amp_configs["init_loss_scaling"] == 4.0
    assert strategy.amp_configs["custom_white_list"] == ["conv2d"]


def test_without_the_bridge_fleet_fails_under_protobuf_7(monkeypatch):
    field = type(FieldDescriptorProto.DESCRIPTOR.fields[0])
    if isinstance(vars(field)["label"], property):
        monkeypatch.delattr(field, "label")
        with pytest.raises(AttributeError, match="label"):
            paddle.distributed.fleet.DistributedStrategy().amp_configs  # noqa: B018
