"""The command `paddlex`: PaddleX's own command line, in a process that knows these backbones."""

import argparse
import contextlib
import functools
import sys
from pathlib import Path

from ppcls_mixformer.hosting import configs
from ppcls_mixformer.hosting.advice import did_you_mean
from ppcls_mixformer.hosting.errors import UserError, gist
from ppcls_mixformer.hosting.patches import replaced
from ppcls_mixformer.paddlex import register
from ppcls_mixformer.predict import description
from ppcls_mixformer.variants import VARIANTS


def run(argv):
    """Runs PaddleX's own command line, which knows exports of these backbones then."""
    parser = argparse.ArgumentParser(description=run.__doc__, allow_abbrev=False)
    parser.add_argument("--pipeline", metavar="FILE", help="PaddleX's config of a pipeline")
    parser.epilog = "All other flags are PaddleX's, see `paddlex --help`."
    flags, _ = parser.parse_known_args(argv)
    register()
    if flags.pipeline:
        check(flags.pipeline)
    from paddlex import paddlex_cli

    with contextlib.ExitStack() as stack:
        stack.enter_context(replaced(sys, "argv", ["python -m ppcls_mixformer paddlex", *argv]))
        for name in ("pipeline_predict", "create_pipeline"):
            stack.enter_context(replaced(paddlex_cli, name, _in_one_line(getattr(paddlex_cli, name))))
        _in_one_line(paddlex_cli.main)()


def check(path):
    """Refuses a pipeline whose model, one of these, has a wrong name or no export: PaddleX would download it.

    Args:
        path: of PaddleX's config of a pipeline, or the name of one that PaddleX brings.

    Raises:
        UserError: names the key.
    """
    if Path(path).suffix not in configs.SUFFIXES:
        if path.lower().startswith("mixformer") or (Path(path) / description.NAME).is_file():
            raise UserError(
                f"--pipeline {path}: it takes a YAML file of PaddleX, in which model_name and model_dir say "
                "what to run, or the name of one of PaddleX's own pipelines"
            )
        return
    if not Path(path).is_file():
        raise UserError(f"there is no file {path}; --pipeline takes PaddleX's config of a pipeline")
    for place, section in _models(configs.read_yaml(path)):
        name = str(section["model_name"])
        if name.lower().startswith("mixformer"):
            _check_model(f"{path}: {place}", name, section.get("model_dir"))


def _models(part, place=()):
    """Yields place and section of each model of a pipeline, and of the pipelines in it."""
    items = part.items() if isinstance(part, dict) else enumerate(part if isinstance(part, list) else ())
    if isinstance(part, dict) and "model_name" in part:
        yield ".".join(place), part
    for key, value in items:
        yield from _models(value, (*place, str(key)))


def _check_model(place, name, folder):
    if name not in VARIANTS:
        raise UserError(f"{place}.model_name: there is no {name}{did_you_mean(name, VARIANTS)}")
    if not folder:
        raise UserError(f"{place}.model_dir is missing; it takes the folder of an export of {name}")
    if not (Path(str(folder)) / description.NAME).is_file():
        raise UserError(
            f"{place}.model_dir: {folder} holds no {description.NAME}: export the checkpoint anew"
        )


def _in_one_line(function):
    """`function`, whose exceptions end the process, past PaddleX's `except Exception`, which shows all."""

    @functools.wraps(function)
    def ending(*args, **kwargs):
        try:
            return function(*args, **kwargs)
        except Exception as error:
            sys.exit(f"error: {error if isinstance(error, UserError) else gist(error)}")

    return ending
