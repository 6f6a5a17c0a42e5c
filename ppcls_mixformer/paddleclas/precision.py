"""Mixed precision and compiled training: what Paddle takes and no release of PaddleClas hands on.

`AMP.custom_white_list` has Paddle's own name, as in PaddleDetection; `Global.fuse_gemm_epilogue` that of the
field of Paddle's BuildStrategy.
"""

import contextlib
import functools
import inspect
import logging
import re
import sys
import types

import paddle
import ppcls.arch

from ppcls_mixformer.hosting.advice import hint
from ppcls_mixformer.hosting.errors import UserError
from ppcls_mixformer.hosting.patches import replaced, shadow_module

logger = logging.getLogger(__name__)

KEY = "AMP.custom_white_list"


def settle(config):
    """Takes the white list as a list, also where `-o` has made text of it, and refuses unknown operators.

    Raises:
        UserError: it is no list of names, or one is not an operator of Paddle.
    """
    section = config.get("AMP")
    if section is not None and not isinstance(section, dict):
        raise UserError(f"AMP is {section!r}; it takes a section, such as {{use_amp: True}}")
    if section is None or section.get("custom_white_list") is None:
        return
    names = section["custom_white_list"]
    if isinstance(names, str):
        names = re.findall(r"[^\s,'\"\[\]]+", names)
    if not isinstance(names, (list, tuple)) or not names or not all(isinstance(name, str) for name in names):
        raise UserError(f"{KEY} is {names!r}; it takes a list of operators, such as [softmax, layer_norm]")
    known = operators()
    for name in names:
        if name not in known:
            raise UserError(f"{KEY}: Paddle has no operator {name!r}{hint(name, known)}")
    section["custom_white_list"] = list(names)


def operators():
    """Names of Paddle's operators, also those that only lists of mixed precision have."""
    names = set(paddle.base.core._get_all_register_op_kernels("phi"))
    for levels in (*paddle.amp.white_list().values(), *paddle.amp.black_list().values()):
        names.update(*levels.values())
    return sorted(names)


def turn_off(config):
    """Turns off the fusing of products with their biases where Paddle cannot do it, and says so."""
    section = config["Global"]
    if not section.get("fuse_gemm_epilogue"):
        return
    if not section.get("to_static"):
        reason = "it needs Global.to_static=True"
    elif section.get("device") != "gpu":
        reason = "it needs device gpu"
    elif not paddle.__version__.startswith("2."):
        reason = "Paddle 3 ignores it"
    else:
        return
    section["fuse_gemm_epilogue"] = False
    logger.warning("Global.fuse_gemm_epilogue: %s; training without it", reason)


def hand_on_white_list(config):
    """Has PaddleClas's engine call `auto_cast` with the white list of `config`."""
    names = (config.get("AMP") or {}).get("custom_white_list")
    amp = types.ModuleType("paddle.amp")
    amp.__getattr__ = functools.partial(getattr, paddle.amp)
    if names:
        amp.auto_cast = functools.partial(_auto_cast, names)
    for module in _callers():
        shadow_module(module, "paddle", amp=amp)


def _auto_cast(names, *args, custom_white_list=None, custom_black_list=None, **kwargs):
    black = [name for name in custom_black_list or () if name not in names]  # Paddle refuses one in both
    white = [*names, *(custom_white_list or ())]
    return paddle.amp.auto_cast(*args, custom_white_list=white, custom_black_list=black, **kwargs)


def _callers():
    """The modules of PaddleClas that call `auto_cast`."""
    for name, module in list(sys.modules.items()):
        if name.startswith(("ppcls.engine", "ppcls.utils.amp")) and hasattr(module, "paddle"):
            if "auto_cast" in inspect.getsource(module):
                yield module


@contextlib.contextmanager
def fused_products(config):
    """Has PaddleClas compile a network with its products and their biases fused, where `config` says so."""
    if not config["Global"].get("fuse_gemm_epilogue"):
        yield
        return
    strategy = paddle.static.BuildStrategy()
    strategy.fuse_gemm_epilogue = True
    to_static = functools.partial(paddle.jit.to_static, build_strategy=strategy)
    with replaced(ppcls.arch, "to_static", to_static):
        yield
