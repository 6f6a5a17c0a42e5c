"""Losses, metrics, datasets and samplers that a config asks for and that fail: one line, with their names."""

import functools
import logging

import numpy as np
import ppcls.engine.engine
import ppcls.loss
import ppcls.metric

from ppcls_mixformer.hosting.errors import UserError, gist
from ppcls_mixformer.hosting.patches import replace_once
from ppcls_mixformer.hosting.reading import operator_of

logger = logging.getLogger(__name__)

# Of an Engine, in all releases; a Combined… holds the parts of a list of the config.
COMBINED = {
    "train_loss_func": "Loss.Train",
    "eval_loss_func": "Loss.Eval",
    "unlabel_train_loss_func": "UnLabelLoss.Train",
    "train_metric_func": "Metric.Train",
    "eval_metric_func": "Metric.Eval",
}
ROOMS = ("ppcls.loss.", "ppcls.metric.", "ppcls.data.", "paddle.io")


def apply():
    """All releases: what a part asserts, or an index or key that is not there, ends in a traceback."""
    for combined in (ppcls.loss.CombinedLoss, ppcls.metric.CombinedMetrics):
        replace_once(combined, "__call__", _in_one_line)
    replace_once(ppcls.engine.engine, "build_dataloader", _built_in_one_line)


def _in_one_line(original):
    @functools.wraps(original)
    def __call__(self, *args, **kwargs):
        try:
            return original(self, *args, **kwargs)
        except Exception as error:  # whatever a loss or a metric raises
            raise refusal(getattr(self, "key", type(self).__name__), error) from error

    return __call__


def _built_in_one_line(original):
    @functools.wraps(original)
    def build_dataloader(config, mode, *args, **kwargs):
        try:
            return original(config, mode, *args, **kwargs)
        except Exception as error:  # whatever a dataset or a sampler raises
            raise refusal(split_key(mode), error) from error

    return build_dataloader


def refusal(key, error):
    """The UserError of an `error` in a part of the section `key`."""
    if isinstance(error, UserError):
        return error
    part = operator_of(error, ROOMS)
    return UserError(f"{key}: {part}{' fails: ' if part else ''}{gist(error)}")


def split_key(mode):
    """Dotted key of the split that PaddleClas builds as `mode`."""
    return f"DataLoader.Eval.{mode}" if mode in ("Query", "Gallery") else f"DataLoader.{mode}"


def look_at(engine):
    """Tells the parts of `engine` their keys, and looks whether its metrics of retrieval can be right.

    Raises:
        UserError: a metric that the pictures do not suffice for.
    """
    for attribute, key in COMBINED.items():
        if getattr(engine, attribute, None) is not None:
            getattr(engine, attribute).key = key
    both = getattr(engine, "gallery_query_dataloader", None)
    gallery = both or getattr(engine, "gallery_dataloader", None)
    if gallery is not None and hasattr(gallery, "dataset"):  # and not DALI's
        check_topk(engine.eval_metric_func, len(gallery.dataset))
        queries = (both or engine.query_dataloader).dataset
        warn_of_known_pictures(queries, gallery.dataset)
        warn_of_lonely_queries(queries, gallery.dataset)


def check_topk(metrics, count):
    """Refuses a `topk` above the `count` of pictures in the gallery, of which PaddleClas dies at last."""
    for metric in metrics.metric_func_list:
        topk = getattr(metric, "topk", ())
        if max(topk, default=0) > count:
            raise UserError(
                f"Metric.Eval: {type(metric).__name__}.topk is {list(topk)}, but the gallery "
                f"has {count} pictures; lower it"
            )


def warn_of_known_pictures(queries, gallery):
    """Warns of queries that are in the gallery, too: they find themselves first, as if that were a success.

    Where pictures have cameras, PaddleClas leaves out those of the same object by the same camera.
    """
    known = files(queries) & files(gallery)
    if known and not getattr(gallery, "cameras", ()):
        logger.warning(
            "DataLoader.Eval: %d of %d queries are in the gallery too, and find themselves; "
            "the metrics are too high",
            *(len(known), len(queries)),
        )


def files(dataset):
    """Paths of the pictures of a dataset; some, such as CIFAR, have no files."""
    return {image for image in getattr(dataset, "images", ()) if isinstance(image, str)}


def classes(dataset):
    """The class of each picture; there is none where a picture has several labels."""
    return [int(label) for label in getattr(dataset, "labels", ()) if np.ndim(label) == 0]


def warn_of_lonely_queries(queries, gallery):
    """Warns of queries of whose class the gallery has nothing: blocks with them are weighed wrongly.

    PaddleClas leaves them out of the mean of a block of `Global.sim_block_size` queries, but not out of the
    weight of the block; a block of such queries is no number.
    """
    known = set(classes(gallery))
    lonely = sum(number not in known for number in classes(queries))
    if lonely:
        logger.warning(
            "DataLoader.Eval: of the classes of %d of %d queries the gallery has no picture: PaddleClas "
            "leaves them out, and the metrics are not exact; take them out of the list",
            *(lonely, len(queries)),
        )
