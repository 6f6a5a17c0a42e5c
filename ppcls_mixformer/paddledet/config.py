"""Configs as PaddleDetection reads them, and a warning of every override that it would ignore silently."""

import os
from pathlib import Path

import yaml
from ppdet.core.config.schema import SchemaDict
from ppdet.core.workspace import get_registered_modules, load_config, merge_config

from ppcls_mixformer.hosting import configs
from ppcls_mixformer.hosting.cli import Settings
from ppcls_mixformer.hosting.errors import UserError, first_line
from ppcls_mixformer.paddledet import preflight
from ppcls_mixformer.paddledet.bridges import load_yaml
from ppcls_mixformer.paddledet.classes import NAMING, options_of
from ppcls_mixformer.paddledet.flags import parser

PATHS = ("dataset_dir", "image_dir", "anno_path", "bbox_file")  # of a data set
DEVICES = ("use_gpu", "use_npu", "use_xpu", "use_mlu")
# What PaddleDetection reads though a config may leave it out, beside what its registered modules take.
OPTIONAL_KEYS = (
    *DEVICES,
    *("amp_level", "custom_black_list", "custom_white_list", "init_loss_scaling", "norm_type"),
    *("ema_decay", "use_ema", "classwise", "output_eval", "pretrain_weights", "weights", "IouType"),
    *("use_vdl", "vdl_log_dir", "find_unused_parameters", "use_fused_allreduce_gradients", "export_onnx"),
    *("oks_sigmas", "bbox_category"),
)


def settings(argv, mode):
    """Flags and PaddleDetection's config, checked for `mode` (train, eval, infer, export).

    Raises:
        UserError: something about the config or a file that a user can fix.
    """
    flags = parser(mode).parse_args(argv)
    config = load(flags.config, flags.opt)
    for name, value in vars(flags).items():  # PaddleDetection looks for its flags in the config
        if name not in ("config", "opt"):
            config[name] = value
    checked = Settings(flags, config)
    preflight.check(checked, mode)
    if mode == "eval" or (mode == "train" and flags.eval):
        make_folder_of_results(config)
    if mode != "train" or flags.resume:
        config["MixFormer"]["pretrained"] = None  # a whole checkpoint follows
    return checked


def make_folder_of_results(config):
    """Makes the folder for the result files of an evaluation: `output_eval`, or that of the checkpoints.

    Where it is not set PaddleDetection takes the folder in which a command is called.
    """
    if not config.get("output_eval"):
        config["output_eval"] = os.path.join(config.save_dir, config.filename)
    os.makedirs(config["output_eval"], exist_ok=True)


def load(name, overrides):
    """PaddleDetection's config from the YAML that `name` means, see `configs.find`, with overrides.

    Args:
        overrides: `key=value` strings.

    Raises:
        UserError: no such file, no YAML, not a PaddleDetection config, or a malformed override.
    """
    path = configs.find(name)
    modules = {name: [*module.schema] for name, module in get_registered_modules().items()}
    with configs.valid_yaml(path):
        config = _read(path)
    _check_sections(config, modules)
    missing = [key for key in ("architecture", "TrainReader", "metric") if not config.get(key)]
    if missing:
        raise UserError(f"{path} is not a PaddleDetection config: it has no {', '.join(missing)}")
    known = [*OPTIONAL_KEYS, *dotted_keys(config)]
    for override in overrides:
        key, _ = configs.split_override("-o", override)
        configs.warn_of_unknown_key("-o", key, known, path)
    merge_config(nested(overrides))
    _check_sections(config, modules)
    _check_texts(config)
    for device in DEVICES:
        config.setdefault(device, False)
    return config


def _check_sections(config, modules):
    """Refuses anything but a section where PaddleDetection makes a module of one.

    Args:
        modules: the arguments of each, by its name.

    Raises:
        UserError: names the key, and what its section may hold.
    """
    wrong = []
    for name, arguments in modules.items():
        section = config.get(name)
        is_left_out = section is None and name in NAMING
        if not (is_left_out or isinstance(section, dict) or hasattr(section, "__dict__")):
            first = "dataset_dir" if name in NAMING else next(iter(arguments), "KEY")
            wrong.append(f"{name}: it is {section!r}, not a section of keys, such as {name}.{first}=VALUE")
    if wrong:
        raise UserError(*wrong)


def _check_texts(config):
    """Refuses a metric, folder or file that YAML takes for something else than text.

    Raises:
        UserError: names the key.
    """
    values = {key: config[key] for key in ("metric", "architecture", "filename")}
    values.update((key, config[key]) for key in ("save_dir", "output_eval", "weights") if config.get(key))
    for split in NAMING:
        options = {name: options_of(config.get(split)).get(name) for name in PATHS}
        values.update((f"{split}.{name}", value) for name, value in options.items() if value is not None)
    for key, value in values.items():
        if not isinstance(value, str):
            raise UserError(f"{key}: {value!r} is no text; digits alone are one in quotes, such as '2017'")


def _read(path):
    if Path(path).suffix not in configs.SUFFIXES:
        raise UserError(f"{path}: PaddleDetection reads {' and '.join(configs.SUFFIXES)} only")
    try:
        if not isinstance(load_yaml(Path(path).read_text(encoding="utf-8")), dict):
            raise UserError(f"{path} is not a PaddleDetection config: it holds no sections")
        return load_config(path)
    except TypeError as error:  # arguments that a tag such as !PiecewiseDecay does not take
        raise UserError(f"{path}: {first_line(error)}") from None


def nested(overrides):
    """`key.key=value` overrides as one nested dict. PaddleDetection's own parser loses some of three keys.

    Raises:
        UserError: a value that is not YAML, or a key below another one's value.
    """
    tree = {}
    for override in overrides:
        key, value = configs.split_override("-o", override)
        *parents, last = key.split(".")
        node = tree
        for parent in parents:
            node = node.setdefault(parent, {})
            if not isinstance(node, dict):
                raise UserError(f"-o {override}: another override gives {parent} a value of its own")
        try:
            node[last] = load_yaml(value)
        except yaml.YAMLError:
            raise UserError(f"-o {override}: the value is not valid YAML") from None
    return tree


def dotted_keys(node, prefix=""):
    """Every key of a nested config as `-o` spells it, such as `LearningRate.base_lr`."""
    for key, value in node.items():
        yield f"{prefix}{key}"
        if isinstance(value, SchemaDict):
            yield from (f"{prefix}{key}.{argument}" for argument in value.schema)
        if isinstance(value, dict):
            yield from dotted_keys(value, f"{prefix}{key}.")
