"""The form of a config: which keys must be there, which may be, and what values they take."""

import contextlib
import copy
import inspect
import io
import logging
import re
from typing import Callable, NamedTuple, Sequence

import paddle
import ppcls.optimizer
from paddle.utils import unique_name
from ppcls.engine.engine import Engine
from ppcls.optimizer import learning_rate, optimizer
from ppcls.utils import logger as logger_of_ppcls

from ppcls_mixformer import zoo
from ppcls_mixformer.hosting import expressions
from ppcls_mixformer.hosting.advice import nearest
from ppcls_mixformer.hosting.errors import UserError, gist
from ppcls_mixformer.hosting.patches import replaced
from ppcls_mixformer.paddleclas import keys, lists, names

logger = logging.getLogger(__name__)

CUTOFF = 0.8  # of likeness, from which on an unknown key is taken for a misspelt one
EVERY = ("train", "eval", "infer", "export")
CLOSED_CUTOFF = 0.6  # in sections of which every key is known


# Values


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


# Sections


def check(config, mode, said=()):
    """Refuses a config that lacks what `mode` needs or has it in another form; warns of misspelt keys.

    Args:
        said: dotted keys of which there was a warning already.

    Raises:
        UserError: names the key, what it takes, and where there is one the key that it was written as.
    """
    for key in keys.SECTIONS:
        section = config.get(key) if key else config
        if isinstance(section, dict):
            warn_of_unknown(key, section, said)
            if mode == "train":
                refuse_unread(key, section)
    check_fields("Global", config["Global"], GLOBAL, mode)
    check_fields("AMP", config.get("AMP") or {}, AMP, mode)
    for key, default in DEFAULTS.items():
        config["Global"].setdefault(key, default)
    for key, section, fields in sections(config, mode):
        check_fields(key, section, fields, mode)
    warn_of_misplaced(config, said)
    uses, read = list(names.looked_up(config)), prefixes(config, mode)
    for use in uses:
        check_arguments(use, said)
    for use in uses:
        if use.trial is not None and use.place.startswith(read):
            try_out(use)


def prefixes(config, mode):
    """What the keys start with of what `mode` builds, beside the network."""
    if mode == "train":
        return ("Loss.Train", "Metric.Train", "Optimizer", "DataLoader.Train", *_evaluated(config, mode))
    return ("Infer.",) if mode == "infer" else _evaluated(config, mode)


def _evaluated(config, mode):
    return ("Loss.Eval", "Metric.Eval", "DataLoader.Eval") if evaluates(config, mode) else ()


def evaluates(config, mode):
    """Whether `mode` evaluates."""
    return mode == "eval" or (mode == "train" and bool(config["Global"]["eval_during_train"]))


def splits_of(config, mode):
    """The parts of `DataLoader` that `mode` reads."""
    return ["Train"] * (mode == "train") + ["Eval"] * evaluates(config, mode)


def sections(config, mode):
    """`(key, section, fields)` of all sections that `mode` reads, but Global."""
    needs = {}
    measured = EVERY if config["Global"].get("eval_mode") != "adaface" else ()
    if mode == "train":
        needs.update(Loss=Field(MAPPING, EVERY), Optimizer=Field(OPTIMIZERS, EVERY))
    if evaluates(config, mode):
        needs.update(Metric=Field(MAPPING, measured))
        if mode == "train":
            yield "Global", config["Global"], {"eval_interval": Field(COUNT, EVERY)}
    if mode == "infer":
        needs.update(Infer=Field(MAPPING, EVERY))
    yield "", config, needs
    if mode == "train":
        yield "Loss", config["Loss"], {"Train": Field(LIST, EVERY), "Eval": Field(LIST)}
        yield from _of_optimizers(config)
    if evaluates(config, mode):
        if config["Global"].get("eval_mode") == "retrieval":  # without a loss it reports a metric of 0
            yield "", config, {"Loss": Field(MAPPING, EVERY)}
            yield "Loss", config["Loss"], {"Eval": Field(LIST, EVERY)}
        yield "Metric", config.get("Metric") or {}, {"Eval": Field(LIST, measured), "Train": Field(ENTRIES)}
    for split in splits_of(config, mode):
        yield "DataLoader", config["DataLoader"], {split: Field(MAPPING, EVERY)}
        yield from _of_loaders(config, split)
    if mode == "infer":
        yield "Infer", config["Infer"], INFER
        fields = {"name": Field(TEXT, EVERY), "class_id_map_file": Field(TEXT)}
        yield "Infer.PostProcess", config["Infer"]["PostProcess"], fields


def _of_optimizers(config):
    if isinstance(config["Optimizer"], dict):
        yield "Optimizer", config["Optimizer"], {"name": Field(TEXT, EVERY)}
    for key, _, settings in names.optimizers(config):
        yield key, settings, {"lr": Field(MAPPING, EVERY)}
        rate = Field(RATE, () if "name" in settings["lr"] else EVERY)  # a schedule's class is asked
        yield f"{key}.lr", settings["lr"], {"learning_rate": rate}


def _of_loaders(config, split):
    section = config["DataLoader"][split]
    inside = {split: section} if not section or any(key in section for key in SPLIT) else section
    for name, node in inside.items():
        key = f"DataLoader.{split}" if node is section else f"DataLoader.{split}.{name}"
        yield f"DataLoader.{split}", {name: node}, {name: Field(MAPPING, EVERY)}
        yield key, node, SPLIT
        dataset = node["dataset"]
        yield f"{key}.dataset", dataset, LISTED_DATASET if dataset.get("name") in lists.DATASETS else DATASET
        sampler = node["sampler"]
        yield f"{key}.sampler", sampler, SAMPLER if "name" in sampler else BARE_SAMPLER
        yield f"{key}.loader", node["loader"], LOADER


def check_fields(key, section, fields, mode):
    """Refuses a `section` without a field that `mode` needs, or with a value that is none for it."""
    prefix = f"{key}." if key else ""
    for name, field in fields.items():
        value = section.get(name)
        if value is None and mode in field.modes:
            near = nearest(name, [other for other in section if other not in fields], CUTOFF)
            raise UserError(
                f"the config has no {prefix}{name}, which {mode} needs: {field.kind.words}"
                + (f"; is {prefix}{near} meant?" if near else "")
            )
        is_wrong = value is not None and not field.kind.holds(value)
        if is_wrong or (value is None and name in section and not field.takes_null):
            raise UserError(f"{prefix}{name} is {value!r}; it takes {field.kind.words}")


def warn_of_unknown(key, section, said):
    """Warns of keys that PaddleClas reads under another name, or only in a later release."""
    prefix, since, known = f"{key}." if key else "", keys.since(key), keys.known(key)
    for name in section:
        if name in known or f"{prefix}{name}" in said:
            continue
        if name in since:
            logger.warning(
                "%s%s: PaddleClas %s and later read it, this is %s",
                prefix,
                name,
                since[name],
                keys.release(),
            )
            continue
        near = nearest(name, known, CUTOFF)
        if near:
            logger.warning("%s%s: PaddleClas reads no such key; is it %s%s?", prefix, name, prefix, near)


def refuse_unread(key, section):
    """Refuses what a later release would train with, and this one without."""
    prefix, since, known = f"{key}." if key else "", keys.since(key), keys.known(key)
    for name in keys.DECISIVE.get(key, ()):
        if section.get(name) and name not in known:
            raise UserError(
                f"{prefix}{name}: PaddleClas {since[name]} and later train with it, this is "
                f"{keys.release()}: leave it out, or set PADDLECLAS_HOME to a clone of a later one"
            )


def warn_of_misplaced(config, said):
    """Warns of keys of loaders that are misspelt, or not in the section where PaddleClas reads them."""
    everything = {}
    for key, node in names.splits(config):
        inside = {
            key: (node, SPLIT),
            f"{key}.sampler": (node.get("sampler"), SAMPLER),
            f"{key}.loader": (node.get("loader"), LOADER),
        }
        homes = {name: f"{place}.{name}" for place, (_, fields) in inside.items() for name in fields}
        everything = {**homes, **everything}
        for place, (section, fields) in inside.items():
            if isinstance(section, dict) and "name" not in section:  # a sampler's class is asked
                others = {name: nearest(name, homes, CLOSED_CUTOFF) for name in section if name not in fields}
                _warn_of_homes(place, others, homes, said)
    for place in ("Global", "DataLoader"):
        others = {name: name for name in config[place] if name in everything}
        _warn_of_homes(place, others, everything, said)


def _warn_of_homes(place, others, homes, said):
    for name, near in others.items():
        if near and f"{place}.{name}" not in said:
            logger.warning("%s.%s: PaddleClas reads no such key; is it %s?", place, name, homes[near])


def known_keys(config):
    """Dotted keys that a release of PaddleClas reads though `config` may leave them out."""
    for section in keys.SECTIONS:
        yield from (f"{section}.{key}" if section else key for key in keys.since(section))
    for use in names.looked_up(config):
        with contextlib.suppress(UserError):
            yield from (f"{use.place}.{name}" for name in (*parameters_of(use.find())[0], *use.taken))


# Arguments


def check_arguments(use, said=()):
    """Refuses arguments that what `use` names does not take, lacks, or takes of another type.

    Raises:
        UserError: names the key.
    """
    arguments = {} if use.arguments is None else use.arguments
    if not isinstance(arguments, dict):
        raise UserError(f"{use.place} is {arguments!r}; it takes the arguments of {use.name}, a section")
    for name in use.needed:
        if name not in arguments:
            raise UserError(f"the config has no {use.place}.{name}, which is required{_is_it(name, use)}")
    found = use.find()
    if use.name in zoo.VARIANTS:
        return  # `check_arch` has looked at them
    parameters, takes_others = parameters_of(found)
    known = [*parameters, *use.taken]
    for name, value in arguments.items():
        if name in use.taken:
            continue
        if name in parameters:
            _check_type(f"{use.place}.{name}", value, parameters[name])
            continue
        _check_unknown(use, name, known, takes_others, said)
    for name, parameter in parameters.items():
        if parameter.default is parameter.empty and name not in {**arguments, **dict.fromkeys(use.given)}:
            raise UserError(
                f"the config has no {use.place}.{name}, which {use.name} needs{_is_it(name, use, known)}"
            )


def try_out(use):
    """Builds what `use` names, alone, since no signature says which values can be.

    Raises:
        UserError: it cannot be built; the message names the section.
    """
    found = use.find()
    own = {key: value for key, value in (use.arguments or {}).items() if key not in use.taken}
    takes = parameters_of(found)[0]
    own.update({key: value for key, value in use.trial.items() if key in takes})
    try:
        with _quiet(), unique_name.guard():  # or parameters of a resumed run get other names than they had
            built = found(**copy.deepcopy(own))
            if use.module is optimizer:
                built([paddle.nn.Linear(1, 1)])
            elif callable(built) and use.module is learning_rate:
                built()
    except UserError as error:
        raise UserError(f"{use.place}: {error}") from None
    except Exception as error:  # whatever the class makes of a value that it was not made for
        raise UserError(
            f"{use.place}: {use.name} cannot be built with these arguments ({gist(error)})"
        ) from error


@contextlib.contextmanager
def _quiet():
    """PaddleClas has set up no logger yet, and would say everything twice."""
    silent = logging.Logger("silent", logging.CRITICAL + 1)
    with replaced(logger_of_ppcls, "_logger", silent), contextlib.redirect_stdout(io.StringIO()):
        yield


def _is_it(name, use, known=()):
    near = nearest(name, [key for key in use.arguments or () if key not in known], CUTOFF)
    return f"; is {use.place}.{near} meant?" if near else ""


def _check_unknown(use, name, known, takes_others, said):
    near = nearest(name, known, CUTOFF if takes_others else 0.6)
    if not takes_others:
        raise UserError(
            f"{use.place}.{name} is not an argument of {use.name}"
            + (f"; did you mean {near}?" if near else "")
        )
    place = f"{use.place}.{name}"
    if near and place not in said:
        logger.warning("%s: %s reads no such key; is it %s.%s?", place, use.name, use.place, near)


def parameters_of(found):
    """`{name: parameter}` of a class or function, and whether it takes others as well.

    What hands everything on (`*args, **kwargs`) to the class that it is built on has the parameters of that.
    """
    functions = [vars(kind)["__init__"] for kind in getattr(found, "__mro__", ()) if "__init__" in vars(kind)]
    if not functions:
        functions = [found]
    named, rest = {}, {inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD}
    for function in functions:
        parameters = inspect.signature(function).parameters.values()
        named.update({p.name: p for p in parameters if p.kind not in rest and p.name not in ("self", *named)})
        kinds = {parameter.kind for parameter in parameters}
        if not rest <= kinds:
            break
    return named, inspect.Parameter.VAR_KEYWORD in kinds


def _check_type(key, value, parameter):
    """Refuses text where the default is a number or a switch, as a slip of the pen gives it."""
    default = parameter.default
    if not isinstance(value, str) or type(default) not in (bool, int, float):
        return
    try:
        evaluated = expressions.value(value)
    except ValueError:
        evaluated = value
    if isinstance(evaluated, str) and parameter.name != "pretrained":
        words = "True or False" if isinstance(default, bool) else "a number"
        raise UserError(f"{key} is {value!r}; it takes {words}, such as {default}")
