"""Gradient accumulation, `Global.update_freq`: a step of the optimizer for a group of batches.

The update is that of one batch as large as the group, but for batch norms, which see each batch alone.
Batches at the end of an epoch that make no whole group are left out, as PaddleClas 2.5 does.
"""

import contextlib
import functools

import ppcls.engine.engine

from ppcls_mixformer.hosting.errors import UserError
from ppcls_mixformer.hosting.patches import replaced

KEY = "update_freq"
# What the loop over batches calls for each, by the names that parts of an engine have.
ONCE_A_GROUP = {"optimizer": ("step", "clear_grad"), "lr_sch": ("step",), "scaler": ("minimize",)}


def size(config):
    """How many batches a step is made of."""
    return config["Global"].get(KEY) or 1


@contextlib.contextmanager
def checked(count):
    """Has PaddleClas refuse an epoch of less than `count` batches.

    Raises:
        UserError: 2.5 would train nothing, and 2.6 with another number than it was asked for.
    """

    def build(config, mode, *args, **kwargs):
        loader = build_dataloader(config, mode, *args, **kwargs)
        if mode == "Train" and len(loader) < count:
            raise UserError(
                f"Global.{KEY} is {count}, but an epoch has {len(loader)} batches: lower it, or "
                "DataLoader.Train.sampler.batch_size"
            )
        return loader

    with replaced(ppcls.engine.engine, "build_dataloader", build) as build_dataloader:
        yield


@contextlib.contextmanager
def scheduled(count):
    """Has PaddleClas make schedules for a step in `count` batches."""

    def build(config, epochs, step_each_epoch, *args, **kwargs):
        return build_optimizer(config, epochs, step_each_epoch // count, *args, **kwargs)

    with replaced(ppcls.engine.engine, "build_optimizer", build) as build_optimizer:
        yield


def in_groups(train_epoch, count):
    """PaddleClas's `train_epoch`, in which a step is made of `count` batches."""

    @functools.wraps(train_epoch)
    def train(engine, *args, **kwargs):
        begin = engine.global_step

        def is_due():
            return (engine.global_step - begin) % count == 0

        with contextlib.ExitStack() as stack:
            for name, methods in ONCE_A_GROUP.items():
                if hasattr(engine, name):  # a scaler comes with mixed precision
                    part = _once_a_group(getattr(engine, name), methods, is_due)
                    stack.enter_context(replaced(engine, name, part))
            stack.enter_context(replaced(engine, "max_iter", engine.max_iter // count * count))
            stack.enter_context(_divided_gradients(engine, count))
            return train_epoch(engine, *args, **kwargs)

    return train


def _once_a_group(part, methods, is_due):
    """`part`, or each of a list of them, as `_OnceAGroup`."""
    if isinstance(part, list):  # since 2.4
        return [_OnceAGroup(one, methods, is_due) for one in part]
    return _OnceAGroup(part, methods, is_due)


class _OnceAGroup:
    """A part of an engine, of which `methods` do nothing unless `is_due()`; all else is as ever."""

    def __init__(self, part, methods, is_due):
        self._part, self._methods, self._is_due = part, methods, is_due

    def __getattr__(self, name):
        found = getattr(self._part, name)
        return found if name not in self._methods or self._is_due() else _nothing


def _nothing(*args, **kwargs):
    """Stands in for a step that is not due."""


@contextlib.contextmanager
def _divided_gradients(engine, count):
    """Has every backward pass add a `count`th of its gradients; losses are logged as they are."""
    parameters = [*engine.model.parameters(), *engine.train_loss_func.parameters()]
    hooks = [p.register_hook(lambda gradient: gradient / count) for p in parameters if not p.stop_gradient]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
