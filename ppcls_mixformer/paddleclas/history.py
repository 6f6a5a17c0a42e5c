"""What each epoch brought: `results.csv` beside the checkpoints, and runs that end where nothing improves."""

import csv
import functools
import logging
import re
import time
from pathlib import Path

import paddle
import ppcls.utils.logger

from ppcls_mixformer.hosting.errors import UserError
from ppcls_mixformer.hosting.whole import whole_file
from ppcls_mixformer.paddleclas.results import Lower, lower_is_better

logger = logging.getLogger(__name__)

NAME = "results.csv"
PATIENCE = "early_stopping"  # key of Global
# What all releases log at the end of an epoch's training and of each evaluation.
AVERAGES = re.compile(r"\[(Train|Eval)\]\[Epoch (\d+)(?:/\d+)?\]\[Avg\](.*)")
AVERAGE = re.compile(r"([^\s,:]+): ([^\s,]+)")
EPOCH, RATE, SECONDS, METRIC = "epoch", "learning_rate", "train_seconds", "metric"


class NothingImproves(Exception):
    """Ends PaddleClas's loop over epochs, which has no other way out."""


def check(config):
    """Refuses a patience where nothing is evaluated.

    Raises:
        UserError: names the keys.
    """
    if config["Global"].get(PATIENCE) and not config["Global"]["eval_during_train"]:
        raise UserError(f"Global.{PATIENCE} needs Global.eval_during_train: True; it counts evaluations")


class History(logging.Handler):
    """Rows of `results.csv`, one for each epoch, from what PaddleClas logs and measures.

    Args:
        path: of the file; None writes none.
        done: epochs that a run which goes on has behind it; their rows are read from the file.
        patience: evaluations without a better metric after which the run ends; None for all of its epochs.
        number: type of the metric, whose greater values are the better ones.
    """

    def __init__(self, path, done, patience, number):
        super().__init__(logging.INFO)
        self.path, self.patience, self.number = path, patience, number
        self.rows = (
            {epoch: row for epoch, row in _read(path, number).items() if epoch <= done} if done else {}
        )

    def emit(self, record):
        """Takes the averages of an epoch out of PaddleClas's log."""
        found = AVERAGES.search(record.getMessage())
        if found:
            kind, epoch, averages = found.groups()
            row = self.row(int(epoch))
            again = kind == "Eval" and any(name.startswith("eval_") for name in row)
            prefix = "eval_ema" if again else kind.lower()  # averaged weights are evaluated behind the others
            row.update({f"{prefix}_{name}": value for name, value in AVERAGE.findall(averages)})
            self.write()

    def row(self, epoch):
        return self.rows.setdefault(epoch, {EPOCH: epoch})

    def of_training(self, train_epoch):
        """PaddleClas's `train_epoch`; it is not begun where the run is to end."""

        @functools.wraps(train_epoch)
        def train(engine, epoch, *args, **kwargs):
            if self.patience and self.waited() >= self.patience:
                raise NothingImproves
            begin = time.monotonic()
            result = train_epoch(engine, epoch, *args, **kwargs)
            seconds = time.monotonic() - begin
            self.row(epoch).update({RATE: f"{_learning_rate(engine):.6g}", SECONDS: f"{seconds:.2f}"})
            return result

        return train

    def of_evaluation(self, evaluate):
        """The engine's `eval`; its result is the metric that chooses the best model."""

        @functools.wraps(evaluate)
        def measure(epoch_id=0):
            metric = evaluate(epoch_id)
            row = self.row(epoch_id)
            if METRIC not in row or metric > row[METRIC]:
                row[METRIC] = metric
            self.write()
            return metric

        return measure

    def waited(self):
        """Evaluations since the one with the best metric."""
        metrics = [self.rows[epoch][METRIC] for epoch in sorted(self.rows) if METRIC in self.rows[epoch]]
        best = 0
        for place, metric in enumerate(metrics):
            best = place if metric > metrics[best] else best
        return max(len(metrics) - 1 - best, 0)

    def write(self):
        """Writes all rows."""
        if self.path is None:
            return
        columns = dict.fromkeys(name for row in self.rows.values() for name in row)
        with whole_file(self.path) as part, open(part, "w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(columns))
            writer.writeheader()
            writer.writerows(self.rows[epoch] for epoch in sorted(self.rows))


def of(engine):
    """The `History` of a training with PaddleClas's `engine`, attached to its log."""
    settings = engine.config["Global"]
    done = paddle.load(f"{settings['checkpoints']}.pdstates")["epoch"] if settings["checkpoints"] else 0
    log = ppcls.utils.logger._logger
    folder = next((Path(h.baseFilename).parent for h in log.handlers if hasattr(h, "baseFilename")), None)
    path = folder / NAME if folder and not paddle.distributed.get_rank() else None
    number = Lower if lower_is_better(engine.config) else float
    history = History(path, done, settings.get(PATIENCE), number)
    log.addHandler(history)
    return history


def _learning_rate(engine):
    schedule = engine.lr_sch[0] if isinstance(engine.lr_sch, list) else engine.lr_sch
    return schedule.get_lr()


def _read(path, number):
    """`{epoch: row}` of an earlier file, nothing where there is none or another one."""
    if path is None or not path.is_file():
        return {}
    try:
        with open(path, newline="", encoding="utf-8") as file:
            rows = [{name: value for name, value in row.items() if value} for row in csv.DictReader(file)]
        for row in rows:
            row[EPOCH] = int(row[EPOCH])
            row.update({METRIC: number(row[METRIC])} if METRIC in row else {})
        return {row[EPOCH]: row for row in rows}
    except (ValueError, KeyError, TypeError, csv.Error):
        logger.warning("%s is not a table of this program's: it is begun anew", path)
        return {}
