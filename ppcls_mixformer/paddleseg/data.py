"""Data in the layout of ADE20K, with any number of classes."""

from pathlib import Path

import numpy as np
import paddle
from paddleseg.cvlibs import manager
from paddleseg.transforms import Compose
from PIL import Image

from ppcls_mixformer.hosting.errors import UserError
from ppcls_mixformer.paddleseg.class_maps import numbers_of

SPLITS = {"train": "training", "val": "validation"}
MOST = 255  # classes in 8 bits, beside the number for unlabelled
PICTURES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp")  # in any case


@manager.DATASETS.add_component
class ADE20KLayout(paddle.io.Dataset):
    """Pictures `images/SPLIT/*.jpg` with class maps `annotations/SPLIT/*.png`, as ADE20K has them.

    Pictures may have any ending in `PICTURES`.

    In a class map 0 means unlabelled and n the n-th class. In a sample's label the classes count from 0
    and 255 means unlabelled. PaddleSeg's `ADE20K` is the same for its 150 classes.

    Args:
        transforms: PaddleSeg's transforms.
        dataset_root: folder of `images` and `annotations`.
        num_classes: number of classes.
        mode: `train` or `val`.

    Raises:
        UserError: no such folder, no pictures, a picture without a class map, two with the same one, or more
            classes than a class map can hold.
    """

    IGNORE_INDEX = 255
    IMG_CHANNELS = 3

    def __init__(self, transforms, dataset_root, num_classes, mode="train"):
        if num_classes > MOST:
            raise UserError(f"class maps in ADE20K's layout hold {MOST} classes at most, not {num_classes}")
        self.transforms = Compose(transforms)
        self.num_classes = num_classes
        self.ignore_index = self.IGNORE_INDEX
        self.mode = mode
        self.file_list = list_pairs(dataset_root, mode)

    def __len__(self):
        return len(self.file_list)

    def __getitem__(self, index):
        """A dict with `img`, `[3, H, W]`, and `label`, `[H, W]` in training and else `[1, H, W]`."""
        picture, class_map = self.file_list[index]
        label = read_map(class_map) - np.uint8(1)  # 0 becomes 255
        sample = {"img": picture, "label": label, "trans_info": [], "gt_fields": []}
        if self.mode == "train":
            sample["gt_fields"].append("label")
        sample = self.transforms(sample)
        if self.mode != "train":
            sample["label"] = sample["label"][np.newaxis]
        return sample


def read_map(path):
    """The numbers in a class map, `[H, W]`: uint8, or int32 where some are above 255.

    Of 16 bits, Pillow gives uint16, which Paddle takes for bfloat16: every class becomes 0.
    """
    with Image.open(path) as image:
        numbers = numbers_of(image)
    if numbers.dtype == "uint8":
        return numbers
    return numbers.astype("int32" if numbers.max() > 255 else "uint8")


def list_pairs(root, mode):
    """`[picture, class map]` paths of a split in ADE20K's layout, in order of their names.

    Raises:
        UserError: as `ADE20KLayout`.
    """
    if mode not in SPLITS:
        raise UserError(f"mode must be train or val, got {mode!r}")
    pictures = Path(root) / "images" / SPLITS[mode]
    maps = Path(root) / "annotations" / SPLITS[mode]
    for folder in (pictures, maps):
        if not folder.is_dir():
            raise UserError(
                f"there is no folder {folder}: ADE20K's layout is images/{SPLITS[mode]}/*.jpg and "
                f"annotations/{SPLITS[mode]}/*.png in dataset_root; nothing is downloaded"
            )
    paths = [path for path in sorted(pictures.iterdir()) if is_picture(path)]
    if not paths:
        raise UserError(f"there is no picture ({', '.join(PICTURES)}) in {pictures}")
    first_of = {}
    for path in paths:
        if first_of.setdefault(path.stem, path) != path:
            raise UserError(f"{first_of[path.stem]} and {path.name} would have the same class map")
    map_of = {path.stem: path for path in sorted(maps.iterdir()) if path.suffix.lower() == ".png"}
    return _pairs({path.stem: path for path in paths}, map_of, f"{maps}/{{}}.png")


def list_fixed_pairs(root, pictures, maps):
    """`[picture, class map]` paths of a data set in which both have fixed endings, in order of their names.

    Args:
        root: folder of both.
        pictures: a folder in `root`, and behind a star the pattern of the files in it.
        maps: the same of the class maps; what the stars stand for is the same in both.

    Raises:
        UserError: there is no picture, or one of both without the other.
    """
    found = []
    for folder, pattern in (pictures, maps):
        ending, folder = pattern.split("*")[-1], Path(root, folder)
        paths = sorted(folder.glob(pattern))
        found.append({path.relative_to(folder).as_posix()[: -len(ending)]: path for path in paths})
    if not found[0]:
        raise UserError(f"there is no picture {Path(root, *pictures)}")
    over = [path for name, path in found[1].items() if name not in found[0]]
    if over:
        raise UserError(f"{len(over)} of {len(found[1])} class maps have no picture, such as {over[0]}")
    folder, pattern = maps
    return _pairs(*found, f"{Path(root, folder)}/{{}}{pattern.split('*')[-1]}")


def _pairs(pictures, maps, place):
    """Pairs of paths by their names; `place` is where the class map of the name in its braces would be."""
    lacking = [name for name in pictures if name not in maps]
    if lacking:
        raise UserError(
            f"{len(lacking)} of {len(pictures)} pictures have no class map: {pictures[lacking[0]]} has none, "
            f"there is no {place.format(lacking[0])}"
        )
    return [[str(path), str(maps[name])] for name, path in pictures.items()]


def is_picture(path):
    """Whether a file is a picture by its name; hidden files are none."""
    return path.suffix.lower() in PICTURES and not path.name.startswith(".")


def left_out(root, mode):
    """Files that `list_pairs` leaves out: no pictures by their names, and class maps without a picture."""
    pictures, maps = (Path(root) / kind / SPLITS[mode] for kind in ("images", "annotations"))
    stems = {path.stem for path in pictures.iterdir() if is_picture(path)}
    others = [path for path in sorted(pictures.iterdir()) if not is_picture(path)]
    others += [path for path in sorted(maps.iterdir()) if path.stem not in stems]
    return [path for path in others if not path.name.startswith(".")]
