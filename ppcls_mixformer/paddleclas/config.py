"""Configs as PaddleClas reads them, and a warning of every override that it would ignore silently."""

from ppcls.utils import config as ppcls_config

from ppcls_mixformer import zoo
from ppcls_mixformer.hosting import configs
from ppcls_mixformer.hosting.cli import Settings
from ppcls_mixformer.hosting.errors import UserError
from ppcls_mixformer.paddleclas import preflight, schema
from ppcls_mixformer.paddleclas.backbone import ARCH_KEYS, backbone_section
from ppcls_mixformer.paddleclas.flags import HOST_MODES, parser


def settings(argv, mode):
    """Flags and PaddleClas's config, checked for `mode` (train, eval, infer, explain, report, export).

    Raises:
        UserError: something about the config or a file that a user can fix.
    """
    flags = parser(mode).parse_args(argv)
    config, unknown = read(flags.config, flags.override)
    config.profiler_options = flags.profiler_options
    config.skip_unreadable = getattr(flags, "skip_unreadable", False)
    if mode == "explain":
        config.setdefault("Infer", ppcls_config.AttrDict())["infer_imgs"] = flags.image
        config.Infer.pop("infer_list", None)
    if mode in HOST_MODES or getattr(flags, "report", None) is not None:
        config.Global.to_static = False  # a compiled network has no layers to be looked at
    checked = Settings(flags, config)
    preflight.check(checked, mode, said=unknown)
    return checked


def load(name, overrides):
    """PaddleClas's config from the YAML that `name` means, see `configs.find`, with `key=value` overrides.

    Raises:
        UserError: no such file, no YAML, not a PaddleClas config, or a malformed override.
    """
    return read(name, overrides)[0]


def read(name, overrides):
    """As `load`; and the keys among the overrides of which it warned, since nobody knows them."""
    path = configs.find(name)
    content = configs.read_yaml(path)
    missing = _missing(content)
    if missing:
        raise UserError(f"{path} is not a PaddleClas config: it has no section {', '.join(missing)}")
    config = ppcls_config.AttrDict(content)  # as `parse_config` does, which would parse the file once more
    ppcls_config.create_attr_dict(config)
    known = [*dotted_keys(config), *optional_keys(config)]
    keys = [check_override(config, override, known, path) for override in overrides]
    ppcls_config.override_config(config, overrides)
    for name in _missing(config):
        raise UserError(f"-o {name} replaces a section, which every command needs: override keys below it")
    return config, [key for key in keys if key not in known]


def _missing(config):
    """The sections that every command needs and `config` has not."""
    return [name for name in ("Global", "Arch", "DataLoader") if not isinstance(config.get(name), dict)]


def dotted_keys(node, prefix=""):
    """Every key of a nested config as PaddleClas's `-o` spells it, `DataLoader.Train.dataset.name`."""
    items = enumerate(node) if isinstance(node, list) else node.items()
    for key, value in items:
        yield f"{prefix}{key}"
        if isinstance(value, (dict, list)):
            yield from dotted_keys(value, f"{prefix}{key}.")


def optional_keys(config):
    """Keys that PaddleClas or MixFormer reads though a config may leave them out, dotted."""
    backbone, _ = backbone_section(config["Arch"])
    arch = [*zoo.resolve("MixFormer_B0"), *ARCH_KEYS]
    yield from (f"{backbone}.{key}" for key in arch)
    yield from schema.known_keys(config)


def check_override(config, override, known, path):
    """Warns of a `key=value` whose key is not known, and makes the sections it needs; returns the key.

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
    return key
