"""Runs that stop and go on: what PaddleClas's trainer saves and keeps, and how a resumed run goes on."""

import contextlib
import functools
import hashlib
import inspect
import json
import logging
import random
import re
from pathlib import Path

import numpy as np
import paddle
import ppcls.engine.engine
from paddle.optimizer.lr import LRScheduler
from ppcls.utils import save_load

from ppcls_mixformer.hosting.errors import UserError
from ppcls_mixformer.hosting.patches import replaced
from ppcls_mixformer.paddleclas import accumulation, history

logger = logging.getLogger(__name__)

RUN = "run"  # key of a `.pdstates` file under which lies what the run was
KEEP = "keep_checkpoints"
BEST = "Metric.Eval, DataLoader.Eval"  # of a run: what chooses its best model
WORDS = {
    "Optimizer": "the section Optimizer",
    "DataLoader.Train": "the lists of DataLoader.Train",
    BEST: "Metric.Eval or the lists of DataLoader.Eval (the best metric starts anew)",
}


def run(engine):
    """Trains with PaddleClas's `engine`.

    - `latest` is saved after every epoch, `epoch_N` every `Global.save_interval`, of which the last
      `Global.keep_checkpoints` stay, all by default. An evaluation that fails loses no epoch.
    - A resumed run draws the random numbers that it would have drawn if it had not stopped, and follows the
      learning-rate schedule of its config, from its epoch on.
    - `results.csv` gets a row for each epoch, and the run ends after `Global.early_stopping` evaluations
      without a better metric.
    """
    settings, past = engine.config["Global"], history.of(engine)
    interval, settings["save_interval"] = settings["save_interval"], 1
    engine.train_epoch_func = past.of_training(_of_that_epoch(engine.train_epoch_func, settings.get("seed")))
    engine.eval = past.of_evaluation(engine.eval)
    save = _keeping(save_load.save_model, interval, settings.get(KEEP), description(engine))
    engine.eval = _losing_no_epoch(engine.eval, functools.partial(_save_latest, engine, engine.model, save))
    resume = _on_schedule(ppcls.engine.engine.init_model, engine)
    with replaced(save_load, "save_model", save), replaced(ppcls.engine.engine, "init_model", resume):
        try:
            engine.train()
        except history.NothingImproves:
            logger.info(
                "Global.%s: the last %d evaluations brought nothing better, so the run ends here; the best "
                "model is best_model",
                *(history.PATIENCE, past.waited()),
            )
            if engine.vdl_writer is not None:
                engine.vdl_writer.close()


def check_resume(states, config):
    """Refuses to resume where nothing is left to train, or the classes are others.

    Args:
        states: content of the checkpoint's `.pdstates`.

    Raises:
        UserError: names the keys.
    """
    path, epochs = config["Global"]["checkpoints"], config["Global"]["epochs"]
    if states.get("epoch", 0) >= epochs:
        raise UserError(
            f"Global.checkpoints: {path} is of epoch {states['epoch']}, and Global.epochs is {epochs}: "
            "nothing is left to train; raise Global.epochs to go on"
        )
    before, now = states.get(RUN, {}).get("classes"), classes(config["Arch"])
    if before != now and before is not None:
        raise UserError(
            f"Global.checkpoints: {path} is of a run with {before} classes, this config has {now}; to start "
            "from its weights with another head, set Arch.pretrained instead"
        )


def classes(arch):
    """The class count of the section `Arch`, None where it has none."""
    return arch.get("class_num") or (arch.get("Head") or {}).get("class_num")


# What is saved and kept


def _keeping(save_model, interval, keep, run):
    """PaddleClas's `save_model`, called after every epoch, which saves `epoch_N` every `interval`.

    Args:
        keep: how many of those stay; None for all.
        run: what is saved as the description of the run.
    """
    signature = inspect.signature(save_model)

    @functools.wraps(save_model)
    def save(*args, **kwargs):
        call = signature.bind(*args, **kwargs)
        call.apply_defaults()
        values = call.arguments
        epoch = re.fullmatch(r"epoch_(\d+)", values["prefix"])
        if epoch and int(epoch[1]) % interval:
            return
        values["metric_info"] = {**values["metric_info"], RUN: run}
        save_model(*call.args, **call.kwargs)
        if epoch and keep and paddle.distributed.get_rank() == 0:
            folder = Path(values["model_path"], values["model_name"])
            folder = folder if folder.is_dir() else folder.parent  # 2.6 has no folder of the model's name
            _remove_before(folder, int(epoch[1]), keep)

    return save


def _losing_no_epoch(evaluate, save_latest):
    """The engine's `eval`, after which `save_latest(epoch)` is called where it ends the run."""

    @functools.wraps(evaluate)
    def evaluate_or_save(epoch_id=0):
        try:
            return evaluate(epoch_id)
        except BaseException:  # Ctrl-C, too: what it ends is the evaluation
            save_latest(epoch_id)
            raise

    return evaluate_or_save


def _save_latest(engine, model, save_model, epoch):
    """Saves `latest` as PaddleClas does after an epoch without evaluation.

    Args:
        model: what is trained; while its average is evaluated, `engine.model` is that.
    """
    settings, folder = engine.config["Global"], Path(engine.output_dir)
    parts = {
        "ema": engine.model_ema.module if getattr(engine, "ema", False) else None,
        "loss": engine.train_loss_func,
        "model_name": engine.config["Arch"]["name"],
        "prefix": "latest",
    }
    known = inspect.signature(save_model).parameters  # 2.3 saves neither EMA nor losses
    if settings.get("uniform_output_enabled"):
        folder = folder / "latest"
    save_model(
        model,
        engine.optimizer,
        {"metric": 0.0, "epoch": epoch},
        str(folder),
        **{name: part for name, part in parts.items() if name in known},
    )


def _remove_before(folder, epoch, keep):
    """Removes `epoch_N` in `folder` up to `epoch` but for the last `keep`, of each the `.pdstates` first."""
    saved = (re.fullmatch(r"epoch_(\d+)\.pdparams", path.name) for path in folder.iterdir())
    numbers = sorted(number for number in (int(name[1]) for name in saved if name) if number <= epoch)
    for number in numbers[:-keep]:
        for path in sorted(folder.glob(f"epoch_{number}[._]*"), key=lambda path: path.suffix != ".pdstates"):
            path.unlink()


# What a resumed run goes on with


def _of_that_epoch(train_epoch, seed):
    """PaddleClas's `train_epoch`, with the order and the random numbers of that epoch in a resumed run, too.

    Args:
        seed: `Global.seed`; without one only the order of the pictures is held.
    """

    @functools.wraps(train_epoch)
    def train(engine, epoch, *args, **kwargs):
        sampler = getattr(engine.train_dataloader, "batch_sampler", None)
        if hasattr(sampler, "set_epoch"):
            sampler.set_epoch(epoch - 1)
        if seed is not None and epoch > 1:
            random.seed(seed + epoch)
            np.random.seed(seed + epoch)
            paddle.seed(seed + epoch)
        return train_epoch(engine, epoch, *args, **kwargs)

    return train


def description(engine):
    """What a run must not change when it goes on, or not without a word: names and values."""
    config, loader = engine.config, engine.train_dataloader
    sampler = config["DataLoader"]["Train"].get("sampler") or {}
    processes = paddle.distributed.get_world_size()
    return {
        "epochs": config["Global"]["epochs"],
        "steps an epoch": steps_an_epoch(engine),
        "images a step": (sampler.get("batch_size") or 0) * processes * accumulation.size(config),
        "images": len(loader.dataset) if hasattr(loader, "dataset") else None,
        "classes": classes(config["Arch"]),
        "seed": config["Global"].get("seed"),
        "Optimizer": _text(config["Optimizer"]),
        "DataLoader.Train": _lists(config["DataLoader"]["Train"]),
        BEST: _text((config.get("Metric") or {}).get("Eval")) + _lists(config["DataLoader"].get("Eval")),
    }


def _text(section):
    return json.dumps(section, sort_keys=True, default=str)


def _lists(node):
    """Digests of the list files under a section of `DataLoader`."""
    if not isinstance(node, dict):
        return ""
    found = node.get("cls_label_path") or ()
    paths = [path for path in ([found] if isinstance(found, str) else found) if Path(path).is_file()]
    digests = [hashlib.sha256(Path(path).read_bytes()).hexdigest() for path in paths]
    return " ".join([*digests, *filter(None, map(_lists, node.values()))])


def warn_of_other_lists(config):
    """Warns where a checkpoint was trained on other lists than those that `config` trains on now.

    After another split the pictures that are evaluated may be some that it has learned.
    """
    path = config["Global"].get("pretrained_model")
    if not path or not Path(f"{path}.pdstates").is_file():
        return
    before = paddle.load(f"{path}.pdstates").get(RUN, {}).get("DataLoader.Train")
    now = _lists(config["DataLoader"].get("Train"))
    if before and now and before != now:
        logger.warning(
            "%s was trained on other lists than DataLoader.Train has now: it may have learned pictures of "
            "DataLoader.Eval, so that the result is no measure of what it makes of new ones",
            path,
        )


def steps_an_epoch(engine):
    """How often PaddleClas's `engine` steps its optimizer in an epoch."""
    iterations = getattr(engine, "iter_per_epoch", len(engine.train_dataloader))  # the former since 2.6
    return iterations // getattr(engine, "update_freq", 1)


def changes(before, now):
    """In words, what of a run's description is another than `before`."""
    for name, value in now.items():
        if name in before and before[name] != value:
            yield WORDS.get(name) or f"{name} ({value}, was {before[name]})"


def _on_schedule(init_model, engine):
    """PaddleClas's `init_model`, after which the learning rate is that of the config at that epoch.

    It would go on with the last learning rate along another curve, or end in a KeyError.
    """

    @functools.wraps(init_model)
    def init(config, *args, **kwargs):
        if not config.get("checkpoints"):
            return init_model(config, *args, **kwargs)
        states = paddle.load(f"{config['checkpoints']}.pdstates")
        before, now = states.get(RUN, {}), description(engine)
        changed = list(changes(before, now))
        epoch = states["epoch"]
        with _replaced_schedules(engine.lr_sch, epoch, epoch * steps_an_epoch(engine)) as others:
            result = init_model(config, *args, **kwargs)
        if before.get(BEST, now[BEST]) != now[BEST]:
            result["metric"] = 0.0  # as of a new run: what was measured was something else
        if changed or others:
            logger.warning(
                "%s is of another run: %s; this one goes on after epoch %d as its own config has it",
                config["checkpoints"],
                ", ".join(changed) or "its learning rate followed another schedule",
                epoch,
            )
        return result

    return init


@contextlib.contextmanager
def _replaced_schedules(schedules, epoch, steps):
    """Lets a checkpoint be loaded with these schedules' own states after `epoch`; yields what differed."""
    schedules = schedules if isinstance(schedules, list) else [schedules]
    fresh = [_advanced(schedule, epoch, steps) for schedule in schedules]
    others = []

    def load_with_fresh(path, *args, **kwargs):
        content = load(path, *args, **kwargs)
        if str(path).endswith(".pdopt"):
            for state, own in zip(content if isinstance(content, list) else [content], fresh):
                if own is not None and not _same(state.get("LR_Scheduler"), own):
                    others.append(own)
                    state["LR_Scheduler"] = own
        return content

    with replaced(paddle, "load", load_with_fresh) as load:
        yield others


def _advanced(schedule, epoch, steps):
    """State of a new `schedule` after so many epochs and steps; None where more than these decide it."""
    if not isinstance(schedule, LRScheduler) or isinstance(schedule, paddle.optimizer.lr.ReduceOnPlateau):
        return None
    for _ in range(epoch if getattr(schedule, "by_epoch", False) else steps):
        schedule.step()
    return schedule.state_dict()


def _same(one, other):
    """Whether two states of schedules are equal, but for the last digits."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_same(one[key], other[key]) for key in one)
    if isinstance(one, (int, float)) and isinstance(other, (int, float)):
        return bool(np.isclose(one, other, rtol=1e-6, atol=1e-12))
    return one == other
