"""Names in a config that PaddleClas looks up: each must be one that it has, not whatever the lookup finds."""

import paddle.regularizer
import ppcls.arch
import ppcls.arch.gears
import ppcls.data
import ppcls.data.postprocess
import ppcls.data.preprocess
import ppcls.loss
import ppcls.metric
from ppcls.optimizer import learning_rate, optimizer

from ppcls_mixformer.hosting import expressions
from ppcls_mixformer.hosting.errors import UserError

PACKAGES = ("ppcls", "paddle", "ppcls_mixformer")


def check(config):
    """Refuses a loss, metric, optimizer, dataset or transform that this PaddleClas does not have.

    Raises:
        UserError: names the key and the nearest name.
    """
    for key, module, name in looked_up(config):
        try:
            expressions.find(module, name, PACKAGES)
        except UserError as error:
            raise UserError(f"{key}: {error}") from None


def looked_up(config):
    """`(key, module, name)` of every name that PaddleClas looks up in a module."""
    for section, module in (("Loss", ppcls.loss), ("Metric", ppcls.metric)):
        for split, entries in _items(config, section):
            yield from _in_list(f"{section}.{split}", entries, module)
    yield from _named(config, "Optimizer", optimizer)
    settings = config.get("Optimizer") or {}
    yield from _named(settings, "lr", learning_rate, "Optimizer.")
    yield from _named(settings, "regularizer", paddle.regularizer, "Optimizer.", suffix="Decay")
    yield from _named(config, "Arch", ppcls.arch)
    yield from _named(config["Arch"], "Backbone", ppcls.arch, "Arch.")
    for gear in ("Neck", "Head"):
        yield from _named(config["Arch"], gear, ppcls.arch.gears, "Arch.")
    for split, entries in _items(config, "DataLoader"):
        yield from _of_split(f"DataLoader.{split}", entries)
    infer = config.get("Infer") or {}
    yield from _in_list("Infer.transforms", infer.get("transforms"), ppcls.data.preprocess)
    yield from _named(infer, "PostProcess", ppcls.data.postprocess, "Infer.")


def _of_split(key, node):
    """The same of a split of `DataLoader`, which may be a dict of such (Query and Gallery)."""
    if not isinstance(node, dict):
        return
    if "dataset" not in node:
        for name in node:
            yield from _of_split(f"{key}.{name}", node[name])
        return
    for part in ("dataset", "sampler"):
        yield from _named(node, part, ppcls.data, f"{key}.")
    for operators in ("transform_ops", "batch_transform_ops"):
        yield from _in_list(
            f"{key}.dataset.{operators}", node["dataset"].get(operators), ppcls.data.preprocess
        )


def _items(node, key):
    section = node.get(key)
    return section.items() if isinstance(section, dict) else ()


def _named(node, key, module, prefix="", suffix=""):
    section = node.get(key)
    if isinstance(section, dict) and "name" in section:
        yield f"{prefix}{key}.name", module, f"{section['name']}{suffix}"


def _in_list(key, entries, module):
    for index, entry in enumerate(entries if isinstance(entries, list) else ()):
        if isinstance(entry, dict):
            yield from ((f"{key}.{index}", module, name) for name in entry)
