"""All checks, and what each of them found."""

import functools
import itertools
import logging
import math
import time
from typing import Callable, NamedTuple

import paddle

from ppcls_mixformer.hosting.errors import gist
from ppcls_mixformer.selftest import precision, replay, speed
from ppcls_mixformer.selftest.finding import Finding

logger = logging.getLogger(__name__)


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
        facts = {"name": check.name, "measured": None, "bound": None, "holds": False}
        yield _told({**facts, "seconds": time.perf_counter() - start, "error": gist(error)})


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


def words(outcome):
    """What was found, for a reader."""
    if "error" in outcome:
        return f"{outcome['name']}: {outcome['error']}"
    number, where = outcome["measured"], f" at {outcome['where']}" if "where" in outcome else ""
    shown = number if isinstance(number, str) else f"{number:.3g}"
    return f"{outcome['name']}: {shown}{where}, at most {outcome['bound']:g}"
