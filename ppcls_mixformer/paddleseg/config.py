"""Configs as PaddleSeg reads them, with a word on every override that it would swallow."""

import difflib
import inspect
import logging
from pathlib import Path

import yaml
from paddleseg.cvlibs import Config, manager

from ppcls_mixformer.hosting.errors import UserError

logger = logging.getLogger(__name__)

COMPONENTS = (manager.MODELS, manager.BACKBONES, manager.DATASETS, manager.LOSSES, manager.OPTIMIZERS)


def load(path, overrides, **settings):
    """PaddleSeg's Config from the YAML at `path`.

    Args:
        overrides: `key=value` strings.
        settings: `learning_rate`, `batch_size` and `iters`, each None where the config's is meant.

    Raises:
        UserError: no such file, no YAML, not a PaddleSeg config, or a malformed override.
    """
    check_file(path)
    try:
        known = list(dotted_keys(Config(path).dic))
        config = Config(path, opts=overrides, **settings)
    except FileNotFoundError as error:
        raise UserError(f"{path}: its _base_ {error.filename} does not exist") from None
    except yaml.YAMLError as error:
        raise UserError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from None
    except (AssertionError, RuntimeError) as error:
        raise UserError(f"{path} is no config for PaddleSeg: {str(error).splitlines()[-1]}") from None
    for override in overrides:
        warn_of_unknown(override.partition("=")[0], known, path)
    return config


def check_file(path):
    """Refuses what is not there or no mapping in YAML."""
    if not Path(path).is_file():
        raise UserError(f"config file not found: {path}")
    if Path(path).suffix not in (".yml", ".yaml"):
        raise UserError(f"{path}: PaddleSeg reads .yml and .yaml only")
    try:
        content = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(content, dict):
        raise UserError(f"{path} is no config for PaddleSeg: it holds no sections")


def dotted_keys(node, prefix=""):
    """Every key that `--opts` can name: those of the config, and arguments of its components."""
    for key in {**dict.fromkeys(arguments_of(node.get("type"))), **node}:
        yield f"{prefix}{key}"
        if isinstance(node.get(key), dict):
            yield from dotted_keys(node[key], f"{prefix}{key}.")


def arguments_of(name):
    """Names of the arguments of the component `name`, none where there is no such."""
    found = [c.components_dict[name] for c in COMPONENTS if name in c.components_dict]
    return list(inspect.signature(found[0]).parameters) if found else []


def warn_of_unknown(key, known, path):
    """Warns of the override of a key that neither the config nor its components have."""
    if key not in known:
        near = difflib.get_close_matches(key, known, n=1, cutoff=0.0)
        hint = f"; the nearest key there is {near[0]}" if near else ""
        logger.warning("--opts %s: %s has no such key, it is added%s", key, path, hint)
