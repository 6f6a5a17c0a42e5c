"""Config files: where they are, how they are read, and overrides of their keys, for every host."""

import contextlib
import logging
import math
from pathlib import Path

import yaml

from ppcls_mixformer.hosting import safe_yaml
from ppcls_mixformer.hosting.advice import nearest
from ppcls_mixformer.hosting.errors import UserError

logger = logging.getLogger(__name__)

SUFFIXES = (".yaml", ".yml")
RECIPE_BATCH = 1024  # images a step that the learning rates of the ImageNet configs are for
PACKAGE = Path(__file__).resolve().parents[1]


def scaled_rate(rate, images):
    """A recipe's learning rate for so many images a step: with AdamW by the square root of their number."""
    return rate * math.sqrt(images / RECIPE_BATCH)


def folder():
    """The configs that come with the package: beside it in a checkout, in it where it is installed."""
    installed = PACKAGE / "configs"
    return installed if installed.is_dir() else PACKAGE.parent / "configs"


def by_name():
    """`{name: path}` of the package's own configs, but for the parts that others are built on."""
    paths = (path for path in sorted(folder().rglob("*")) if path.suffix in SUFFIXES)
    return {path.stem: path for path in paths if path.parent.name != "_base_"}


def find(config):
    """Path of the config file that a flag names, as a string.

    Args:
        config: a path, or for one of the package's own configs its name, such as `MixFormer_B2`, or its path
            from the checkout's root on, such as `configs/ImageNet/MixFormer/MixFormer_B2.yaml`.

    Raises:
        UserError: there is no such file.
    """
    own = by_name()
    own_name_of = {name.lower(): name for name in own}
    for path in (Path(config), folder().parent / config, own.get(str(config))):
        if path is not None and path.is_file():
            return str(path)
    if Path(config).is_dir():
        raise UserError(f"{config} is a folder; name a config file")
    near = own_name_of.get(nearest(Path(config).stem.lower(), own_name_of))
    raise UserError(
        f"config file not found: {config}; it is neither a file nor the name of a config of this package"
        + (f", the nearest one is {near}" if near else "")
    )


@contextlib.contextmanager
def valid_yaml(path):
    """Turns what is raised while the YAML at `path` is read into a UserError of one line."""
    try:
        yield
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from None
    except FileNotFoundError as error:
        raise UserError(f"{path}: {error.filename}, which it is built on, does not exist") from None
    except RecursionError:
        raise UserError(f"{path} is built on itself") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from None


def read_yaml(path):
    """The mapping in the YAML file at `path`.

    Raises:
        UserError: no such file, not YAML, or something else than a mapping.
    """
    with valid_yaml(path):
        content = safe_yaml.load(Path(path).read_text(encoding="utf-8"))
    if not isinstance(content, dict):
        raise UserError(f"{path} is not a config: it holds no sections")
    return content


def split_override(flag, override):
    """`key=value` as `(key, value)`.

    Raises:
        UserError: it is written in another way.
    """
    key, separator, value = override.partition("=")
    if not separator or not key:
        raise UserError(f"{flag} {override}: an override is written key=value")
    return key, value


def nearest_hint(key, known):
    """`; the nearest key there is …`, or nothing where no keys are known."""
    near = nearest(key, known, cutoff=0.0)
    return f"; the nearest key there is {near}" if near else ""


def warn_of_unknown_key(flag, key, known, path):
    """Warns of an override whose key is not among the `known` ones, since hosts add it in silence."""
    if key not in known:
        logger.warning("%s %s: %s has no such key, it is added%s", flag, key, path, nearest_hint(key, known))
