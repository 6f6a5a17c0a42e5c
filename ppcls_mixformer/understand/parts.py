"""What reports of one and of several labels have in common."""

from typing import Any, Callable, List, NamedTuple

from ppcls_mixformer.understand import page


class Number(NamedTuple):
    """A number of a report.

    Attributes:
        name: by which the summary has it.
        label: in words, which may hold other numbers of the summary in braces.
        form: how it is written.
        is_compared: whether reports are compared by it.
    """

    name: str
    label: str
    form: str = "{:.2%}"
    is_compared: bool = True

    def cell(self, found):
        """`(value, text)` out of the summary `found`."""
        return found[self.name], self.form.format(found[self.name])


class Logged(NamedTuple):
    """A metric as a training log has it: its name there, words for it, and `min` or `max`, its best."""

    name: str
    words: str
    best: Callable[[Any], Any]


class Shown(NamedTuple):
    """A picture that is worth a look.

    Attributes:
        number: of the picture in the evaluation.
        classes: numbers of those whose heat maps are drawn.
        answer: number of the class that the card names, and `score`: of that.
        is_right: whether the answer is.
        rest: what else is to be said, a text.
    """

    number: int
    classes: List[int]
    answer: int
    score: float
    is_right: bool
    rest: str


class Group(NamedTuple):
    """Pictures that are worth a look for one reason: a heading, a sentence and the `Shown`."""

    title: str
    words: str
    shown: List[Shown]


def percent(share):
    """A share from 0 to 1 in words."""
    return f"{share:.2%}"


def calibration_table(found, confidence, accuracy, counted):
    """The bins of a `metrics.Calibration` as HTML; the words are those of the columns."""
    rows = [
        [
            (low, f"{low:.0%} to {high:.0%}"),
            (int(count), f"{count:,}"),
            (float(mean), percent(mean)),
            (float(share), percent(share)),
        ]
        for low, high, count, mean, share in zip(
            found.edges[:-1].tolist(), found.edges[1:], found.counts, found.confidence, found.accuracy
        )
        if count
    ]
    return page.table([confidence, counted, f"mean {confidence}", accuracy], rows, "bins")
