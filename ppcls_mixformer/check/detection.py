"""Annotations in the formats of COCO and LVIS, by the checks of the PaddleDetection host.

Files are checked without PaddleDetection; a config is read by PaddleDetection itself.
"""

import contextlib
import functools
import itertools
import logging
import os
from collections import Counter, defaultdict

import yaml
from PIL import Image

from ppcls_mixformer.check.found import MOST, Found, Split
from ppcls_mixformer.hosting import charts, pictures
from ppcls_mixformer.hosting.cli import Settings
from ppcls_mixformer.hosting.errors import UserError, check_all, collected
from ppcls_mixformer.paddledet import (
    annotated_pictures,
    annotation_file,
    annotations,
    joints,
    keypoint_fields,
    splits,
)
from ppcls_mixformer.paddledet.classes import options_of
from ppcls_mixformer.paddledet.drawing import draw_objects

logger = logging.getLogger(__name__)

# Of each task the metric of a config for it, and whether its objects have masks.
TASKS = {
    "detection": ("COCO", False),
    "instances": ("COCO", True),
    "keypoints": ("KeyPointTopDownCOCOEval", False),
    "lvis": ("LVIS", True),
}

# What a config has to say where a category does not name its joints.
UNNAMED = "flip_perm, the joints that change places in a mirror image, such as [[1,2],[3,4]], counted from 0"
FEW = 20  # pictures by which the folder of all is found
MANY = 500  # folders in which they are looked for
SECTIONS = "TrainDataset", "EvalDataset", "TestDataset"  # of a config, in the order of files


def of_config(name, overrides):
    """What the config `name` means, with `key=value` overrides: all that `det train --eval` checks.

    Raises:
        UserError: PaddleDetection or the config cannot be read.
    """
    from ppcls_mixformer.paddledet import register
    from ppcls_mixformer.paddledet.flags import parser

    register()
    from ppcls_mixformer.paddledet import config as configs
    from ppcls_mixformer.paddledet import preflight

    config = configs.load(name, overrides)
    config["use_gpu"] = False  # nothing is trained
    has_evaluation = bool(options_of(config.get("EvalDataset")).get("anno_path"))
    flags = parser("train").parse_args(["-c", name, *(["--eval"] if has_evaluation else [])])
    settings, refused, files = Settings(flags, config), [], []
    with collected(refused):
        check_all(preflight.parts(settings, "train"))
    for part in preflight.parts_of_data(settings, "train"):
        with collected(refused):
            files.append(part())
    files = [file for file in files if file]
    if files:
        with collected(refused):
            preflight.check_files(files, settings, "train")
    if files and not refused:
        with collected(refused):
            _check_batch()
    wanted = config.metric, splits.learns_masks(config)
    task = next((name for name, found in TASKS.items() if found == wanted), f"metric {config.metric}")
    return _found(task, files, config.get("joints"), refused, [])


def _check_batch():
    """Lists the samples of the config as a training does, whose sampler refuses fewer than a batch."""
    from ppdet.core.workspace import create
    from ppdet.data import reader

    dataset, loader = create("TrainDataset")(), create("TrainReader")
    dataset.parse_dataset()
    reader.DistributedBatchSampler(dataset, batch_size=loader.batch_size, drop_last=loader.drop_last)


def of_files(paths, folders, task):
    """What the files at `paths` hold, the first of which counts as that of training.

    Args:
        folders: of the pictures, one for all files or one for each; none to look for them.
        task: one of TASKS; None for what the first file looks like.
    """
    refused, raw, files, needed, places = [], [], [], [], []
    for place, path in enumerate(paths):
        with collected(refused):
            raw.append((place, splits.load(path, f"file {place + 1}" if len(paths) > 1 else "FILE")))
    task = task or (task_of(raw[0][1].content) if raw else "detection")
    metric, with_masks = TASKS[task]
    for place, file in raw:
        with collected(refused):
            folder = folders[min(place, len(folders) - 1)] if folders else find_folder(file, metric)
            find_picture = annotated_pictures.finder(folder, metric)
            files.append(annotations.repair(file, metric, with_masks, find_picture))
            places += _places(SECTIONS[place], file.path, folder) if place < len(SECTIONS) else []
    found = None
    if files and task == "keypoints":
        with collected(refused):
            found = _settle_joints(files, needed)
    elif files:
        needed.append(f"num_classes={len(files[0].content['categories'])}")
    for file in files:
        with collected(refused):
            splits.complete_classes(file, files[0])
            splits.check_together([file], files[:1])
    return _found(task, files, found, refused, needed)._replace(places=[] if refused else places)


def _places(section, path, folder):
    """What a section of a config says, `key=value`, to take the file at `path` of pictures in a folder."""
    path, folder = os.path.abspath(path), os.path.abspath(folder)
    root = os.path.commonpath([os.path.dirname(path), folder])
    values = {"dataset_dir": root, "image_dir": os.path.relpath(folder, root)}
    values["anno_path"] = os.path.relpath(path, root)
    return [f"{section}.{key}={_as_yaml(value)}" for key, value in values.items()]


def _as_yaml(text):
    """A text as YAML has it, in quotes where it would be something else, such as 2017."""
    with contextlib.suppress(yaml.YAMLError):
        if yaml.safe_load(text) == text:
            return text
    quote = "'"
    return quote + text.replace(quote, 2 * quote) + quote


def task_of(content):
    """The one of TASKS that a file's content looks like."""
    sections = content if isinstance(content, dict) else {}
    lists = (sections.get(name) for name in ("images", "categories", "annotations"))
    images, categories, entries = (
        [entry for entry in part if isinstance(entry, dict)] if isinstance(part, list) else []
        for part in lists
    )
    is_by_address = any("coco_url" in image and "file_name" not in image for image in images[:1])
    if is_by_address or any("frequency" in category for category in categories[:1]):
        return "lvis"
    if any(entry.get("keypoints") for entry in (*categories, *entries)):
        return "keypoints"
    return "instances" if any(entry.get("segmentation") for entry in entries) else "detection"


def find_folder(file, metric):
    """The folder near a file in which its pictures are, by the names of the first ones.

    Raises:
        UserError: there is none, or several that have as many of them.
    """
    find_name = annotated_pictures.finder("", metric)
    images = file.content.get("images") if isinstance(file.content, dict) else None
    try:
        names = [find_name(image).replace("\\", "/") for image in images[:FEW]]
    except (TypeError, KeyError, AttributeError):
        names = []
    if not names:
        return ""  # `annotations.repair` refuses such a file
    here = os.path.dirname(os.path.abspath(file.path))
    parents = (here, os.path.dirname(here))
    near = dict.fromkeys([*parents, *itertools.chain(*map(_folders_in, parents))])
    deeper = itertools.islice(itertools.chain(*map(_folders_in, near)), MANY)  # such as images/train
    ways = _path_as_named, functools.partial(_path_as_spelt, annotated_pictures.Folders())
    for find_path, folders in itertools.product(ways, (near, [*deeper])):
        found = {folder: [find_path(folder, name) for name in names] for folder in folders}
        most = max((sum(map(bool, paths)) for paths in found.values()), default=0)
        best = {f: paths for f, paths in found.items() if sum(map(bool, paths)) == most > 0}
        if best:
            break
    first = next(iter(best), None)
    is_one = all(paths == best[first] for paths in best.values())  # names may be absolute, or have ..
    if best and (first == here or is_one):
        return first
    place = f"in {' and in '.join([*best][:2])}" if best else "neither beside it nor in a folder near it"
    raise UserError(
        f"{file.key}: {file.path}: its pictures, such as {names[0]}, are {place}: name theirs, "
        "--images FOLDER"
    )


def _path_as_named(folder, name):
    """Where the picture `name` is in a folder; None where it is not."""
    path = os.path.join(folder, name)
    return os.path.realpath(path) if os.path.exists(path) else None  # a link beside a folder is the same


def _path_as_spelt(listed, folder, name):
    """The same of another spelling of the name; `listed` are the `Folders` that were looked into."""
    find_path = annotated_pictures.finder(folder, "COCO")
    spelling = annotated_pictures.find_spelling({"file_name": name}, find_path, listed)
    return spelling and os.path.realpath(os.path.join(folder, spelling))


def _folders_in(parent):
    """Paths of the folders in a folder, in their order; none in one that cannot be listed."""
    with contextlib.suppress(OSError):
        return sorted(entry.path for entry in os.scandir(parent) if entry.is_dir())
    return []


def _settle_joints(files, needed):
    """The joints of files; adds what a config has to say about them to `needed`."""
    count = keypoint_fields.number_of_joints(files[0].content) or 0
    (category,) = files[0].content["categories"]
    are_named = joints.are_named(category, count)
    found = joints.agree(files, count, None if are_named else [])
    needed.append(f"num_joints={count}")
    if not are_named:
        needed.append(UNNAMED)
    unknown = []
    with collected(unknown):
        joints.find_sigmas(files[-1], None, found.names)
    if unknown:
        needed.append("oks_sigmas, see the warning")
        logger.warning(unknown[0])
    logger.info("%s: %s", files[0].key, found.describe())
    return found


def _found(task, files, found_joints, refused, needed):
    names = [os.path.basename(file.path) for file in files]
    if len(set(names)) < len(names):  # such as train/annotations.json and val/annotations.json
        paths = [os.path.abspath(file.path) for file in files]
        root = os.path.commonpath([os.path.dirname(path) for path in paths])
        names = [os.path.relpath(path, root) for path in paths]
    parts = [_split(file, name, found_joints) for file, name in zip(files, names)]
    return Found(task, parts, refused, "Objects of each class", [], needed, [])


def _split(file, name, found_joints):
    content = file.content
    objects = [entry for entry in content["annotations"] if annotation_file.is_object(entry)]
    numbers = Counter(entry["category_id"] for entry in objects)
    titles = {category["id"]: " ".join(str(category["name"]).split()) for category in content["categories"]}
    counts = {title: numbers[number] for number, title in titles.items()}
    sizes = [size for size in map(annotation_file.size_in, content["images"]) if size]
    boxes = [tuple(entry["bbox"][2:]) for entry in objects]
    return Split(
        name=name,
        words=annotations.summary(file),
        counts=counts,
        sizes=sizes,
        boxes=boxes,
        samples=_samples(file, numbers),
        draw=_drawer(file, titles, found_joints),
        record={
            "key": file.key,
            "path": os.path.abspath(file.path),
            "entries": file.entries,
            "used": {
                "images": len(content["images"]),
                "images_without_objects": annotations.number_of_empty(content),
                "images_turned_by_exif": len(file.turned),
                "objects": len(objects),
                "crowds": annotations.number_of_crowds(content),
            },
            "classes": [{"id": n, "name": title, "objects": numbers[n]} for n, title in titles.items()],
            "joints": found_joints.names if found_joints else [],
            "repaired": [_record(note) for note in file.notes if not note.left_out],
            "left_out": [_record(note) for note in file.notes if note.left_out],
        },
    )


def _record(note):
    ids = [number if type(number) in (int, str) else str(number) for number in note.ids]
    counted = {"section": note.section, "count": note.count, "of": note.total, "first_ids": ids}
    return {"text": str(note), **(counted if note.section else {})}


def _samples(file, numbers):
    """Entries of pictures to draw: first those turned or repaired, then the rarest classes, then others."""
    images = {image["id"]: image for image in file.content["images"]}
    odd = [image["id"] for image in file.turned]
    for note in file.notes:
        key = {"images": "id", "annotations": "image_id"}.get(note.section)
        odd += [entry.get(key) for entry in note.entries if key]
    odd = list(dict.fromkeys(number for number in odd if number in images))[: MOST // 2]
    first = {}
    for entry in file.content["annotations"]:
        first.setdefault(entry["category_id"], entry["image_id"])
    rare = [first[number] for number, _ in reversed(numbers.most_common())]
    every = max(1, len(images) // MOST)
    ids = dict.fromkeys([*odd, *rare, *list(images)[::every]])
    return [images[number] for number in list(ids)[:MOST]]


def _drawer(file, titles, found_joints):
    """`Split.draw` of a file; `titles` are the names of its classes, by their ids."""
    of_picture, text = defaultdict(list), charts.Text(12)
    for entry in file.content["annotations"]:
        of_picture[entry["image_id"]].append(entry)
    categories = enumerate(file.content["categories"])
    classes = {category["id"]: (number, titles[category["id"]]) for number, category in categories}

    def draw(image, side):
        pixels = pictures.imread(file.path_of(image))
        small = charts.fitted(Image.fromarray(pixels[:, :, ::-1]), side)
        entries = of_picture[image["id"]]
        drawn = draw_objects(small, small.width / pixels.shape[1], entries, classes, found_joints, text)
        return os.path.basename(file.path_of(image)), drawn

    return draw
