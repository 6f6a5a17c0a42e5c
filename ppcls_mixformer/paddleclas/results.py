"""What a run makes of losses and metrics: the best model is the best, and none is trained without a loss."""

import math
import sys

import numpy as np
import ppcls.engine.train
from paddle.optimizer.lr import ReduceOnPlateau
from ppcls.engine.engine import Engine

from ppcls_mixformer.hosting import ruin
from ppcls_mixformer.hosting.patches import replace_once

LOWER_IS_BETTER = ("HammingDistance",)


def apply():
    """Applies every bridge; applying them again changes nothing."""
    metrics_of_which_lower_is_better()
    schedules_by_metric()
    losses_that_are_no_number()


class Lower(float):
    """A metric of which less is better: `a > b` where `a` is the better of two.

    A number of 0 and less, with which PaddleClas starts, is worse than all; any other is a metric, too.
    """

    def __reduce__(self):
        return np.float64(self).__reduce__()  # checkpoints hold numpy's classes only

    def __gt__(self, other):
        return _is_start(other) or float(self) < float(other)

    def __lt__(self, other):
        return not _is_start(other) and float(self) > float(other)

    def __ge__(self, other):
        return float(self) == float(other) or self > other

    def __le__(self, other):
        return float(self) == float(other) or self < other

    __hash__ = float.__hash__


def _is_start(number):
    return not isinstance(number, Lower) and number <= 0


def lower_is_better(config):
    """Whether the metric that chooses the best model, the first of Metric.Eval, is one of those."""
    metrics = (config.get("Metric") or {}).get("Eval") or [{}]
    return next(iter(metrics[0]), None) in LOWER_IS_BETTER


def metrics_of_which_lower_is_better():
    """All releases: the epoch with the greatest HammingDistance, the worst one, becomes `best_model`."""
    replace_once(Engine, "eval", _in_its_order)


def _in_its_order(original):
    def evaluate(self, *args, **kwargs):
        result = original(self, *args, **kwargs)
        return Lower(result) if lower_is_better(self.config) else result

    return evaluate


def schedules_by_metric():
    """PaddleClas 2.6: ReduceOnPlateau, which has an order of its own, is handed the metric."""
    replace_once(ReduceOnPlateau, "step", _by_plain_numbers)


def _by_plain_numbers(original):
    def step(self, metrics=None, *args, **kwargs):
        return original(self, float(metrics) if isinstance(metrics, Lower) else metrics, *args, **kwargs)

    return step


def losses_that_are_no_number():
    """All releases: training goes on with weights that are NaN, and saves them as the best."""
    for name, module in list(sys.modules.items()):
        if name.startswith(ppcls.engine.train.__name__) and hasattr(module, "update_loss"):
            replace_once(module, "update_loss", _of_a_number)


def _of_a_number(original):
    def update_loss(trainer, loss_dict, batch_size):
        loss = float(loss_dict["loss"])
        if not math.isfinite(loss):
            raise _stop(trainer, f"the loss is {loss}")
        return original(trainer, loss_dict, batch_size)

    return update_loss


def watch_epochs(engine):
    """Has `engine` stop after an epoch that left weights which are no numbers, before it saves them."""
    train_epoch = engine.train_epoch_func

    def checked(*args, **kwargs):
        result = train_epoch(*args, **kwargs)
        name = ruin.ruined(engine.model.state_dict())
        if name:
            raise _stop(engine, f"{name} holds what is no number")
        return result

    engine.train_epoch_func = checked


def _stop(trainer, what):
    rate = learning_rate(trainer)
    what = f"{what} at step {trainer.global_step}, with a learning rate of {rate:.3g}"
    return ruin.stop(what, trainer.output_dir, "Optimizer.lr.learning_rate")


def learning_rate(trainer):
    """The learning rate that the log shows; releases from 2.4 on have a list of schedulers."""
    schedulers = trainer.lr_sch if isinstance(trainer.lr_sch, list) else [trainer.lr_sch]
    return schedulers[0].last_lr
