"""Gradient accumulation: a group of small batches is learned from as one large batch is."""

import types

import numpy as np
import paddle
import pytest
from commands import CONFIG, overrides

from ppcls_mixformer.hosting.errors import UserError

PICTURES, EPOCHS = 10, 2
LEARNING_RATE = {"name": "Cosine", "learning_rate": 0.5, "warmup_epoch": 1}


@pytest.fixture
def train(host):
    """Function that trains a layer with PaddleClas's loop; returns its weights and the rate of each batch."""
    import ppcls.engine.engine
    from ppcls.loss import build_loss
    from ppcls.utils.misc import AverageMeter

    from ppcls_mixformer.paddleclas import accumulation

    if accumulation.KEY in open(ppcls.engine.engine.__file__, encoding="utf-8").read():
        pytest.skip("this PaddleClas accumulates gradients itself")

    def run(batch, group, amp):
        paddle.seed(0)
        random = np.random.RandomState(0)
        images, labels = random.randn(PICTURES, 6).astype("float32"), random.randint(0, 3, PICTURES)
        model, rates = paddle.nn.Linear(6, 3), []
        starts = range(0, PICTURES - batch + 1, batch)
        config = {"name": "Momentum", "momentum": 0.9, "lr": dict(LEARNING_RATE)}
        with accumulation.scheduled(group):
            built = ppcls.engine.engine.build_optimizer(config, EPOCHS, len(starts), [model])
        optimizer, schedule = built
        engine = types.SimpleNamespace(
            config={"Global": {"epochs": EPOCHS}, "profiler_options": None, "AMP": {}},
            train_dataloader=[[paddle.to_tensor(x[i : i + batch]) for x in (images, labels)] for i in starts],
            max_iter=len(starts),
            model=model,
            optimizer=optimizer,
            lr_sch=schedule,
            train_loss_func=build_loss([{"CELoss": {"weight": 1.0}}]),
            time_info={name: AverageMeter(name) for name in ("batch_cost", "reader_cost")},
            amp=amp,
            **dict.fromkeys(("use_dali", "is_rec", "global_step"), 0),
            **dict.fromkeys(("train_metric_func", "vdl_writer")),
        )
        if amp:
            engine.scaler = paddle.amp.GradScaler(init_loss_scaling=8.0)
        model.register_forward_pre_hook(lambda *_: rates.append(optimizer.get_lr()))
        train_epoch = ppcls.engine.engine.train_epoch
        train_epoch = accumulation.in_groups(train_epoch, group) if group > 1 else train_epoch
        for epoch in range(1, EPOCHS + 1):
            engine.output_info = {}
            train_epoch(engine, epoch, 1)
        return model.weight.numpy(), rates

    return run


@pytest.mark.parametrize("amp", [False, True])
def test_small_batches_are_learned_from_as_a_large_one(train, amp):
    large, large_rates = train(4, 1, amp)
    small, small_rates = train(2, 2, amp)  # and one batch that makes no group
    np.testing.assert_allclose(small, large, atol=1e-6)
    assert len(set(large_rates)) > 1 and small_rates == [rate for rate in large_rates for _ in range(2)]
    assert not np.allclose(train(2, 1, amp)[0], large, atol=1e-2)


@pytest.fixture
def engine(host, digits, tmp_path):
    """Function that builds PaddleClas's engine for batches of 24 of 96 pictures, and groups of a number."""
    from ppcls.engine.engine import Engine
    from ppcls.utils import logger

    from ppcls_mixformer.paddleclas.config import settings

    def build(group):
        logger._logger = None  # an engine sets it up itself, once
        own = ["Global.eval_during_train=False", "DataLoader.Train.sampler.batch_size=24"]
        own = [*overrides(digits, tmp_path, epochs=1), *own, f"Global.update_freq={group}"]
        config = settings(
            ["-c", CONFIG, *(part for setting in own for part in ("-o", setting))], "train"
        ).config
        return Engine(config, mode="train")

    return build


def test_a_group_of_more_batches_than_an_epoch_has_is_refused(engine):
    with pytest.raises(UserError, match="Global.update_freq is 5, but an epoch has 4 batches: lower it"):
        engine(5)


@pytest.mark.slow
def test_a_run_steps_once_a_group(engine):
    from ppcls_mixformer.paddleclas import training

    built = engine(2)
    built.train()
    schedule = built.lr_sch[0] if isinstance(built.lr_sch, list) else built.lr_sch  # a list since 2.4
    assert schedule.last_epoch == training.steps_an_epoch(built) == 2
