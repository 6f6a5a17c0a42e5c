"""Composes scenes: a background of photographs, and digits and figures on it, labelled to the pixel."""

from typing import NamedTuple

import numpy as np
from PIL import Image

from .parts import STUFF, draw_digit, draw_figure, load_digit_images, load_photographs

SEED = 4  # with it even the rarest digit is in 2 of the first 96 training pictures
SPLITS = {"train": 1, "val": 100001, "lvis_val": 200001}  # number of the first picture
TAIL = [3, 1, 8, 0, 6, 4, 9, 2, 7, 5]  # digits of the training scenes, most frequent first
TAIL_RATIO = 0.62  # of the frequencies of neighbours in TAIL
VISIBLE = 0.6  # the least share of a thing that later things leave uncovered


class Scene(NamedTuple):
    """A picture [H, W, 3] RGB and its labels.

    `stuff` [H, W]: 0 for unlabelled, else 1 + position in STUFF; `owner` [H, W]: 0 for none, else 1 +
    position in `things`, which holds name and joints in the picture's pixels (or None) of each.
    """

    number: int
    image: np.ndarray
    stuff: np.ndarray
    owner: np.ndarray
    things: list


def crop(random, photographs, height, width):
    """A random piece of one of the photographs, resized to `height` × `width`."""
    picture = photographs[random.randint(len(photographs))]
    zoom = min(picture.shape[0] / height, picture.shape[1] / width, random.uniform(0.8, 1.2))
    size = np.floor([zoom * width, zoom * height]).astype(int)
    x, y = (random.randint(side - part + 1) for side, part in zip(picture.shape[1::-1], size))
    box = (x, y, x + size[0], y + size[1])
    return np.asarray(Image.fromarray(picture).resize((width, height), Image.BICUBIC, box))


def background(random, photographs):
    """Picture and stuff map; half of the scenes have two classes with a thin unlabelled line between them."""
    height, width = random.randint(160, 225, size=2)
    first, second = random.choice(len(STUFF), 2, replace=False)
    names = list(STUFF)
    image = crop(random, photographs[names[first]], height, width).copy()
    stuff = np.full((height, width), first + 1, np.uint8)
    if random.rand() < 0.5:
        angle = random.uniform(0, 2 * np.pi)
        y, x = np.indices((height, width)) - np.reshape([height / 2, width / 2], (2, 1, 1))
        distance = x * np.cos(angle) + y * np.sin(angle) - random.uniform(-30, 30)
        image[distance > 0] = crop(random, photographs[names[second]], height, width)[distance > 0]
        stuff[distance > 0] = second + 1
        stuff[np.abs(distance) < 0.8] = 0
    return image, stuff


def place(random, image, owner, placed, thing):
    """Pastes a thing where enough of the earlier ones stays visible; adds (name, joints, area) to `placed`.

    Where no such place is found the thing is left out.
    """
    areas = np.array([area for _, _, area in placed])
    for _ in range(40):
        y, x = (random.randint(side - part + 1) for side, part in zip(owner.shape, thing.mask.shape))
        window = np.s_[y : y + thing.mask.shape[0], x : x + thing.mask.shape[1]]
        covered = owner.copy()
        covered[window][thing.mask] = len(placed) + 1
        if (np.bincount(covered.ravel(), minlength=len(placed) + 2)[1:-1] >= VISIBLE * areas).all():
            owner[:] = covered
            image[window][thing.mask] = thing.pixels[thing.mask]
            joints = None if thing.joints is None else thing.joints + [x, y]
            placed.append((thing.name, joints, thing.mask.sum()))
            return


def compose(split, index, photographs, digits):
    """Scene `index` of a split, from the split's photographs and digits."""
    random = np.random.RandomState([SEED, SPLITS[split], index])
    image, stuff = background(random, photographs)
    weights = np.full(10, 0.1)
    if split == "train":
        weights[TAIL] = TAIL_RATIO ** np.arange(10)
    count = random.randint(3, 7)
    drawn = random.choice(10, count, p=weights / weights.sum())
    things = [draw_digit(random, digits, digit) for digit in drawn]
    things += [draw_figure(random) for _ in range(random.choice([0, 1, 1, 2]))]
    owner, placed = np.zeros(stuff.shape, np.uint8), []
    for position in random.permutation(len(things)):
        place(random, image, owner, placed, things[position])
    return Scene(SPLITS[split] + index, image, stuff, owner, [entry[:2] for entry in placed])


def compose_split(split, count):
    """The first `count` scenes of a split."""
    held_out = split != "train"
    photographs, digits = load_photographs(held_out), load_digit_images(held_out)
    return [compose(split, index, photographs, digits) for index in range(count)]
