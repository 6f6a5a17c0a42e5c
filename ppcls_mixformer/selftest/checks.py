"""All checks, and what each of them found."""

import functools
import itertools
import logging
import math
import time
from typing import Callable, NamedTuple

import paddle

from ppcls_mixformer.hosting.errors import UserError, gist
from ppcls_mixformer.selftest import kernels, operators, precision, replay, speed
from ppcls_mixformer.selftest.finding import Finding, words

logger = logging.getLogger(__name__)

# Operator calls of a Mixing Block in a training step, in either direction, and casts of mixed precision.
CALLS, CASTS = 60, 40
UNLOGGED = {"conv2d", "conv2d_grad"}  # of the network, which Paddle logs in other words
counted = functools.lru_cache(None)(operators.counted)


class Check(NamedTuple):
    """Something to look at.

    Attributes:
        name: what is said where it cannot be done.
        look: a function that returns a `Finding`, or yields some.
        obstacle: why it is left out; empty where it is not.
    """

    name: str
    look: Callable
    obstacle: str = ""


def all_checks(device):
    """Each `Check` for `device`, `cpu` or `gpu`."""
    for path in replay.EVALUATIONS:
        yield Check(path.stem, functools.partial(replay.evaluation, path))
    yield Check("training step", replay.training_step)
    for dtype, factor in itertools.product(precision.BOUNDS, precision.FACTORS):
        look = functools.partial(precision.rounded_layers, dtype, factor)
        yield Check(f"layers rounded to {dtype}", look)
    yield Check("outputs of layers", precision.largest_output)
    yield Check("large activations", precision.large_activations)
    yield Check("operator calls", operator_calls)
    yield Check("casts", casts, "counting them needs Paddle 3" if paddle.__version__ < "3" else "")
    no_kernels = "" if paddle.is_compiled_with_cuda() else "this Paddle is built for the CPU"
    yield Check("GPU kernels", gpu_kernels, no_kernels)
    nothing = "" if device == "gpu" else speed.NO_AUTO_CAST
    for level, dtype in itertools.product(precision.LEVELS, precision.BOUNDS):
        look = functools.partial(precision.auto_cast, level, dtype)
        yield Check(f"auto_cast {level} {dtype}", look, nothing or _lacks(dtype))
    for level in precision.LEVELS:
        look = functools.partial(precision.broken_gradients, level)
        yield Check(f"gradients by auto_cast {level}", look, nothing)
    yield Check("training", replay.trajectory)


def _lacks(dtype):
    """Why the GPU in use cannot compute in `dtype`; empty where it can."""
    can = dtype != "bfloat16" or paddle.amp.is_bfloat16_supported()
    return "" if can else f"this GPU does not compute in {dtype}"


def operator_calls():
    """Yields findings on the calls of a Mixing Block, forward and backward."""
    for way, counter in counted()["block"].items():
        number = operators.numbers(counter)["calls"]
        yield Finding(f"operator calls of a Mixing Block, {way}", number, CALLS)


def casts():
    """Yields findings on its casts at O1."""
    for way, counter in counted(amp_level="O1", parts=("block",))["block"].items():
        number = operators.numbers(counter)["casts"]
        yield Finding(f"casts of a Mixing Block at O1, {way}", number, CASTS)


def gpu_kernels():
    """The finding on operators of the network, forward and backward, that a GPU lacks."""
    return kernels.missing(UNLOGGED.union(*counted()["network"].values()))


def outcomes(check):
    """Yields what a check has found, as JSON takes it; an error of Paddle is found as well."""
    start = time.perf_counter()
    try:
        found = check.look()
        for finding in [found] if isinstance(found, Finding) else found:
            now = time.perf_counter()
            yield _told(_outcome(finding, now - start))
            start = now
    except Exception as error:  # of many types
        if KeyboardInterrupt.__name__ in str(error):  # Ctrl-C, which has come through Paddle's C++
            raise
        reason = str(error) if isinstance(error, UserError) else gist(error)
        facts = {"name": check.name, "measured": None, "bound": None, "holds": False}
        yield _told({**facts, "seconds": time.perf_counter() - start, "error": reason})


def _outcome(finding, seconds):
    number = float(finding.measured)
    return {
        "name": finding.name,
        "measured": number if math.isfinite(number) else str(number),  # JSON knows no others
        "bound": finding.bound,
        "holds": bool(finding.holds),
        "seconds": seconds,
        **({"where": finding.where} if finding.where else {}),
    }


def _told(outcome):
    """The outcome, which is logged."""
    if outcome["holds"]:
        logger.info("%s (%.1f s)", words(outcome), outcome["seconds"])
    else:
        logger.warning("%s: does not hold", words(outcome))
    return outcome
