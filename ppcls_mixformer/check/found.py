"""What was found in a user's annotations, whatever they are of."""

from typing import Any, Callable, Dict, List, NamedTuple, Optional

MOST = 16  # pictures of a split on the sheet


class Split(NamedTuple):
    """One file of annotations, or the class maps of one section of a config.

    Attributes:
        name: what messages call it; `words`: one line on what is in it.
        counts: of each class, by its title, how many objects or class maps there are.
        sizes: `(width, height)` of each picture; `boxes`: the same of each object's box, None without boxes.
        samples: what there is to draw, at most MOST.
        draw: gives, of one of them and the longer side in pixels, `(caption, picture of Pillow)`.
        record: what `check.json` says of it.
    """

    name: str
    words: str
    counts: Dict[str, int]
    sizes: List[Any]
    boxes: Optional[List[Any]]
    samples: List[Any]
    draw: Callable
    record: Dict[str, Any]


class Found(NamedTuple):
    """What a run of the command has found.

    Attributes:
        task: in words.
        splits: those that can be used; `refused`: a line on each thing that cannot.
        counted: what the bars of a chart count, in words.
        legend: `(name, colour)` of each class, where the sheet has to say it.
        needed: lines on what a config must say.
        places: what it says of where these data are, `key=value`; none where something is refused.
    """

    task: str
    splits: List[Split]
    refused: List[str]
    counted: str
    legend: List[Any]
    needed: List[str]
    places: List[str]
