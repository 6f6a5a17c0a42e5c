"""Writes scenes in the layouts of COCO, LVIS v1 and ADE20K."""

import json

import cv2
import numpy as np
from PIL import Image

from ppcls_mixformer.hosting import drawn

from .compose import SEED
from .parts import DIGITS, KEYPOINTS, SKELETON, STUFF

THINGS = [*DIGITS, "person"]
COCO_IDS = dict(zip(THINGS, [*range(1, 11), 12]))  # with a gap, as COCO's
LVIS_IDS = {name: number for number, name in enumerate(THINGS, 1)}
ADE_CLASSES = [*STUFF, "digit", "person"]  # in class maps counted from 1

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
    """The fields of a picture that COCO and LVIS share; readers use the path in the address only."""
    address = f"http://images.cocodataset.org/{folder}/{scene.number:012d}.jpg"
    height, width = scene.owner.shape
    return {"id": scene.number, "license": 1, "coco_url": address, "height": height, "width": width}


def write_json(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def write_annotations(path, images, annotations, categories):
    """Writes a file of annotations as COCO and LVIS have it."""
    terms = {"id": 1, "name": "see scikit-image and scikit-learn", "url": ""}
    heads = {"info": {"description": "composed scenes"}, "licenses": [terms]}
    write_json(path, {**heads, "images": images, "annotations": annotations, "categories": categories})


# COCO


def write_jpeg(path, image):
    path.parent.mkdir(parents=True, exist_ok=True)
    drawn.save(Image.fromarray(image), path, quality=95)


def write_coco(folder, split, scenes):
    """Writes pictures, instances and keypoints of a split."""
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
    """Writes boxes as a person detector finds them: the true ones, a little off, and a few wrong ones."""
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
    """Writes both files, and the pictures of the `extra` held-out scenes into train2017."""
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
    """Writes pictures, class maps and the table of the classes, in the form of objectInfo150.txt."""
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
