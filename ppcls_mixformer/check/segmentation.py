"""Class maps, by the checks of the PaddleSeg host, which reads their config."""

from collections import Counter
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from ppcls_mixformer.check.found import MOST, Found, Split
from ppcls_mixformer.hosting import charts, pictures
from ppcls_mixformer.hosting.cli import Settings
from ppcls_mixformer.hosting.errors import UserError, check_all, collected
from ppcls_mixformer.paddleseg import register
from ppcls_mixformer.paddleseg.flags import parser


def of_config(name, overrides):
    """What the config `name` means, with `key=value` overrides: all that `seg train --do_eval` checks.

    Raises:
        UserError: PaddleSeg or the config cannot be read.
    """
    register()
    from ppcls_mixformer.paddleseg import config as configs
    from ppcls_mixformer.paddleseg import preflight
    from ppcls_mixformer.paddleseg.classes import palette

    config = configs.load(name, overrides)
    evaluates = ["--do_eval"] if config.dic.get("val_dataset") else []
    flags = parser("train").parse_args(["--config", name, "--device", "cpu", *evaluates])
    settings, refused, checked = Settings(flags, config), [], []
    with collected(refused):
        check_all(preflight.parts(settings, "train"))
    for part in preflight.parts_of_data(settings, "train"):
        with collected(refused):
            checked.append(part())
    checked, colors = [part for part in checked if part], palette()
    names = _names(config, max((part.meaning.classes for part in checked), default=0))
    parts = [_split(part, names, colors) for part in checked]
    legend = [(name, tuple(color)) for name, color in zip(names, colors)]
    return Found("segmentation", parts, refused, "Class maps that hold each class", legend, [], [])


def _names(config, classes):
    """Names of the classes, those of the files beside the data or else their numbers."""
    from ppcls_mixformer.paddleseg.builder import Builder
    from ppcls_mixformer.paddleseg.classes import class_names

    found = None
    if classes:
        try:
            found = class_names(Builder(config))
        except (UserError, KeyError):  # of a config that is refused anyway
            found = None
    numbers = [str(number) for number in range(classes)]
    return [f"{number} {name}" for number, name in zip(numbers, found)] if found else numbers


def _split(checked, names, colors):
    found, meaning = checked.found, checked.meaning
    maps, pixels = found.maps, found.pixels
    total = sum(pixels.values()) + found.unlabelled
    classes = [
        {"number": number, "name": name, "class_maps": maps.get(number, 0), "pixels": pixels.get(number, 0)}
        for number, name in enumerate(names[: meaning.classes])
    ]
    held = f"{len(maps)} of {meaning.classes} classes in them"
    return Split(
        name=checked.split,
        words=f"{len(checked.pairs)} class maps, {held}, {found.unlabelled / total:.1%} unlabelled",
        counts={entry["name"]: entry["class_maps"] for entry in classes},
        sizes=found.sizes,
        boxes=None,
        samples=_samples(checked),
        draw=_drawer(meaning, np.array(colors, "uint8")),
        record={
            "key": checked.split,
            "path": str(Path(checked.root).absolute()),
            "used": {
                "class_maps": len(checked.pairs),
                "class_maps_without_a_class": len(found.empty),
                "pixels": total,
                "unlabelled_pixels": found.unlabelled,
            },
            "numbers": str(meaning),
            "classes": classes,
        },
    )


def _samples(checked):
    """Pairs to draw: of the rarest classes first, then others."""
    rare = [checked.found.first[number] for number, _ in reversed(Counter(checked.found.maps).most_common())]
    every = max(1, len(checked.pairs) // MOST)
    places = dict.fromkeys([*rare, *range(0, len(checked.pairs), every)])
    return [checked.pairs[place] for place in list(places)[:MOST]]


def _drawer(meaning, colors):
    """`Split.draw` of pairs of a picture and a class map; what is unlabelled stays as it is."""
    from ppcls_mixformer.paddleseg.data import read_map
    from ppcls_mixformer.paddleseg.results import SHARE

    def draw(pair, side):
        picture, path = pair
        small = np.array(charts.fitted(Image.fromarray(pictures.imread(picture)[:, :, ::-1]), side))
        height, width = small.shape[:2]
        numbers = cv2.resize(read_map(path).astype("int32"), (width, height), interpolation=cv2.INTER_NEAREST)
        labelled = numbers != meaning.unlabelled
        classes = np.where(labelled, numbers - meaning.first, 0)
        over = cv2.addWeighted(small, SHARE, colors[classes % len(colors)], 1 - SHARE, 0)
        small[labelled] = over[labelled]
        return Path(picture).name, Image.fromarray(small)

    return draw
