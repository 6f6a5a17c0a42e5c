"""Data in the layout of ADE20K, with any number of classes."""

from pathlib import Path

import numpy as np
import paddle
from paddleseg.cvlibs import manager
from paddleseg.transforms import Compose
from PIL import Image

from ppcls_mixformer.hosting.errors import UserError

SPLITS = {"train": "training", "val": "validation"}


@manager.DATASETS.add_component
class ADE20KLayout(paddle.io.Dataset):
    """Pictures `images/SPLIT/*.jpg` with class maps `annotations/SPLIT/*.png`, as ADE20K has them.

    In a class map 0 means unlabelled and n the n-th class. In a sample's label the classes count from 0
    and 255 means unlabelled. PaddleSeg's `ADE20K` is the same for its 150 classes.

    Args:
        transforms: PaddleSeg's transforms.
        dataset_root: folder of `images` and `annotations`.
        num_classes: number of classes.
        mode: `train` or `val`.

    Raises:
        UserError: no such folder, no pictures, or a picture without a class map.
    """

    IGNORE_INDEX = 255
    IMG_CHANNELS = 3

    def __init__(self, transforms, dataset_root, num_classes, mode="train"):
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
        label = np.asarray(Image.open(class_map)) - np.uint8(1)  # 0 becomes 255
        sample = {"img": picture, "label": label, "trans_info": [], "gt_fields": []}
        if self.mode == "train":
            sample["gt_fields"].append("label")
        sample = self.transforms(sample)
        if self.mode != "train":
            sample["label"] = sample["label"][np.newaxis]
        return sample


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
    pairs = [(path, maps / f"{path.stem}.png") for path in sorted(pictures.glob("*.jpg"))]
    if not pairs:
        raise UserError(f"there is no *.jpg in {pictures}")
    for picture, class_map in pairs:
        if not class_map.is_file():
            raise UserError(f"{picture} has no class map: there is no {class_map}")
    return [[str(picture), str(class_map)] for picture, class_map in pairs]
