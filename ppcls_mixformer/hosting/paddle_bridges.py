"""Differences between Paddle and today's packages, bridged for every host.

Nothing is changed on disk. Each function says its symptom and does nothing where it is absent.
"""

import functools
import logging
import multiprocessing
import warnings

import numpy as np
import paddle
from google.protobuf.descriptor_pb2 import FieldDescriptorProto

from ppcls_mixformer.hosting import loading
from ppcls_mixformer.hosting.patches import replace_once

logger = logging.getLogger(__name__)


def apply():
    """Applies every bridge; applying them again changes nothing."""
    numbers_of_one_element()
    labels_of_fields()
    no_spawned_workers()
    loading.apply()


class SteppingScaler(paddle.amp.GradScaler):
    """`GradScaler` whose `minimize` also takes optimizers with parameter groups."""

    def minimize(self, optimizer, *args, **kwargs):
        self.step(optimizer)
        self.update()


def numbers_of_one_element():
    """numpy 2.4: `int()` and `float()` of a tensor with one element fail unless it is 0-D.

    `paddle.flops` ends in that TypeError, and so does whatever a host counts in such tensors.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # numpy 1.25 to 2.3 warn of it
        try:
            int(np.ones(1))
        except TypeError:
            for name in ("__int__", "__float__", "__index__"):
                replace_once(paddle.Tensor, name, _of_its_element)


def _of_its_element(original):
    return lambda tensor: original(tensor.reshape([]) if tensor.size == 1 else tensor)


def labels_of_fields():
    """protobuf 7: Paddle's fleet, which trains in several processes, reads a field's `label`; it is gone."""
    field = type(FieldDescriptorProto.DESCRIPTOR.fields[0])
    if not hasattr(field, "label"):
        field.label = property(_label)


def _label(field):
    if field.is_repeated:
        return field.LABEL_REPEATED
    return field.LABEL_REQUIRED if field.is_required else field.LABEL_OPTIONAL


def no_spawned_workers():
    """All hosts: a worker of a data loader that is started by spawn cannot be sent their local functions.

    Paddle itself loads without workers on Windows and macOS, where processes are started in that way.
    """
    replace_once(paddle.io.DataLoader, "__init__", _without_workers_unless_forked)


def _without_workers_unless_forked(original):
    @functools.wraps(original)
    def __init__(self, *args, **kwargs):
        method = multiprocessing.get_start_method()
        if kwargs.get("num_workers") and method != "fork":
            logger.warning(
                "num_workers is 0, not %d: this Python starts processes by %s, and the workers need fork",
                kwargs["num_workers"],
                method,
            )
            kwargs["num_workers"] = 0
        original(self, *args, **kwargs)

    return __init__
