"""Labels that are no class number: of mixed pictures, and of pictures with several labels."""

import functools
import inspect
import logging
import re
import types

import paddle.nn.functional as F
import ppcls.data.postprocess
from ppcls.data.postprocess import topk as postprocess
from ppcls.loss import celoss

from ppcls_mixformer.hosting.errors import UserError
from ppcls_mixformer.hosting.patches import replace_once, replaced, shadow_module
from ppcls_mixformer.paddleclas import names, schema

logger = logging.getLogger(__name__)

MIXING = ("MixupOperator", "CutmixOperator", "FmixOperator")
MULTI_LABEL = ("MultiLabelDataset", "MultiLabelLoss")
SINGLE_LABEL = {"ImageNetDataset": "MultiLabelDataset", "TopkAcc": "HammingDistance or AccuracyScore"}
LIKELY = 0.5  # probability of a label that is shown
TOLERANCE = 1e-3  # of a sum of probabilities in half precision

# What Topk asks for probabilities.
INDEPENDENT = types.SimpleNamespace(softmax=lambda x, axis=-1: F.sigmoid(x))


def apply():
    """Applies every bridge; applying them again changes nothing."""
    soft_labels()
    top_labels()


def soft_labels():
    """All releases but 2.5: CELoss without epsilon takes the labels of mixed pictures for logits.

    They go through a softmax, and perfect logits have a high loss. PaddleClas 2.5 takes the logits of a
    teacher for probabilities instead.
    """
    shadow_module(celoss, "F", softmax=_probabilities)
    replace_once(celoss.CELoss, "forward", _with_probabilities)


def _with_probabilities(original):
    def forward(self, x, label):
        scores = x["logits"] if isinstance(x, dict) else x
        if label.is_floating_point() and label.shape == scores.shape:
            label = _probabilities(label)
        return original(self, x, label)

    return forward


def _probabilities(x, axis=-1):
    """The softmax of logits `x`; probabilities are returned as they are."""
    sums = x.sum(axis=axis)
    are_shares = bool((x >= 0).all()) and bool(((sums - 1).abs() < TOLERANCE).all())
    return x if are_shares else F.softmax(x, axis=axis)


def top_labels():
    """All releases: labels that do not exclude each other are shown as shares of one.

    PaddleClas 2.3 to 2.5 have a MultiLabelTopk, which drops its arguments: no names, and no number of labels.
    """
    ppcls.data.postprocess.MultiLabelTopk = MultiLabelTopk


class MultiLabelTopk(postprocess.Topk):
    """The likeliest labels of a picture, each with its own probability."""

    def __init__(self, topk=None, **arguments):
        """Shows `topk` labels; those that are likelier than not where it is None."""
        super().__init__(topk=topk or 1, **arguments)
        self.shows_all = topk is None

    def __call__(self, x, file_names=None):
        """One dict for each picture: class_ids, scores, label_names and file_name."""
        x = x["logits"] if isinstance(x, dict) else x
        if self.shows_all:
            self.topk = x.shape[-1]
        with replaced(postprocess, "F", INDEPENDENT):
            pictures = super().__call__(x, file_names)
        return [_likely(picture) for picture in pictures] if self.shows_all else pictures


def _likely(picture):
    count = sum(score >= LIKELY for score in picture["scores"])
    return {key: value[:count] if isinstance(value, list) else value for key, value in picture.items()}


def check(config, mode):
    """Makes what `mode` reads right about labels, with one line for each change, or refuses it.

    Raises:
        UserError: labels of several classes that are not said to be.
    """
    if mode == "train":
        check_mixing(config)
    check_multi_label(config)
    if mode == "infer":
        show_independent(config)
    if "Eval" in schema.splits_of(config, mode):
        check_last_batch(config)


def check_renamed(config):
    """Refuses a part that PaddleClas keeps only to say its new name, in a traceback.

    Raises:
        UserError: names the key and the new name.
    """
    for use in names.looked_up(config):
        found = use.find()
        source = _source(found) if callable(found) else ""
        if "DeprecationWarning" in source:
            new = re.search(r'please use \\?"(\w+)', source)
            instead = f": it is {new[1]} now" if new else ""
            raise UserError(f"{use.key}: this PaddleClas does not have {use.name} any more{instead}")


@functools.lru_cache(maxsize=None)  # Python reads the whole module for each
def _source(part):
    try:
        return inspect.getsource(part)
    except (OSError, TypeError):
        return ""


def check_mixing(config):
    """Takes Metric.Train out where pictures are mixed: they have no class to be right about."""
    operators = (config["DataLoader"].get("Train") or {}).get("dataset", {}).get("batch_transform_ops") or []
    mixing = [name for operator in operators for name in operator if name in MIXING or name == "OpSampler"]
    if mixing and (config.get("Metric") or {}).get("Train"):
        del config["Metric"]["Train"]
        logger.warning(
            "Metric.Train: %s mixes pictures, which have no accuracy; training without it", mixing[0]
        )


def check_multi_label(config):
    """Refuses several labels for each picture without use_multilabel, and one label with it."""
    found = multi_label_part(config)
    if found and not config["Global"].get("use_multilabel"):
        raise UserError(
            f"{found} is for several labels a picture, but Global.use_multilabel is not True: "
            "add -o Global.use_multilabel=True"
        )
    if config["Global"].get("use_multilabel"):
        _check_single_label_parts(config)


def show_independent(config):
    """Has `infer` show several labels with a probability of their own."""
    shown = config["Infer"]["PostProcess"]
    if config["Global"].get("use_multilabel") and shown.get("name") == "Topk":
        shown["name"] = "MultiLabelTopk"


def _check_single_label_parts(config):
    for use in names.looked_up(config):
        if use.name in SINGLE_LABEL and not use.key.startswith("Infer"):
            raise UserError(
                f"{use.key.removesuffix('.name')} {use.name} is for one label a picture, but "
                f"Global.use_multilabel is True: take {SINGLE_LABEL[use.name]}, or leave use_multilabel out"
            )


def multi_label_part(config):
    """The first dataset or loss of a config that is for several labels a picture, as `key name`."""
    for use in names.looked_up(config):
        if use.name in MULTI_LABEL:
            return f"{use.key.removesuffix('.name')} {use.name}"
    return None


def check_last_batch(config):
    """Has evaluation count the last pictures, too, which `drop_last` leaves out."""
    split = config["DataLoader"].get("Eval") or {}
    for key, part in (("", split), *((f".{name}", split.get(name)) for name in ("Query", "Gallery"))):
        sampler = (part or {}).get("sampler") or {}
        if sampler.get("drop_last"):
            sampler["drop_last"] = False
            logger.warning("DataLoader.Eval%s.sampler.drop_last: evaluation counts all pictures", key)
