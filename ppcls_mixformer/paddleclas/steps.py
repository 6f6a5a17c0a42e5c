"""Epochs without a step: PaddleClas trains nothing and saves `best_model`, or fails on no metric."""

import paddle
import ppcls.engine.engine

from ppcls_mixformer.hosting.errors import UserError
from ppcls_mixformer.hosting.patches import replace_once


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

    Args:
        sampler: the section of the config; `mode` is the split that it is in.

    Raises:
        UserError: with the counts, and what to do.
    """
    if len(loader):
        return
    processes = paddle.distributed.get_world_size()
    parts = [f"{len(loader.dataset)} images", f"batch {sampler.get('batch_size')}"]
    parts += [f"{processes} processes"] * (processes > 1)
    parts += ["drop_last"] * bool(sampler.get("drop_last"))
    raise UserError(
        f"DataLoader.{mode}: {', '.join(parts)}: 0 steps an epoch; "
        f"set a smaller DataLoader.{mode}.sampler.batch_size, or its drop_last to False"
    )
