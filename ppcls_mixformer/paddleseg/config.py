"""Configs as PaddleSeg reads them, and a warning of every override that it would ignore silently."""

import inspect
from pathlib import Path

from paddleseg.cvlibs import Config, manager

from ppcls_mixformer.hosting import configs
from ppcls_mixformer.hosting.cli import Settings
from ppcls_mixformer.hosting.errors import UserError
from ppcls_mixformer.paddleseg import preflight
from ppcls_mixformer.paddleseg.flags import parser

NONE, TRUE, FALSE = ("", "~", "null"), ("true", "yes", "on"), ("false", "no", "off")
WORDS = {word: value for words, value in ((NONE, "None"), (TRUE, "True"), (FALSE, "False")) for word in words}
COMPONENTS = (manager.MODELS, manager.BACKBONES, manager.DATASETS, manager.LOSSES, manager.OPTIMIZERS)
# Sections of a config, each with a key in it.
SECTIONS = {
    **dict.fromkeys(("model", "train_dataset", "val_dataset", "optimizer", "lr_scheduler"), "type=NAME"),
    **dict.fromkeys(("loss", "distill_loss"), "coef=[1]"),
    "test_config": "is_slide=True",
}


def settings(argv, mode):
    """Flags and PaddleSeg's config, checked for `mode` (train, eval, infer, export).

    Raises:
        UserError: something about the config or a file that a user can fix.
    """
    flags = parser(mode).parse_args(argv)
    recipe = {}
    if mode == "train":
        recipe = {
            "learning_rate": flags.learning_rate,
            "batch_size": flags.batch_size,
            "iters": flags.iters,
        }
    checked = Settings(flags, load(flags.config, flags.opts, **recipe))
    preflight.check(checked, mode)
    if mode != "train" or flags.resume_model:  # a checkpoint of the whole network follows
        (checked.config.dic["model"].get("backbone") or {}).pop("pretrained", None)
    return checked


def load(name, overrides, **recipe):
    """PaddleSeg's Config from the YAML that `name` means, see `configs.find`.

    Args:
        overrides: `key=value` strings.
        recipe: `learning_rate`, `batch_size` and `iters`; None keeps what the config says.

    Raises:
        UserError: no such file, no YAML, not a PaddleSeg config, or a malformed override.
    """
    path = configs.find(name)
    if Path(path).suffix not in configs.SUFFIXES:
        raise UserError(f"{path}: PaddleSeg reads .yml and .yaml only")
    content = configs.read_yaml(path)  # PaddleSeg crashes on anything but a mapping
    wrong = [
        not_a_section(key, content[key]) for key in SECTIONS if not isinstance(content.get(key, {}), dict)
    ]
    if wrong:
        raise UserError(*(f"{path}: {text}" for text in wrong))
    try:
        with configs.valid_yaml(path):
            content = Config(path).dic
        known = list(dotted_keys(content))
        for override in overrides:
            check_override(content, override, known, path)
        return Config(path, opts=[as_python(override) for override in overrides], **recipe)
    except (AssertionError, RuntimeError, ValueError) as error:
        raise UserError(f"{path} is not a PaddleSeg config: {str(error).splitlines()[-1]}") from None


def as_python(override):
    """A `key=value` with YAML's words for nothing, true and false as Python, which PaddleSeg reads, has them.

    It takes them for texts: `null` for a file of that name, `false` and `no` for true.
    """
    key, value = configs.split_override("--opts", override)
    return f"{key}={WORDS.get(value.strip().lower(), value)}"


def dotted_keys(node, prefix=""):
    """Every key that `--opts` can name: those of the config, and arguments of its components."""
    for key in {**dict.fromkeys(arguments_of(node.get("type"))), **node}:
        yield f"{prefix}{key}"
        if isinstance(node.get(key), dict):
            yield from dotted_keys(node[key], f"{prefix}{key}.")


def arguments_of(name):
    """Names of the arguments of the component `name`, none where there is no such component."""
    found = [c.components_dict[name] for c in COMPONENTS if name in c.components_dict]
    return list(inspect.signature(found[0]).parameters) if found else []


def check_override(content, override, known, path):
    """Warns of a `key=value` whose key is not among the `known` ones.

    Raises:
        UserError: not `key=value`, or a key in a section that `content`, the config, does not have.
    """
    key, value = configs.split_override("--opts", override)
    if "=" in value:
        raise UserError(f"--opts {override}: an override is written key=value, with one =")
    *sections, last = key.split(".")
    for section in sections:
        content = content.get(section)
        if not isinstance(content, dict):
            raise UserError(
                f"--opts {key}: {path} has no section {section}{configs.nearest_hint(key, known)}"
            )
    is_section = isinstance(content.get(last), dict) or key in SECTIONS
    is_none = value.strip().lower() in (*NONE, "none") and key not in SECTIONS
    if is_section and not is_none and not value.strip().startswith("{"):
        raise UserError(f"--opts {not_a_section(key, value)}")
    configs.warn_of_unknown_key("--opts", key, known, path)


def not_a_section(key, value):
    """Says that the value of `key` is none of a section."""
    return f"{key}: it is {value}, not a section of keys, such as {key}.{SECTIONS.get(key, 'type=NAME')}"
