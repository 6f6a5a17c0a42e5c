"""Keys of a config's sections: what values they take, and which commands fail without them."""

import inspect
import re
from collections.abc import Sequence
from typing import Callable, NamedTuple

import ppcls.optimizer
from ppcls.engine.engine import Engine

EVERY = ("train", "eval", "infer", "export")


class Kind(NamedTuple):
    """What a value must be, in words, and whether one is."""

    words: str
    holds: Callable


def _is_whole(value, least):
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


COUNT = Kind("a whole number from 1 on", lambda value: _is_whole(value, 1))
NATURAL = Kind("a whole number from 0 on", lambda value: _is_whole(value, 0))
INTERVAL = Kind("a whole number other than 0", lambda value: type(value) is int and value != 0)
SWITCH = Kind("True or False", lambda value: isinstance(value, bool))
FLAG = Kind("True or False", lambda value: isinstance(value, bool) or value in (0, 1))
TEXT = Kind("a path", lambda value: isinstance(value, str) and value.strip() != "")
SHAPE = Kind(
    "channels, height and width, such as [3, 224, 224]",
    lambda value: isinstance(value, (list, tuple))
    and len(value) == 3
    and all(_is_whole(n, 1) for n in value),
)
SHARE = Kind("a share of all pictures, from 0 to 1", lambda v: type(v) in (int, float) and 0 <= v <= 1)
RATE = Kind("a number above 0", lambda value: type(value) in (int, float) and value > 0)
MAPPING = Kind("a section", lambda value: isinstance(value, dict))
LIST = Kind("a list with at least one entry", lambda value: isinstance(value, list) and len(value) > 0)
ENTRIES = Kind("a list", lambda value: isinstance(value, list))
TEXTS = Kind("a path", lambda value: TEXT.holds(value) or (LIST.holds(value) and all(map(TEXT.holds, value))))
OPTIMIZERS = Kind("a section", lambda value: isinstance(value, dict) or _is_list_of_optimizers(value))
DEVICES = re.findall(r'"(\w+)"', re.search(r'"device"\s*\] in \[([^]]*)', inspect.getsource(Engine))[1])
DEVICE = Kind(f"one of {', '.join(DEVICES)}", lambda value: value in DEVICES)
MODE = Kind("classification, retrieval or adaface", lambda v: v in ("classification", "retrieval", "adaface"))


def _is_list_of_optimizers(value):
    """A list of names with their arguments, which later releases take."""
    takes_lists = "scope" in inspect.getsource(ppcls.optimizer.build_optimizer)
    return takes_lists and LIST.holds(value) and all(MAPPING.holds(entry) and entry for entry in value)


class Field(NamedTuple):
    """A key that PaddleClas reads: what it takes, and the modes that fail without it."""

    kind: Kind
    modes: Sequence[str] = ()
    takes_null: bool = True


GLOBAL = {
    "output_dir": Field(TEXT, EVERY),
    "device": Field(DEVICE, EVERY),
    "epochs": Field(COUNT, ("train",)),
    "save_interval": Field(INTERVAL, ("train",)),
    "print_batch_step": Field(COUNT, ("train", "eval")),
    "eval_during_train": Field(FLAG, ("train",)),
    "eval_interval": Field(COUNT),
    "eval_mode": Field(MODE, takes_null=False),
    "image_shape": Field(SHAPE, ("export",)),
    "save_inference_dir": Field(TEXT, ("export",)),
    "use_visualdl": Field(FLAG),
    "to_static": Field(FLAG),
    "fuse_gemm_epilogue": Field(FLAG),
    "use_dali": Field(FLAG),
    "use_multilabel": Field(FLAG),
    "seed": Field(NATURAL),
    "update_freq": Field(COUNT),
    "keep_checkpoints": Field(COUNT),
    "early_stopping": Field(COUNT),
    "unreadable_share": Field(SHARE, takes_null=False),
}
AMP = {
    "use_amp": Field(FLAG),
    "scale_loss": Field(RATE, takes_null=False),
    "use_dynamic_loss_scaling": Field(FLAG),
    "use_fp16_test": Field(FLAG),
    "use_promote": Field(FLAG),
}
SPLIT = {"dataset": Field(MAPPING, EVERY), "sampler": Field(MAPPING, EVERY), "loader": Field(MAPPING, EVERY)}
DATASET = {
    "name": Field(TEXT, EVERY),
    "image_root": Field(TEXT),
    "cls_label_path": Field(TEXTS),
    "transform_ops": Field(LIST),
}
LISTED_DATASET = {key: field._replace(modes=EVERY) for key, field in DATASET.items()}
LOADER = {"num_workers": Field(NATURAL, EVERY), "use_shared_memory": Field(FLAG, EVERY)}
SAMPLER = {
    "batch_size": Field(COUNT, takes_null=False),
    "drop_last": Field(SWITCH, takes_null=False),
    "shuffle": Field(SWITCH, takes_null=False),
}
BARE_SAMPLER = {key: field._replace(modes=EVERY) for key, field in SAMPLER.items()}  # no class is asked
INFER = {
    "infer_imgs": Field(TEXT, EVERY),
    "batch_size": Field(COUNT, EVERY),
    "transforms": Field(LIST, EVERY),
    "PostProcess": Field(MAPPING, EVERY),
}
# What PaddleClas reads by its name, and fails without, though nothing says what it should be but this.
DEFAULTS = {"use_visualdl": False, "epochs": 1}
