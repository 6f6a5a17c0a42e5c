"""The form of a config: which keys must be there, which may be, and what values they take."""

import contextlib
import logging

from ppcls_mixformer.hosting.advice import nearest
from ppcls_mixformer.hosting.errors import UserError
from ppcls_mixformer.paddleclas import arguments, keys, lists, names
from ppcls_mixformer.paddleclas.fields import (
    AMP,
    BARE_SAMPLER,
    COUNT,
    DATASET,
    DEFAULTS,
    ENTRIES,
    EVERY,
    GLOBAL,
    INFER,
    LIST,
    LISTED_DATASET,
    LOADER,
    MAPPING,
    OPTIMIZERS,
    RATE,
    SAMPLER,
    SPLIT,
    TEXT,
    Field,
)
from ppcls_mixformer.paddleclas.keys import CUTOFF

logger = logging.getLogger(__name__)


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
        arguments.check(use, said)
    for use in uses:
        if use.trial is not None and use.place.startswith(read):
            arguments.try_out(use)


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
                others = {name: nearest(name, homes) for name in section if name not in fields}
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
            parameters, _ = arguments.parameters_of(use.find())
            yield from (f"{use.place}.{name}" for name in (*parameters, *use.taken))
