"""Pictures that PaddleClas cannot read or transform: never another one in their place without a word."""

import sys

import paddle
from ppcls.data import dataloader
from ppcls.data.preprocess.ops import operators

from ppcls_mixformer.hosting import loading, pictures, reading
from ppcls_mixformer.hosting.patches import replace_once, shadow_module

SHARE_KEY = "Global.unreadable_share"
SHARE = 0.01
ROOMS = ("ppcls.data.preprocess", "ppcls_mixformer.paddleclas.operators")  # of transforms
LOADERS = {
    "train_dataloader": "Train",
    "unlabel_train_dataloader": "UnLabelTrain",
    "eval_dataloader": "Eval",
    "gallery_dataloader": "Eval.Gallery",
    "query_dataloader": "Eval.Query",
    "gallery_query_dataloader": "Eval",
}


def apply():
    """Applies every bridge; applying them again changes nothing."""
    substitutes()
    half_pictures()
    crops_that_do_not_fit()


def substitutes():
    """All releases: a dataset logs what a picture raised and takes a random other, in evaluation too."""
    for name, module in list(sys.modules.items()):
        if name.startswith(dataloader.__name__) and hasattr(module, "logger"):
            shadow_module(module, "logger", error=_raiser(module.logger))


def _raiser(logger):
    def error(message, *args):
        """Raises the exception that is being handled; logs where there is none."""
        if sys.exc_info()[0]:
            raise  # noqa: PLE0704
        getattr(logger, "stands_for", logger).error(message, *args)

    return error


def half_pictures():
    """All releases: OpenCV decodes the half of a JPEG file that is there, and gives None for no picture."""
    for name, module in list(sys.modules.items()):
        if name.startswith(dataloader.__name__) or module is operators:
            if hasattr(module, "cv2"):
                shadow_module(module, "cv2", imdecode=pictures.imdecode, imread=pictures.imread)
    replace_once(operators.DecodeImage, "__call__", _of_files_with_content)


def _of_files_with_content(original):
    def __call__(self, img):
        if isinstance(img, bytes):
            pictures.check_content(img)
        return original(self, img)

    return __call__


def crops_that_do_not_fit():
    """All releases: a crop that is larger than the picture is its bottom right corner."""
    for name in ("CropImage", "RandomCropImage"):
        crop = getattr(operators, name, None)
        if crop is not None:
            replace_once(crop, "__call__", _of_pictures_that_are_large_enough)


def _of_pictures_that_are_large_enough(original):
    def __call__(self, img):
        width, height = self.size
        rows, columns = img.shape[:2]
        if width > columns or height > rows:
            raise ValueError(
                f"a crop of {width}x{height} does not fit into a picture of {columns}x{rows}; before it, "
                f"enlarge pictures with ResizeImage or pad them with PadImage: {{size: [{width}, {height}]}}"
            )
        return original(self, img)

    return __call__


def watch_loaders(engine, config):
    """Has the loaders of `engine` hand over what fails in them."""
    for attribute, split in LOADERS.items():
        loader = getattr(engine, attribute, None)
        if isinstance(loader, paddle.io.DataLoader):  # and not DALI's
            loading.watch(loader, watcher(config, f"DataLoader.{split}", len(loader.dataset)))


def watcher(config, key, total):
    """What is made of failures of the loader `key`, whose dataset has `total` samples."""
    if "Train" in key:
        share = config["Global"].get("unreadable_share", SHARE)
        return reading.TrainingWatch(key, total, describe, share, SHARE_KEY)
    skips = bool(config.get("skip_unreadable"))
    processes = paddle.distributed.get_world_size()
    return reading.EvaluationWatch(key, total, describe, skips, processes)


def describe(dataset, index, error):
    """The Failure of `error`, which came of sample `index` of `dataset`, or of a batch where it is None."""
    file = "" if index is None else file_of(dataset, index)
    return reading.Failure.of(error, file, ROOMS)


def file_of(dataset, index):
    """Path of sample `index`, which MultiScaleDataset has as `(width, height, index)`."""
    index = index[-1] if isinstance(index, (tuple, list)) else index
    for end, start, part in getattr(dataset, "dataset_list", ()):  # MixDataset
        if start <= index < end:
            return file_of(part, index - start)
    images = getattr(dataset, "images", None)
    return str(images[index]) if images else f"sample {index}"
