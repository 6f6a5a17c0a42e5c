"""Differences between PaddleClas releases and today's Paddle, each bridged where it shows.

Nothing is changed on disk. Each function says its symptom and does nothing where it is absent.
"""

import builtins
import contextlib
import importlib
import inspect
import logging
import os
import re
import sys
import types
from pathlib import Path

import numpy as np
import paddle
import ppcls.data
import ppcls.engine.engine
import ppcls.loss
import ppcls.metric
from PIL import ImageOps
from ppcls.arch import DistillationModel
from ppcls.data.dataloader.multilabel_dataset import MultiLabelDataset
from ppcls.data.preprocess.ops import timm_autoaugment
from ppcls.metric import metrics
from ppcls.optimizer import optimizer
from ppcls.utils import config, download, misc, save_load
from ppcls.utils.ema import ExponentialMovingAverage

from ppcls_mixformer.hosting import archives, expressions, paddle_bridges, safe_yaml
from ppcls_mixformer.hosting.errors import UserError, first_line
from ppcls_mixformer.hosting.patches import replace_once, shadow_module
from ppcls_mixformer.hosting.whole import saves_whole
from ppcls_mixformer.paddleclas import (
    accumulation,
    distillation,
    infer,
    labels,
    lists,
    operators,
    parts,
    precision,
    reading,
    results,
    steps,
)
from ppcls_mixformer.paddleclas import weights as starting_weights
from ppcls_mixformer.weights import pickles

logger = logging.getLogger(__name__)


def apply():
    """Applies every bridge; applying them again changes nothing."""
    paddle_bridges.apply()
    for bridge in (
        checkpoints_that_run_nothing,
        configs_that_run_nothing,
        archives.guard,
        one_element_scalars,
        one_element_meters,
        fluid_set_flags,
        one_log_line,
        device_id_on_cpu,
        ema_of_integers,
        whole_checkpoints,
        best_metric_on_resume,
        posterize_to_black,
        names_that_numpy_dropped,
        names_that_python_dropped,
        downloads_without_fluid,
        lists_as_people_have_them,
        arguments_of_networks,
        distillation.apply,
        steps.apply,
        parts.apply,
        frozen_teachers,
        last_batches_on_windows,
        reading.apply,
        operators.register,
        results.apply,
        labels.apply,
        infer.names_as_people_have_them,
        accumulated_gradients,
        watched_engines,
        precision_as_configured,
    ):
        bridge()


def checkpoints_that_run_nothing():
    """All releases: `paddle.load` runs whatever a pickle asks for."""
    pickles.guard()


def configs_that_run_nothing():
    """All releases: `eval` of numbers and names in a config, and of what follows `-o KEY=`."""
    with contextlib.suppress(ImportError):  # of a package for GPUs, which hardly anybody has
        importlib.import_module("ppcls.data.dataloader.dali")
    shadow_module(config, "yaml", load=safe_yaml.load)
    config.eval = expressions.value
    expressions.guard("ppcls")


def one_element_scalars():
    """PaddleClas 2.3 and 2.4: `loss.numpy()[0]` is an IndexError, scalars are 0-D since Paddle 2.5."""
    from ppcls.engine.train import utils

    if "numpy()[0]" not in inspect.getsource(utils):
        return
    shadow_module(metrics, "paddle", mean=_mean_of_one_element)
    for combined in (ppcls.loss.CombinedLoss, ppcls.metric.CombinedMetrics):
        replace_once(combined, "__call__", _with_one_element_values)


def _mean_of_one_element(*args, **kwargs):
    return paddle.mean(*args, **kwargs).reshape([1])


def _with_one_element_values(original):
    def call(*args, **kwargs):
        values = original(*args, **kwargs)
        for key, value in values.items():
            if isinstance(value, paddle.Tensor) and value.ndim == 0:
                values[key] = value.reshape([1])
        return values

    return call


def one_element_meters():
    """PaddleClas 2.4: the same `.numpy()[0]`, of the average that a metric keeps."""
    if "numpy()[0]" in inspect.getsource(misc):
        replace_once(misc.AverageMeter, "update", _with_one_element_value)


def _with_one_element_value(original):
    def update(self, val, *args, **kwargs):
        is_scalar = isinstance(val, paddle.Tensor) and val.ndim == 0
        return original(self, val.reshape([1]) if is_scalar else val, *args, **kwargs)

    return update


def fluid_set_flags():
    """PaddleClas 2.3: its AMP branch calls `paddle.fluid.set_flags`, gone since Paddle 2.6."""
    if not hasattr(paddle, "fluid"):
        paddle.fluid = types.SimpleNamespace(set_flags=_set_known_flags)


def _set_known_flags(flags):
    """Sets flags one by one; one that only a GPU build has is a ValueError on a CPU build."""
    for name, value in flags.items():
        try:
            paddle.set_flags({name: value})
        except ValueError:
            logger.debug("%s is not a flag of this Paddle, left out", name)


def one_log_line():
    """PaddleClas 2.3: logs each line twice, its logger is Python's root, which Paddle uses too."""
    if inspect.signature(ppcls.engine.engine.init_logger).parameters["name"].default == "root":
        replace_once(ppcls.engine.engine, "init_logger", _with_its_own_logger)


def _with_its_own_logger(original):
    def init_logger(name="ppcls", **kwargs):
        logging.getLogger("ppcls").propagate = False
        return original(name="ppcls", **kwargs)

    return init_logger


def device_id_on_cpu():
    """PaddleClas 2.4 and later: evaluation on several CPU ranks asks for a `device_id` they lack."""
    if not hasattr(paddle.distributed.ParallelEnv, "_device_id"):
        paddle.distributed.ParallelEnv._device_id = 0


def ema_of_integers():
    """PaddleClas 2.5 and 2.6: EMA turns integer buffers into floats; gathers by them then fail."""
    if hasattr(ExponentialMovingAverage, "_update"):
        replace_once(ExponentialMovingAverage, "_update", _floats_only)


def _floats_only(original):
    def update(self, model, update_fn):
        def update_floats(ema_value, model_value):
            if model_value.is_floating_point():
                return update_fn(ema_value, model_value)
            return model_value

        return original(self, model, update_floats)

    return update


def whole_checkpoints():
    """All releases: a job that dies while saving leaves a half-written checkpoint over a good one."""
    replace_once(save_load, "save_model", saves_whole)


def best_metric_on_resume():
    """All releases: a resumed run forgets the best metric, and a worse epoch replaces `best_model`."""
    replace_once(ppcls.engine.engine, "init_model", _with_best_metric)


def _with_best_metric(original):
    def init_model(config, *args, **kwargs):
        states = original(config, *args, **kwargs)
        best = Path(str(config.get("checkpoints"))).parent / "best_model.pdstates"
        if states is not None and best.is_file():
            states["metric"] = paddle.load(str(best))["metric"]
        return states

    return init_model


def posterize_to_black():
    """All releases: TimmAutoAugment asks for 0 bits at times, which was black; Pillow 12 raises an error.

    The dataset would log that error and take another picture.
    """
    shadow_module(timm_autoaugment, "ImageOps", posterize=_posterize)


def _posterize(image, bits):
    return ImageOps.posterize(image, bits) if bits > 0 else image.point([0] * 256 * len(image.getbands()))


def names_that_numpy_dropped():
    """All releases: AutoAugment and some batch transforms use `np.int`, `np.bool`, … of numpy before 1.24."""
    for name, module in list(sys.modules.items()):
        if name.startswith("ppcls.data.") and hasattr(module, "np"):
            used = set(re.findall(r"\bnp\.(int|bool|float|object)\b", inspect.getsource(module)))
            if used:
                shadow_module(module, "np", **{key: vars(builtins)[key] for key in used})


def names_that_python_dropped():
    """PaddleClas 2.5: its SGD uses `inspect.getargspec`, gone since Python 3.11."""
    if "inspect.getargspec" in inspect.getsource(optimizer):
        shadow_module(optimizer, "inspect", getargspec=inspect.getfullargspec)


def downloads_without_fluid():
    """PaddleClas 2.3: weights of its networks are downloaded with `paddle.fluid`, gone since Paddle 2.6."""
    if "paddle.fluid" in inspect.getsource(download.get_path_from_url):
        for module in (download, save_load):
            module.get_weights_path_from_url = starting_weights.downloaded


def lists_as_people_have_them():
    """All releases: a blank line, a byte-order mark or a name with spaces in a list file is a ValueError.

    And the locale's encoding is taken. Pictures are looked for by preflight, not in each process.
    """
    for name in lists.DATASETS:
        dataset = getattr(ppcls.data, name, None)  # MultiScaleDataset came with 2.4
        if dataset is not None:
            replace_once(dataset, "_load_anno", _read_strictly)


def _read_strictly(original):
    def load(self, *args, **kwargs):
        if args or kwargs or getattr(self, "relabel", False):
            return original(self, *args, **kwargs)
        several = isinstance(self, MultiLabelDataset)
        self.label_ratio = False
        listing = lists.read(self._cls_path, getattr(self, "delimiter", None), several)
        self.images = [os.path.join(self._img_root, image) for image in listing.images]
        self.labels = [list(map(np.int64, label)) if several else np.int64(label) for label in listing.labels]

    return load


def arguments_of_networks():
    """All releases: an argument that a network does not take is a TypeError from its depths."""
    replace_once(ppcls.engine.engine, "build_model", _in_one_line)


def _in_one_line(original):
    def build_model(*args, **kwargs):
        try:
            return original(*args, **kwargs)
        except TypeError as error:
            if "argument" not in str(error):
                raise
            raise UserError(f"Arch: {first_line(error)}") from error

    return build_model


def frozen_teachers():
    """All releases: a teacher with frozen weights goes on learning batch statistics, and so changes."""
    replace_once(DistillationModel, "forward", _with_teachers_at_rest)


def _with_teachers_at_rest(original):
    def forward(self, *args, **kwargs):
        for model in self.model_list:
            if model.training and not any(parameter.trainable for parameter in model.parameters()):
                model.eval()
        return original(self, *args, **kwargs)

    return forward


def last_batches_on_windows():
    """All releases: on Windows the last batch of an epoch and of an evaluation is left out."""
    for name, module in list(sys.modules.items()):
        if name.startswith("ppcls.engine") and hasattr(module, "platform"):
            shadow_module(module, "platform", system=lambda: "any")


def precision_as_configured():
    """All releases: an Engine reads no white list of mixed precision, and compiles with Paddle's defaults."""
    replace_once(ppcls.engine.engine.Engine, "__init__", _as_configured)


def _as_configured(original):
    def __init__(self, config, *args, **kwargs):
        precision.hand_on_white_list(config)
        with precision.fused_products(config):
            original(self, config, *args, **kwargs)

    return __init__


def accumulated_gradients():
    """PaddleClas 2.3 and 2.4: `Global.update_freq` is not read, and each batch is a step.

    All releases: above the batches of an epoch nothing is trained, or another number is taken.
    """
    replace_once(ppcls.engine.engine.Engine, "__init__", _accumulating)


def _accumulating(original):
    def __init__(self, config, mode="train", *args, **kwargs):
        count = accumulation.size(config) if mode == "train" else 1
        is_read = accumulation.KEY in inspect.getsource(ppcls.engine.engine)
        with contextlib.ExitStack() as stack:
            if count > 1:
                stack.enter_context(accumulation.checked(count))
            if count > 1 and not is_read:
                stack.enter_context(accumulation.scheduled(count))
            original(self, config, mode, *args, **kwargs)
        if count > 1 and not is_read:
            self.update_freq = count
            self.train_epoch_func = accumulation.in_groups(self.train_epoch_func, count)

    return __init__


def watched_engines():
    """All releases: an Engine knows nothing of pictures that fail, and saves weights that are NaN."""
    replace_once(ppcls.engine.engine.Engine, "__init__", _watching)


def _watching(original):
    def __init__(self, config, *args, **kwargs):
        original(self, config, *args, **kwargs)
        parts.look_at(self)
        reading.watch_loaders(self, config)
        if self.mode == "train":
            results.watch_epochs(self)
            steps.watch_epochs(self)

    return __init__
