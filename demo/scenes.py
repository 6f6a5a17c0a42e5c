"""Writes small scenes in the layouts of COCO, LVIS v1 and ADE20K; nothing is downloaded.

Each scene is composed of photographs that the scikit-image wheel carries, scikit-learn's handwritten
digits and drawn stick figures, and is labelled to the pixel. A scene depends on its own number only,
not on how many there are. Training and held-out scenes share neither a digit nor a piece of a photograph.

    coco/{train2017,val2017}/*.jpg        picture 1, 2, … for training; 100001, 100002, … held out
    coco/annotations/instances_*.json     digits (categories 1 to 10) and figures (12): boxes and polygons
    coco/annotations/person_*.json        17 keypoints a figure; boxes as a person detector would find them
    coco/annotations/lvis_v1_*.json       the same things, digits with a long tail; validation adds
                                          200001, …, which are held out but lie in train2017, as LVIS has it
    ADEChallengeData2016/                 pictures, class maps (0: unlabelled) and objectInfo.txt
"""

import argparse
import json
import tempfile
from pathlib import Path
from typing import NamedTuple, Optional

import cv2
import numpy as np
import skimage
from PIL import Image
from sklearn.datasets import load_digits

from ppcls_mixformer.hosting.whole import swap_folder

SEED = 4  # with it even the rarest digit is in 2 of the first 96 training pictures
SPLITS = {"train": 1, "val": 100001, "lvis_val": 200001}  # number of the first picture
TRAIN_DIGITS = 1437  # of 1,797, as in tools/prepare_digits.py
TRAIN_WIDTH = 0.5  # the left half of each photograph; the right half is for the held-out scenes

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
THINGS = [*DIGITS, "person"]
ADE_CLASSES = [*STUFF, "digit", "person"]  # in class maps counted from 1
COCO_IDS = dict(zip(THINGS, [*range(1, 11), 12]))  # with a gap, as COCO's
LVIS_IDS = {name: number for number, name in enumerate(THINGS, 1)}
TAIL = [3, 1, 8, 0, 6, 4, 9, 2, 7, 5]  # digits of the training scenes, most frequent first
TAIL_RATIO = 0.62  # of the frequencies of neighbours in TAIL

KEYPOINTS = (
    "nose left_eye right_eye left_ear right_ear left_shoulder right_shoulder left_elbow right_elbow "
    "left_wrist right_wrist left_hip right_hip left_knee right_knee left_ankle right_ankle"
).split()
SKELETON = [[16, 14], [14, 12], [17, 15], [15, 13], [12, 13], [6, 12], [7, 13], [6, 7], [6, 8], [7, 9]]
SKELETON += [[8, 10], [9, 11], [2, 3], [1, 2], [1, 3], [2, 4], [3, 5], [4, 6], [5, 7]]
LEFT, RIGHT, TORSO, SKIN = (255, 130, 20), (30, 140, 255), (225, 225, 225), (255, 210, 165)  # RGB
HEAD = 0.1  # radius of the head, in the units of `pose`
INK = 7  # of 16; more is part of a digit
VISIBLE = 0.6  # the least share of a thing that later things leave uncovered


class Thing(NamedTuple):
    """A digit or a figure: `mask` [h, w] bool, `pixels` [h, w, 3] RGB, `joints` [17, 2] (x, y) or None."""

    name: str
    mask: np.ndarray
    pixels: np.ndarray
    joints: Optional[np.ndarray]


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


# Sources


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
    digits = load_digits()
    order = np.random.RandomState(0).permutation(len(digits.target))
    chosen = order[TRAIN_DIGITS:] if held_out else order[:TRAIN_DIGITS]
    return [digits.images[chosen[digits.target[chosen] == digit]] for digit in range(10)]


# Things


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


# Scenes


def crop(random, photographs, height, width):
    """A random piece of one of the photographs, resized to `height` × `width`."""
    picture = photographs[random.randint(len(photographs))]
    zoom = min(picture.shape[0] / height, picture.shape[1] / width, random.uniform(0.8, 1.2))
    size = np.floor([zoom * width, zoom * height]).astype(int)
    x, y = (random.randint(side - part + 1) for side, part in zip(picture.shape[1::-1], size))
    box = (x, y, x + size[0], y + size[1])
    return np.asarray(Image.fromarray(picture).resize((width, height), Image.BICUBIC, box))


def background(random, photographs):
    """Picture and stuff map, in half of the scenes of two classes with a thin unlabelled line between."""
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
    """Pastes a thing where it leaves enough of the earlier ones and adds (name, joints, area) to `placed`.

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


# Annotations


def polygons(mask):
    """Polygons [x, y, x, y, …] whose union is `mask` [H, W] to the pixel.

    The outlines run along the edges of the pixels, where findContours alone runs through their centres.
    COCO's polygons know no holes: a mask with one is cut in two there.
    """
    lattice = np.zeros(2 * np.array(mask.shape) + 1, np.uint8)  # corners, edges and centres of the pixels
    for y in range(3):
        for x in range(3):
            lattice[y : y + 2 * mask.shape[0] : 2, x : x + 2 * mask.shape[1] : 2] |= mask
    outlines, tree = cv2.findContours(lattice, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    holes = [outline for outline, links in zip(outlines, tree[0]) if links[3] >= 0]
    if not holes:
        return [(outline.reshape(-1) / 2).tolist() for outline in outlines]
    middle = int(holes[0][:, 0, 0].min() + holes[0][:, 0, 0].max()) // 4
    cut = np.arange(mask.shape[1]) <= middle
    return polygons(mask & cut) + polygons(mask & ~cut)


def annotate(scene, category_ids):
    """COCO's annotations of those things of a scene that `category_ids` names."""
    annotations = []
    for index, (name, _) in enumerate(scene.things, 1):
        if name in category_ids:
            mask = scene.owner == index
            annotations.append(
                {
                    "id": scene.number * 100 + index,
                    "image_id": scene.number,
                    "category_id": category_ids[name],
                    "segmentation": polygons(mask),
                    "area": int(mask.sum()),
                    "bbox": list(cv2.boundingRect(mask.astype(np.uint8))),
                }
            )
    return annotations


def keypoints(scene, annotation):
    """COCO's two fields for the keypoints of an annotated figure; covered ones are flagged 1."""
    index = annotation["id"] % 100
    joints = scene.things[index - 1][1]
    flags = np.where(scene.owner[joints[:, 1], joints[:, 0]] == index, 2, 1)
    return {"keypoints": np.column_stack([joints, flags]).ravel().tolist(), "num_keypoints": len(joints)}


def image_record(scene, folder):
    """The fields of a picture that COCO and LVIS share; readers cut the address after the host off."""
    address = f"http://images.cocodataset.org/{folder}/{scene.number:012d}.jpg"
    height, width = scene.owner.shape
    return {"id": scene.number, "license": 1, "coco_url": address, "height": height, "width": width}


def write_json(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def write_annotations(path, images, annotations, categories):
    """A file of COCO or LVIS."""
    terms = {"id": 1, "name": "see scikit-image and scikit-learn", "url": ""}
    heads = {"info": {"description": "composed scenes"}, "licenses": [terms]}
    write_json(path, {**heads, "images": images, "annotations": annotations, "categories": categories})


# COCO


def write_jpeg(path, image):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(path, quality=95)


def write_coco(folder, split, scenes):
    """Pictures, instances and keypoints of a split."""
    images, instances, persons = [], [], []
    for scene in scenes:
        file = f"{scene.number:012d}.jpg"
        write_jpeg(folder / f"{split}2017" / file, scene.image)
        images.append({"file_name": file, **image_record(scene, f"{split}2017")})
        instances += [{**thing, "iscrowd": 0} for thing in annotate(scene, COCO_IDS)]
        for thing in annotate(scene, {"person": 1}):
            persons.append({**thing, "iscrowd": 0, **keypoints(scene, thing)})
    groups = {name: "digit" if name in DIGITS else "person" for name in THINGS}
    categories = [{"id": COCO_IDS[name], "name": name, "supercategory": groups[name]} for name in THINGS]
    person = {"id": 1, "name": "person", "supercategory": "person"}
    person.update(keypoints=KEYPOINTS, skeleton=SKELETON)
    write_annotations(folder / f"annotations/instances_{split}2017.json", images, instances, categories)
    write_annotations(folder / f"annotations/person_keypoints_{split}2017.json", images, persons, [person])
    print(
        f"coco: {len(scenes)} pictures in {split}2017, {len(instances)} things, {len(persons)} with keypoints"
    )


def write_detections(path, scenes):
    """Boxes as a person detector would give them: the true ones, a little off, and a few wrong ones."""
    detections = []
    for scene in scenes:
        random = np.random.RandomState([SEED, scene.number])
        height, width = scene.owner.shape
        boxes = [(np.array(thing["bbox"]), 0.8) for thing in annotate(scene, {"person": 1})]
        if random.rand() < 0.3:
            boxes.append((random.uniform(0.1, 0.4, 4) * [width, height, width, height], 0.1))
        for box, least in boxes:
            x, y, w, h = box + random.normal(0, 0.03, 4) * [*box[2:], *box[2:]]
            x, y = max(x, 0), max(y, 0)
            box = [round(float(side), 2) for side in (x, y, min(w, width - x), min(h, height - y))]
            score = round(least + random.uniform(0, 0.2), 3)
            detections.append({"image_id": scene.number, "category_id": 1, "bbox": box, "score": score})
    write_json(path, detections)


# LVIS


def lvis_split(scenes, folders):
    """Image records and annotations of LVIS, which are federated.

    Of the classes that are absent only some are listed as such. In every fourth picture one thing, if
    there is another one like it, is left without annotation, and the class is listed as not exhaustive.
    """
    images, annotations = [], []
    for scene, folder in zip(scenes, folders):
        random = np.random.RandomState([SEED, scene.number])
        things = annotate(scene, LVIS_IDS)
        ids = [thing["category_id"] for thing in things]
        absent = sorted(set(LVIS_IDS.values()) - set(ids))
        repeated = [index for index in range(len(ids)) if ids[index] in ids[:index]]
        left_out = repeated[:1] if scene.number % 4 == 0 else []
        lists = {
            "neg_category_ids": [category for category in absent if random.rand() < 0.5],
            "not_exhaustive_category_ids": [ids[index] for index in left_out],
        }
        images.append({**image_record(scene, folder), **lists})
        annotations += [thing for index, thing in enumerate(things) if index not in left_out]
    return images, annotations


def lvis_categories(annotations):
    """LVIS's categories with their counts in the training annotations; the limits suit some 100 pictures."""
    categories = []
    for name, number in LVIS_IDS.items():
        images = [thing["image_id"] for thing in annotations if thing["category_id"] == number]
        count = len(set(images))
        entry = {"id": number, "name": name, "synset": f"{name}.n.01", "synonyms": [name]}
        entry["def"] = f"the handwritten digit {name}" if name in DIGITS else "a stick figure"
        entry["frequency"] = "r" if count <= 4 else "c" if count <= 12 else "f"
        categories.append({**entry, "image_count": count, "instance_count": len(images)})
    return categories


def write_lvis(folder, train, val, extra):
    """Both files; the `extra` held-out scenes are written into train2017."""
    for scene in extra:
        write_jpeg(folder / f"train2017/{scene.number:012d}.jpg", scene.image)
    splits = {
        "train": lvis_split(train, ["train2017"] * len(train)),
        "val": lvis_split(val + extra, ["val2017"] * len(val) + ["train2017"] * len(extra)),
    }
    categories = lvis_categories(splits["train"][1])
    for split, (images, annotations) in splits.items():
        write_annotations(folder / f"annotations/lvis_v1_{split}.json", images, annotations, categories)
    letters = "".join(category["frequency"] for category in categories)
    print(
        f"lvis: {len(train)} and {len(val) + len(extra)} pictures, frequencies {letters} of classes 1 to 11"
    )


# ADE20K


def class_map(scene):
    """ADE20K's labels [H, W] of a scene."""
    classes = [
        0,
        *(ADE_CLASSES.index("person" if name == "person" else "digit") + 1 for name, _ in scene.things),
    ]
    return np.where(scene.owner > 0, np.uint8(classes)[scene.owner], scene.stuff)


def write_ade(folder, train, val):
    """Pictures, class maps and the table of the classes in the form of objectInfo150.txt."""
    maps = {}
    for split, short, scenes in (("training", "train", train), ("validation", "val", val)):
        maps[split] = [class_map(scene) for scene in scenes]
        (folder / "annotations" / split).mkdir(parents=True)
        for number, (scene, labels) in enumerate(zip(scenes, maps[split]), 1):
            name = f"{split}/ADE_{short}_{number:08d}"
            write_jpeg(folder / f"images/{name}.jpg", scene.image)
            Image.fromarray(labels).save(folder / f"annotations/{name}.png")
    pixels = np.bincount(np.concatenate([labels.ravel() for labels in maps["training"]]), minlength=9)
    lines = ["Idx\tRatio\tTrain\tVal\tStuff\tName\n"]
    for number, name in enumerate(ADE_CLASSES, 1):
        counts = [sum((labels == number).any() for labels in maps[split]) for split in maps]
        ratio = pixels[number] / pixels[1:].sum()
        lines.append(f"{number}\t{ratio:.4f}\t{counts[0]}\t{counts[1]}\t{int(name in STUFF)}\t{name}\n")
    (folder / "objectInfo.txt").write_text("".join(lines))
    print(f"ade: {len(train)} and {len(val)} pictures, {len(ADE_CLASSES)} classes")


# Command


def write_all(folder, train, val):
    """All layouts, with `train` and `val` scenes and for LVIS a quarter more held-out ones."""
    counts = {"train": train, "val": val, "lvis_val": max(1, val // 4)}
    scenes = {split: compose_split(split, count) for split, count in counts.items()}
    for split in ("train", "val"):
        write_coco(folder / "coco", split, scenes[split])
    write_detections(folder / "coco/annotations/person_detection_results_val2017.json", scenes["val"])
    write_lvis(folder / "coco", scenes["train"], scenes["val"], scenes["lvis_val"])
    write_ade(folder / "ADEChallengeData2016", scenes["train"], scenes["val"])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=Path("dataset/scenes"))
    parser.add_argument("--train", type=int, default=96, help="training scenes")
    parser.add_argument("--val", type=int, default=32, help="held-out scenes")
    options = parser.parse_args()
    output = options.output.resolve()
    if min(options.train, options.val) < 1:
        parser.error("at least one scene of each kind is needed")
    if output.exists() and {path.name for path in output.iterdir()} - {"coco", "ADEChallengeData2016"}:
        parser.error(f"{output} holds other files than scenes and is not replaced")
    output.parent.mkdir(parents=True, exist_ok=True)
    # Complete or not there: an interrupted run leaves what was there before.
    with tempfile.TemporaryDirectory(prefix=".scenes-", dir=output.parent) as scratch:
        write_all(Path(scratch, "new"), options.train, options.val)
        swap_folder(Path(scratch, "new"), output)


if __name__ == "__main__":
    main()
