"""The bodies of `tools/train.py`, `eval.py` and `infer.py`."""

import sys

from ppcls_mixformer.hosting.errors import in_one_line
from ppcls_mixformer.paddleclas import register


def build_engine(mode, argv, overrides=()):
    """PaddleClas's Engine for `mode` (train, eval, infer, export).

    Args:
        argv: PaddleClas's flags, `-c CONFIG -o key=value …`.
        overrides: further `key=value` strings, behind those of `argv`.

    Raises:
        HostError: something about the set-up, the config or a file that a user can mend.
    """
    register()
    from ppcls.engine.engine import Engine
    from ppcls.utils.config import parse_args

    from ppcls_mixformer.paddleclas import config, preflight

    sys.argv[1:] = argv
    args = parse_args()
    settings = config.load(args.config, [*args.override, *overrides])
    preflight.check(settings, mode)
    settings.profiler_options = args.profiler_options
    return Engine(settings, mode=mode)


def train():
    """Trains as the config says."""
    in_one_line(lambda: build_engine("train", sys.argv[1:]).train())


def evaluate():
    """Evaluates on DataLoader.Eval."""
    in_one_line(lambda: build_engine("eval", sys.argv[1:]).eval())


def infer():
    """Classifies Infer.infer_imgs."""
    in_one_line(lambda: build_engine("infer", sys.argv[1:]).infer())
