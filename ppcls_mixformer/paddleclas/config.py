"""Configs as PaddleClas reads them, with a word on every override that it would swallow."""

import difflib
import logging
from pathlib import Path

import yaml
from ppcls.utils import config as ppcls_config

from ppcls_mixformer import zoo
from ppcls_mixformer.hosting.errors import HostError
from ppcls_mixformer.network import mixformer
from ppcls_mixformer.paddleclas.backbone import HOST_KEYS

logger = logging.getLogger(__name__)

OPTIONAL_SECTIONS = {
    "AMP": ("use_amp", "level", "scale_loss", "use_dynamic_loss_scaling", "use_fp16_test", "use_promote"),
    "EMA": ("decay",),
}
ARCH_KEYS = ("name", "pretrained", "use_sync_bn", *HOST_KEYS)


def load(path, overrides):
    """PaddleClas's config from the YAML at `path` with `key=value` overrides.

    Raises:
        HostError: no such file, no YAML, not a PaddleClas config, or a malformed override.
    """
    if not Path(path).is_file():
        raise HostError(f"config file not found: {path}")
    try:
        config = ppcls_config.parse_config(path)
    except yaml.YAMLError as error:
        raise HostError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from None
    missing = [s for s in ("Global", "Arch", "DataLoader") if not isinstance(config, dict) or s not in config]
    if missing:
        raise HostError(f"{path} is not a PaddleClas config: it has no section {', '.join(missing)}")
    known = [*dotted_keys(config), *optional_keys()]
    for override in overrides:
        check_override(config, override, known, path)
    ppcls_config.override_config(config, overrides)
    return config


def dotted_keys(node, prefix=""):
    """Every key of a nested config as PaddleClas's `-o` spells it, `DataLoader.Train.dataset.name`."""
    items = enumerate(node) if isinstance(node, list) else node.items()
    for key, value in items:
        yield f"{prefix}{key}"
        if isinstance(value, (dict, list)):
            yield from dotted_keys(value, f"{prefix}{key}.")


def optional_keys():
    """Keys that PaddleClas or MixFormer reads though a config may leave them out, dotted."""
    arch = [*zoo.arguments_of(mixformer.MixFormer), *ARCH_KEYS]
    for section, keys in {**OPTIONAL_SECTIONS, "Arch": arch}.items():
        yield from (f"{section}.{key}" for key in keys)


def check_override(config, override, known, path):
    """Warns of a `key=value` whose key is not known, and makes the sections it needs.

    Raises:
        HostError: not `key=value`, or a key that passes through a plain value or a list's end.
    """
    key, separator, value = override.partition("=")
    if not separator or not key or "=" in value:
        raise HostError(f"-o {override}: an override is written key=value, with one =")
    near = difflib.get_close_matches(key, known, n=1, cutoff=0.0)
    hint = f"; the nearest key there is {near[0]}" if near else ""
    node = config
    *sections, _ = key.split(".")
    for section in sections:
        if isinstance(node, list):
            if not section.isdigit() or int(section) >= len(node):
                raise HostError(f"-o {key}: {path} has no such list entry{hint}")
            node = node[int(section)]
        else:
            if node.get(section) is None:
                node[section] = ppcls_config.AttrDict()
            node = node[section]
        if not isinstance(node, (dict, list)):
            raise HostError(f"-o {key}: {section} is a plain value in {path}{hint}")
    if key not in known:
        logger.warning("-o %s: %s has no such key, it is added%s", key, path, hint)
