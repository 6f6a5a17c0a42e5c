"""Configs as PaddleClas reads them, and a warning of every override that it would ignore silently."""

from ppcls.utils import config as ppcls_config

from ppcls_mixformer import zoo
from ppcls_mixformer.hosting import configs
from ppcls_mixformer.hosting.cli import Settings
from ppcls_mixformer.hosting.errors import UserError
from ppcls_mixformer.paddleclas import preflight
from ppcls_mixformer.paddleclas.backbone import ARCH_KEYS
from ppcls_mixformer.paddleclas.flags import parser

OPTIONAL_SECTIONS = {
    "AMP": ("use_amp", "level", "scale_loss", "use_dynamic_loss_scaling", "use_fp16_test", "use_promote"),
    "EMA": ("decay",),
    "Global": ("unreadable_share", "use_multilabel"),
}


def settings(argv, mode):
    """Flags and PaddleClas's config, checked for `mode` (train, eval, infer, export).

    Raises:
        UserError: something about the config or a file that a user can fix.
    """
    flags = parser(mode).parse_args(argv)
    config = load(flags.config, flags.override)
    config.profiler_options = flags.profiler_options
    checked = Settings(flags, config)
    preflight.check(checked, mode)
    return checked


def load(name, overrides):
    """PaddleClas's config from the YAML that `name` means, see `configs.find`, with `key=value` overrides.

    Raises:
        UserError: no such file, no YAML, not a PaddleClas config, or a malformed override.
    """
    path = configs.find(name)
    content = configs.read_yaml(path)  # PaddleClas crashes on anything but a mapping
    missing = [name for name in ("Global", "Arch", "DataLoader") if not isinstance(content.get(name), dict)]
    if missing:
        raise UserError(f"{path} is not a PaddleClas config: it has no section {', '.join(missing)}")
    config = ppcls_config.parse_config(path)
    known = [*dotted_keys(config), *optional_keys(config)]
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


def optional_keys(config):
    """Keys that PaddleClas or MixFormer reads though a config may leave them out, dotted."""
    backbone, _ = preflight.backbone_section(config["Arch"])
    arch = [*zoo.resolve("MixFormer_B0"), *ARCH_KEYS]
    for section, keys in {**OPTIONAL_SECTIONS, backbone: arch}.items():
        yield from (f"{section}.{key}" for key in keys)


def check_override(config, override, known, path):
    """Warns of a `key=value` whose key is not known, and makes the sections it needs.

    Raises:
        UserError: not `key=value`, or a key that passes through a plain value or a list's end.
    """
    key, value = configs.split_override("-o", override)
    if "=" in value:
        raise UserError(f"-o {override}: an override is written key=value, with one =")
    node = config
    *sections, _ = key.split(".")
    for section in sections:
        if isinstance(node, list):
            if not section.isdigit() or int(section) >= len(node):
                raise UserError(f"-o {key}: {path} has no such list entry{configs.nearest_hint(key, known)}")
            node = node[int(section)]
        else:
            if node.get(section) is None:
                node[section] = ppcls_config.AttrDict()
            node = node[section]
        if not isinstance(node, (dict, list)):
            raise UserError(
                f"-o {key}: {section} is a plain value in {path}{configs.nearest_hint(key, known)}"
            )
    configs.warn_of_unknown_key("-o", key, known, path)
