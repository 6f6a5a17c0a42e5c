"""The `paddleclas` command, for models of PaddleClas's own, on any supported Paddle."""

import importlib.util
import os
import sys

from ppcls_mixformer.hosting import expressions, safe_yaml, source
from ppcls_mixformer.hosting.errors import UserError
from ppcls_mixformer.hosting.inference import config_for, find_program
from ppcls_mixformer.hosting.patches import replaced, shadow_module
from ppcls_mixformer.paddleclas import HOST
from ppcls_mixformer.weights import pickles


def run_command(argv):
    """Checks the paths among the flags `argv`, then runs the `paddleclas` command on them."""
    check_paths(argv)
    if importlib.util.find_spec(HOST.command.package) is None:
        raise UserError(
            f"the `paddleclas` command is not installed: run `python -m ppcls_mixformer fetch {HOST.key}`"
        )
    with source.requirements(HOST):
        from paddleclas import paddleclas as command
        from paddleclas.deploy.utils import predictor

    bridge(predictor)
    files_that_run_nothing()
    with replaced(sys, "argv", ["paddleclas", *argv]):
        command.main()


def check_paths(argv):
    """Refuses pictures, class names or a model folder that are not there."""
    for flag in ("--infer_imgs", "--class_id_map_file", "--inference_model_dir"):
        for position, argument in enumerate(argv):
            value = argument.partition("=")[2] if argument.startswith(f"{flag}=") else None
            if argument == flag and position + 1 < len(argv):
                value = argv[position + 1]
            if value and not value.startswith("http") and not os.path.exists(value):
                raise UserError(f"{flag}: there is no file or folder {value}")


def bridge(predictor):
    """Lets PaddleClas 2.6's predictor read programs on every Paddle.

    - Paddle 3: `enable_memory_optim` before `enable_new_executor` ends in "Not find predictor_id".
    - Paddle 2.6: it hands the folder over as if it were a file, which ends in `std::bad_alloc`.
    """
    predictor.Config = lambda folder, prefix: config_for(find_program(folder, prefix))


def files_that_run_nothing():
    """It evaluates strings of configs and `-o`, and unpickles the names of a gallery's pictures."""
    from paddleclas.deploy.python import build_gallery, predict_system
    from paddleclas.deploy.utils import config

    shadow_module(config, "yaml", load=safe_yaml.load)
    config.eval = expressions.value
    expressions.guard("paddleclas")
    pickles.guard(build_gallery, predict_system)
