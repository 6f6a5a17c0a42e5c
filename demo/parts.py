"""What the scenes are composed of: pieces of photographs, handwritten digits and drawn stick figures."""

from pathlib import Path
from typing import NamedTuple, Optional

import cv2
import numpy as np
import skimage
from PIL import Image

from .digits import TRAIN, ordered

TRAIN_WIDTH = 0.5  # the left half of each photograph; the right half is for the held-out scenes
INK = 7  # of 16; more is part of a digit

STUFF = {
    "brick": ["brick.png"],
    "grass": ["grass.png"],
    "gravel": ["gravel.png"],
    "space": ["hubble_deep_field.jpg"],
    "tissue": ["ihc.png"],
    # Not the astronaut and the cameraman: they would be persons without a label.
    "photo": ["chelsea.png", "coffee.png", "motorcycle_left.png", "rocket.jpg"],
}
DIGITS = "zero one two three four five six seven eight nine".split()

KEYPOINTS = (
    "nose left_eye right_eye left_ear right_ear left_shoulder right_shoulder left_elbow right_elbow "
    "left_wrist right_wrist left_hip right_hip left_knee right_knee left_ankle right_ankle"
).split()
SKELETON = [[16, 14], [14, 12], [17, 15], [15, 13], [12, 13], [6, 12], [7, 13], [6, 7], [6, 8], [7, 9]]
SKELETON += [[8, 10], [9, 11], [2, 3], [1, 2], [1, 3], [2, 4], [3, 5], [4, 6], [5, 7]]
LEFT, RIGHT, TORSO, SKIN = (255, 130, 20), (30, 140, 255), (225, 225, 225), (255, 210, 165)  # RGB
HEAD = 0.1  # radius of the head, in the units of `pose`


class Thing(NamedTuple):
    """A digit or a figure: `mask` [h, w] bool, `pixels` [h, w, 3] RGB, `joints` [17, 2] (x, y) or None."""

    name: str
    mask: np.ndarray
    pixels: np.ndarray
    joints: Optional[np.ndarray]


def load_photographs(held_out):
    """Photographs of each stuff class, the training part or the held-out part of each, as RGB arrays."""
    folder = Path(skimage.__file__).parent / "data"  # by path, since skimage.data may download

    def part(file):
        picture = np.asarray(Image.open(folder / file).convert("RGB"))
        border = round(picture.shape[1] * TRAIN_WIDTH)
        return picture[:, border:] if held_out else picture[:, :border]

    return {name: [part(file) for file in files] for name, files in STUFF.items()}


def load_digit_images(held_out):
    """For each digit its images [n, 8, 8] with ink from 0 to 16, those for training or the held-out ones."""
    images, digits, _ = ordered()
    part = slice(TRAIN, None) if held_out else slice(TRAIN)
    return [images[part][digits[part] == digit] for digit in range(10)]


def draw_digit(random, images, digit):
    """A handwritten digit, 28 to 72 pixels high, in a bright colour."""
    ink = Image.fromarray(np.pad(images[digit][random.randint(len(images[digit]))], 2).astype(np.float32))
    ink = ink.resize((192, 192), Image.BICUBIC).rotate(random.uniform(-15, 15), Image.BICUBIC)
    ink = ink.crop(Image.fromarray(np.asarray(ink) > INK).getbbox())
    height = random.randint(28, 73)
    ink = np.asarray(ink.resize((max(8, round(height * ink.width / ink.height)), height), Image.BICUBIC))
    hsv = np.uint8([[[random.randint(180), random.randint(190, 256), random.randint(225, 256)]]])
    shade = 0.7 + 0.3 * ink.clip(0, 16) / 16
    return Thing(
        DIGITS[digit], ink > INK, np.uint8(shade[..., None] * cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)), None
    )


def pose(random):
    """A random pose facing the viewer: joints [17, 2] (x, y), the body about 1 high, pelvis at 0."""

    def down(degrees):
        return np.array([np.sin(np.radians(degrees)), np.cos(np.radians(degrees))])

    lean = random.uniform(-12, 12)
    tilt = lean + random.uniform(-15, 15)
    nose = -0.33 * down(lean) - 0.15 * down(tilt)
    rows = [nose]
    # The figure's left is on the right of the picture, always: a mirrored picture is as plausible.
    sides = [(side, down(lean + 90) * side, down(tilt + 90) * side) for side in (1, -1)]
    rows += [nose - 0.03 * down(tilt) + 0.042 * across for _, _, across in sides]
    rows += [nose + (HEAD - 0.01) * across for _, _, across in sides]
    arms, legs = [], []
    for side, across, _ in sides:
        upper, lower = random.uniform(-5, 130), random.uniform(-30, 80)
        shoulder = -0.33 * down(lean) + 0.11 * across
        elbow = shoulder + 0.17 * down(lean + side * upper)
        arms.append([shoulder, elbow, elbow + 0.16 * down(lean + side * (upper + lower))])
        upper, lower = random.uniform(0, 40), random.uniform(-40, 10)
        hip = 0.075 * across
        knee = hip + 0.23 * down(side * upper)
        legs.append([hip, knee, knee + 0.23 * down(side * (upper + lower))])
    rows += [arm[level] for level in range(3) for arm in arms]
    rows += [leg[level] for level in range(3) for leg in legs]
    return np.array(rows)


def draw_line(figure, start, end, width, color):
    """Paints all pixels of a thing whose centre is within `width` of the line between two points (x, y)."""
    along = np.subtract(end, start)
    y, x = np.indices(figure.mask.shape) - np.reshape(start[::-1], (2, 1, 1))
    share = ((x * along[0] + y * along[1]) / max(1, along @ along)).clip(0, 1)
    near = (x - share * along[0]) ** 2 + (y - share * along[1]) ** 2 <= width**2
    figure.mask[near], figure.pixels[near] = True, color


def draw_figure(random):
    """A stick figure, 60 to 140 pixels high: left limbs warm, right limbs cool, lighter at the joints."""
    joints, height = pose(random), random.randint(60, 141)
    radius = max(2.0, 0.03 * height)
    low, high = joints.min(0), joints.max(0)
    low[1] = min(low[1], joints[0, 1] - HEAD)
    scale = (height - 2 * radius) / (high - low)[1]
    margin = int(radius) + 2
    joints = np.round((joints - low) * scale).astype(int) + margin
    shape = np.round((high - low) * scale).astype(int)[::-1] + 2 * margin + 1
    figure = Thing("person", np.zeros(shape, bool), np.zeros((*shape, 3), np.uint8), joints)
    shoulders, hips = joints[5:7].mean(0), joints[11:13].mean(0)
    draw_line(figure, shoulders, hips, 2 * radius, TORSO)
    draw_line(figure, shoulders, joints[0], 0.8 * radius, SKIN)
    for a, b in SKELETON[:12]:  # the others are in the head or, from ear to shoulder, not drawn
        color = TORSO if a % 2 != b % 2 else LEFT if a % 2 == 0 else RIGHT
        draw_line(figure, joints[a - 1], joints[b - 1], radius, color)
    for index in range(5, 17):
        color = np.add(LEFT if index % 2 else RIGHT, 255) // 2
        draw_line(figure, joints[index], joints[index], 0.6 * radius, color)
    draw_line(figure, joints[0], joints[0], HEAD * scale, SKIN)
    for index, color in enumerate([(200, 40, 60), (20, 20, 20), (20, 20, 20), LEFT, RIGHT]):
        draw_line(figure, joints[index], joints[index], max(1, 0.35 * radius), color)
    return figure
