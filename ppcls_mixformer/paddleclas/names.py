"""Names in a config that PaddleClas looks up, and the arguments that go to what it finds."""

from collections.abc import Sequence
from typing import Any, NamedTuple, Optional

import paddle.regularizer
import ppcls.arch
import ppcls.arch.gears
import ppcls.data
import ppcls.data.postprocess
import ppcls.data.preprocess
import ppcls.data.preprocess.batch_ops.batch_operators
import ppcls.loss
import ppcls.metric
from ppcls.optimizer import learning_rate, optimizer

from ppcls_mixformer.hosting import expressions
from ppcls_mixformer.hosting.errors import UserError, placed
from ppcls_mixformer.paddleclas.backbone import ARCH_KEYS, networks

PACKAGES = ("ppcls", "paddle", "ppcls_mixformer")
# What networks that are put together read of the section Arch, in whichever release.
PARTS = {"RecModel": ("Backbone", "BackboneStopLayer", "Neck", "Head", "head_feature_from")}


class Use(NamedTuple):
    """A name in a config, and what stands beside or under it.

    Attributes:
        key: where the name is, dotted; `place`: where its arguments are.
        module: in which it is looked up.
        arguments: that the config gives; None or a dict, unless the config is wrong.
        taken: names among them that PaddleClas takes for itself; those in `needed` must be there.
        given: names of arguments that PaddleClas adds.
        trial: values for these, with which it can be built to see whether it can; None where it cannot.
    """

    key: str
    place: str
    module: Any
    name: str
    arguments: Any
    taken: Sequence[str] = ()
    needed: Sequence[str] = ()
    given: Sequence[str] = ()
    trial: Optional[dict] = None

    def find(self):
        """The class or function.

        Raises:
            UserError: there is none; the message names the key and the nearest.
        """
        with placed(self.key):
            return expressions.find(self.module, self.name, PACKAGES)


def check(config):
    """Refuses a loss, metric, optimizer, dataset or transform that this PaddleClas does not have.

    Raises:
        UserError: names the key and the nearest name.
    """
    for use in looked_up(config):
        use.find()


def looked_up(config):
    """Every `Use` of a name in `config`.

    Raises:
        UserError: an entry of a list that is none.
    """
    for split, entries in _items(config, "Loss"):
        for use in _in_list(f"Loss.{split}", entries, ppcls.loss):
            yield use._replace(taken=("weight",), needed=("weight",), trial={})
    for split, entries in _items(config, "Metric"):
        for use in _in_list(f"Metric.{split}", entries, ppcls.metric):
            yield use._replace(trial={})
    for key, name, settings in optimizers(config):
        yield from _of_optimizer(key, name, settings, config["Global"].get("epochs"))
    yield from _of_arch(config["Arch"])
    for key, node in splits(config):
        yield from _of_split(key, node, config["Arch"].get("class_num"))
    infer = config.get("Infer")
    if isinstance(infer, dict):
        for use in _in_list("Infer.transforms", infer.get("transforms"), ppcls.data.preprocess):
            yield use._replace(trial={})
        for use in _named(infer, "PostProcess", ppcls.data.postprocess, "Infer."):
            yield use._replace(trial={})


def optimizers(config):
    """`(key, name, section)` of each optimizer: a mapping, or a list of them in later releases."""
    section = config.get("Optimizer")
    if isinstance(section, dict) and "name" in section:
        yield "Optimizer", section["name"], section
    for index, entry in enumerate(section if isinstance(section, list) else ()):
        for name, settings in entry.items() if isinstance(entry, dict) else ():
            if isinstance(settings, dict):
                yield f"Optimizer.{index}.{name}", name, settings


def _of_optimizer(key, name, settings, epochs):
    where = f"{key}.name" if "name" in settings else key
    taken = ("name", "lr", "regularizer", "clip_norm", "clip_norm_global", "scope")
    given = ("learning_rate", "grad_clip")
    # AdamWDL asks the network for its layers.
    trial = {"learning_rate": 1.0, "grad_clip": None} if name != "AdamWDL" else None
    yield Use(where, key, optimizer, str(name), settings, taken, ("lr",), given, trial)
    for use in _named(settings, "lr", learning_rate, f"{key}."):
        yield use._replace(
            given=("epochs", "step_each_epoch"), trial={"epochs": epochs, "step_each_epoch": 9}
        )
    yield from _named(settings, "regularizer", paddle.regularizer, f"{key}.", suffix="Decay")


def _of_arch(arch):
    for use in (*_named({"Arch": arch}, "Arch", ppcls.arch), *_named(arch, "Backbone", ppcls.arch, "Arch.")):
        yield use._replace(taken=(*ARCH_KEYS, "class_num", *PARTS.get(use.name, ())))
    for key, section in networks(arch) if "models" in arch else ():
        yield Use(
            f"{key}.name", key, ppcls.arch, str(section.get("name")), section, (*ARCH_KEYS, "class_num")
        )
    for gear in ("Neck", "Head"):
        yield from _named(arch, gear, ppcls.arch.gears, "Arch.")


def splits(config):
    """`(key, section)` of each data set in `DataLoader`, those in a split (Query and Gallery) included."""

    def below(key, node):
        if not isinstance(node, dict):
            return
        if "dataset" in node:
            yield key, node
        else:
            for name, value in node.items():
                yield from below(f"{key}.{name}", value)

    for name, node in _items(config, "DataLoader"):
        yield from below(f"DataLoader.{name}", node)


def _of_split(key, node, class_num):
    dataset = node["dataset"]
    for use in _named(node, "dataset", ppcls.data, f"{key}."):
        yield use._replace(taken=("name", "batch_transform_ops"))
    for use in _named(node, "sampler", ppcls.data, f"{key}."):
        yield use._replace(given=("dataset", "data_source", "total_epochs"))
    if not isinstance(dataset, dict):
        return
    for use in _in_list(f"{key}.dataset.transform_ops", dataset.get("transform_ops"), ppcls.data.preprocess):
        yield use._replace(trial={})
    operators = f"{key}.dataset.batch_transform_ops"
    for use in _in_list(operators, dataset.get("batch_transform_ops"), ppcls.data.preprocess):
        yield use._replace(given=("class_num",), trial={"class_num": class_num})
        if use.name == "OpSampler" and isinstance(use.arguments, dict):
            yield from _sampled(use.place, use.arguments)


def _sampled(key, operators):
    """The operators from which OpSampler takes one."""
    module = ppcls.data.preprocess.batch_ops.batch_operators
    for name, settings in operators.items():
        place = f"{key}.{name}"
        yield Use(place, place, module, str(name), settings, ("prob",), (), ("class_num",))


def _items(node, key):
    section = node.get(key)
    return section.items() if isinstance(section, dict) else ()


def _named(node, key, module, prefix="", suffix=""):
    section = node.get(key)
    if isinstance(section, dict) and "name" in section:
        place = f"{prefix}{key}"
        yield Use(f"{place}.name", place, module, f"{section['name']}{suffix}", section, ("name",))


def _in_list(key, entries, module):
    for index, entry in enumerate(entries if isinstance(entries, list) else ()):
        if not isinstance(entry, dict) or len(entry) != 1:
            raise UserError(f"{key}.{index} is {entry!r}; it takes one name with its arguments below it")
        ((name, settings),) = entry.items()
        yield Use(f"{key}.{index}", f"{key}.{index}.{name}", module, str(name), settings)
