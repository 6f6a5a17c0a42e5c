"""What a check has measured, and the most that it may be."""

import math
from typing import NamedTuple, Optional


class Finding(NamedTuple):
    """One number, such as the largest of many errors.

    Attributes:
        name: what was measured.
        measured: the number.
        bound: the most that it may be.
        where: what the number is of; None where the name says it.
    """

    name: str
    measured: float
    bound: float
    where: Optional[str] = None

    @property
    def holds(self):
        return self.measured <= self.bound  # of what is no number, nothing holds


def largest(name, errors, bound):
    """The finding on the largest of `errors`, a dict by what they are errors of."""
    where = max(errors, key=lambda key: math.inf if math.isnan(errors[key]) else errors[key])
    return Finding(name, float(errors[where]), bound, where)


def words(outcome):
    """What an outcome of `checks.outcomes` says to a reader."""
    if "error" in outcome:
        return f"{outcome['name']}: {outcome['error']}"
    number, where = outcome["measured"], f" at {outcome['where']}" if "where" in outcome else ""
    shown = number if isinstance(number, str) else f"{number:.3g}"
    return f"{outcome['name']}: {shown}{where}, at most {outcome['bound']:g}"
