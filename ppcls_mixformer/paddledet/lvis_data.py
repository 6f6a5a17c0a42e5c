"""LVIS v1 as PaddleDetection's data set, with repeat-factor sampling."""

import math
import os
from collections import Counter, defaultdict

import numpy as np
from lvis import LVIS
from ppdet.core.workspace import register, serializable
from ppdet.data import source
from ppdet.data.source.dataset import DetDataset

from ppcls_mixformer.paddledet.annotated_pictures import name_in_coco
from ppcls_mixformer.paddledet.masks import as_polygons


@register
@serializable
class LVISDataSet(DetDataset):
    """Data set in the format of LVIS v1 (arXiv 1908.03195), over the pictures of COCO.

    Each picture is found by the last two parts of its `coco_url`, such as `train2017/x.jpg`, since
    the pictures of LVIS's own splits lie in both of COCO's folders.

    Args:
        dataset_dir: folder of all that belongs to the data set.
        image_dir: folder in it with COCO's `train2017` and `val2017`; "" for itself.
        anno_path: the annotation file in it.
        data_fields: what a sample holds, as in `COCODataSet`.
        sample_num: how many pictures to take; -1 for all.
        allow_empty: whether to train on pictures without annotations.
        repeat_threshold: a class that a smaller share of the pictures has gets its pictures more
            often, see `repeat_factors`; 0 for none. The paper's value is 1e-3.
    """

    def __init__(
        self,
        dataset_dir=None,
        image_dir="",
        anno_path=None,
        data_fields=("image",),
        sample_num=-1,
        allow_empty=False,
        repeat_threshold=0.0,
    ):
        super().__init__(dataset_dir, image_dir, anno_path, list(data_fields), sample_num)
        self.allow_empty = allow_empty
        self.repeat_threshold = repeat_threshold

    def parse_dataset(self):
        """Reads the annotation file and lists its pictures."""
        content = LVIS(self.get_anno()).dataset  # as `bridges.repaired_annotations` gives it
        self.catid2clsid = {c: i for i, c in enumerate(c["id"] for c in content["categories"])}
        annotations = defaultdict(list)
        for annotation in content["annotations"]:
            if has_area(annotation["bbox"]) and not annotation.get("ignore"):
                annotations[annotation["image_id"]].append(annotation)
        images = [i for i in content["images"] if self.allow_empty or annotations[i["id"]]]
        images = images[: self.sample_num] if self.sample_num > 0 else images
        self.records = [self._record(image, annotations[image["id"]]) for image in images]
        if self.repeat_threshold > 0:
            classes = [set(record["gt_class"].flatten().tolist()) for record in self.records]
            self.factors = repeat_factors(classes, self.repeat_threshold)
        self.set_epoch(0)

    def _record(self, image, annotations):
        fields = {
            "gt_bbox": np.array([corners(a["bbox"]) for a in annotations], "float32").reshape([-1, 4]),
            "gt_class": np.array([[self.catid2clsid[a["category_id"]]] for a in annotations], "int32"),
            "gt_poly": [as_polygons(a["segmentation"]) for a in annotations],
            "is_crowd": np.zeros([len(annotations), 1], "int32"),
        }
        return {
            "im_file": os.path.join(self.dataset_dir, self.image_dir, name_in_coco(image)),
            "im_id": np.array([image["id"]]),
            "h": float(image["height"]),
            "w": float(image["width"]),
            **{name: value for name, value in fields.items() if name in self.data_fields},
        }

    def set_epoch(self, epoch_id):
        """Lists the pictures of an epoch; with a `repeat_threshold` they are drawn anew for each."""
        super().set_epoch(epoch_id)
        if self.repeat_threshold == 0:
            self.roidbs = self.records
            return
        counts = round_fairly(self.factors, epoch_id)
        self.roidbs = [record for record, count in zip(self.records, counts) for _ in range(count)]


source.LVISDataSet = LVISDataSet  # where PaddleDetection looks for `name: LVISDataSet`


def has_area(box):
    """Whether a box `(x, y, width, height)` has any area."""
    return box[2] > 0 and box[3] > 0


def corners(box):
    """`(x, y, width, height)` as `(x1, y1, x2, y2)`."""
    x, y, width, height = box
    return [x, y, x + width, y + height]


def repeat_factors(classes, threshold):
    """How often an epoch shows each picture, not rounded (arXiv 1908.03195, B.1).

    A class that a share f of the pictures has asks for its pictures `max(1, sqrt(threshold / f))` times;
    a picture takes the largest factor of its classes.

    Args:
        classes: the set of classes of each picture.
    """
    images_of = Counter(c for present in classes for c in present)
    share = {c: count / len(classes) for c, count in images_of.items()}
    factor = {c: max(1.0, math.sqrt(threshold / f)) for c, f in share.items()}
    return [max((factor[c] for c in present), default=1.0) for present in classes]


def round_fairly(factors, seed):
    """Whole numbers with the given expectations, whose sum is the same for every `seed`."""
    total = int(sum(factors))
    ends = np.cumsum(factors) * (total / sum(factors)) + np.random.RandomState(seed).uniform()
    ends[-1] = total  # exactly, whatever the sums were rounded to
    return np.diff(np.floor(ends), prepend=0.0).astype(int).tolist()
