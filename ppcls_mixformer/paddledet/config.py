"""PaddleDetection's configs and flags, with a word on every override that it would swallow."""

import difflib
import logging
from argparse import ArgumentParser
from pathlib import Path

import yaml
from ppdet.core.config.schema import SchemaDict
from ppdet.core.workspace import global_config, load_config, merge_config

from ppcls_mixformer.hosting.errors import UserError

logger = logging.getLogger(__name__)

DEVICES = ("use_gpu", "use_npu", "use_xpu", "use_mlu")
# What PaddleDetection reads though a config may leave it out, beside what its registered modules take.
OPTIONAL_KEYS = (
    *DEVICES,
    *("amp_level", "custom_black_list", "custom_white_list", "init_loss_scaling", "norm_type"),
    *("ema_decay", "use_ema", "classwise", "output_eval", "pretrain_weights", "weights", "IouType"),
    *("use_vdl", "vdl_log_dir", "find_unused_parameters", "use_fused_allreduce_gradients", "export_onnx"),
)


def common_flags():
    """A parser of what all tools take, `-c` and `-o`, as PaddleDetection spells it."""
    parser = ArgumentParser()
    parser.add_argument("-c", "--config", required=True, help="config file")
    settings = {"nargs": "*", "action": "extend", "default": [], "metavar": "key=value"}
    parser.add_argument("-o", "--opt", help="overrides", **settings)
    parser.add_argument("--amp", action="store_true", help="mixed precision; its level is the key amp_level")
    return parser


def load(flags):
    """PaddleDetection's config from the YAML `flags.config` names, with the overrides of `flags.opt`.

    Raises:
        UserError: no such file, no YAML, not a PaddleDetection config, or a malformed override.
    """
    path = flags.config
    if not Path(path).is_file():
        raise UserError(f"config file not found: {path}")
    try:
        config = load_config(path)
    except yaml.YAMLError as error:
        raise UserError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from None
    except (FileNotFoundError, AssertionError) as error:
        raise UserError(f"{path}: {error}") from None
    missing = [key for key in ("architecture", "TrainReader", "metric") if not config.get(key)]
    if missing:
        raise UserError(f"{path} is not a PaddleDetection config: it has no {', '.join(missing)}")
    for override in flags.opt:
        check_override(override, path)
    merge_config(nested(flags.opt))
    for device in DEVICES:
        config.setdefault(device, False)
    for name, value in vars(flags).items():
        if name not in ("config", "opt"):
            config[name] = value
    return config


def nested(overrides):
    """`key.key=value` overrides as one nested dict. PaddleDetection's own parser loses some of three keys.

    Raises:
        UserError: a value that is not YAML, or a key below another one's value.
    """
    tree = {}
    for override in overrides:
        key, _, value = override.partition("=")
        *parents, last = key.split(".")
        node = tree
        for parent in parents:
            node = node.setdefault(parent, {})
            if not isinstance(node, dict):
                raise UserError(f"-o {override}: another override gives {parent} a value of its own")
        try:
            node[last] = yaml.load(value, Loader=yaml.Loader)
        except yaml.YAMLError:
            raise UserError(f"-o {override}: the value is not valid YAML") from None
    return tree


def without_pretrained():
    """Leaves out the backbone's weights, where a whole checkpoint follows."""
    global_config["MixFormer"]["pretrained"] = None


def check_override(override, path):
    """Warns of a `key=value` whose key neither the config nor a registered module has.

    Raises:
        UserError: not `key=value`.
    """
    key, separator, _ = override.partition("=")
    if not separator or not key:
        raise UserError(f"-o {override}: an override is written key=value")
    known = [*OPTIONAL_KEYS, *dotted_keys(global_config)]
    if key not in known:
        near = difflib.get_close_matches(key, known, n=1, cutoff=0.0)
        logger.warning("-o %s: %s has no such key, it is added; the nearest one is %s", key, path, near[0])


def dotted_keys(node, prefix=""):
    """Every key of a nested config as `-o` spells it, such as `LearningRate.base_lr`."""
    for key, value in node.items():
        yield f"{prefix}{key}"
        if isinstance(value, SchemaDict):
            yield from (f"{prefix}{key}.{argument}" for argument in value.schema)
        if isinstance(value, dict):
            yield from dotted_keys(value, f"{prefix}{key}.")
