"""Epochs without a step: PaddleClas trains nothing and saves `best_model`, or fails on no metric."""

import contextlib
import functools

import paddle
import ppcls.engine.engine

from ppcls_mixformer.hosting.errors import UserError
from ppcls_mixformer.hosting.patches import replace_once
from ppcls_mixformer.paddleclas.parts import split_key


def apply():
    """All releases: fewer pictures than a batch, with `drop_last`, are an epoch of no steps."""
    replace_once(ppcls.engine.engine, "build_dataloader", _that_has_steps)


def _that_has_steps(original):
    def build_dataloader(config, mode, *args, **kwargs):
        sampler = dict(config[mode].get("sampler") or {})  # the original takes the name out of it
        loader = original(config, mode, *args, **kwargs)
        if isinstance(loader, paddle.io.DataLoader):
            check(loader, sampler, mode)
        return loader

    return build_dataloader


def check(loader, sampler, mode):
    """Refuses a `loader` that has no step; only it knows, for what its sampler makes of the pictures.

    PaddleClas 2.3: DistributedRandomIdentitySampler looks for ever for batches of less than a class.

    Args:
        sampler: the section of the config; `mode` is the split that it is in.

    Raises:
        UserError: with the counts, and what to do.
    """
    key = split_key(mode)
    if sampler.get("num_instances", 0) > sampler.get("batch_size", 0):
        raise UserError(
            f"{key}.sampler: batch_size {sampler.get('batch_size')} is below num_instances "
            f"{sampler['num_instances']}, the images of one class in it"
        )
    if len(loader):
        return
    processes = paddle.distributed.get_world_size()
    parts = [f"{len(loader.dataset)} images", f"batch {sampler.get('batch_size')}"]
    parts += [f"{processes} processes"] * (processes > 1)
    parts += ["drop_last"] * bool(sampler.get("drop_last"))
    raise UserError(
        f"{key}: {', '.join(parts)}: 0 steps an epoch; "
        f"set a smaller {key}.sampler.batch_size, or its drop_last to False"
    )


def watch_epochs(engine):
    """Has `engine` stop after an epoch without a step, which a sampler may promise and not have."""
    train_epoch = engine.train_epoch_func

    @functools.wraps(train_epoch)
    def with_steps(*args, **kwargs):
        before = engine.global_step
        with contextlib.suppress(StopIteration):  # of PaddleClas 2.6, which asks twice for the first batch
            train_epoch(*args, **kwargs)
        if engine.global_step == before:
            sampler = type(getattr(engine.train_dataloader, "batch_sampler", None)).__name__
            raise UserError(
                f"DataLoader.Train: {sampler} makes no batch of these images: nothing was trained; "
                "set a smaller DataLoader.Train.sampler.batch_size, or give it more classes"
            )

    engine.train_epoch_func = with_steps
