"""Samples that PaddleDetection cannot read or transform: they end a run at once, in one line with the file.

Nothing is changed on disk. Each function says its symptom.
"""

import contextlib
import functools
import os
import sys

import paddle
from ppdet.data import reader

from ppcls_mixformer.hosting import loading, pictures, reading
from ppcls_mixformer.hosting.patches import replace_once, replaced, shadow_module
from ppcls_mixformer.predict.results import check_failures

ROOMS = ("ppdet.data.transform",)
FILE_KEYS = ("im_file", "image_file")
left_out = []  # in a block of `leaving_out` a dict: of each picture that was left out the reason


def apply():
    """Applies every bridge; applying them again changes nothing."""
    watched_loaders()
    files_of_samples()
    half_pictures()
    reader.logger.addFilter(_said_elsewhere)


def watched_loaders():
    """All releases: an error in a reader never says of which file it is."""
    for part in (reader.BaseDataLoader, getattr(reader, "BaseSemiDataLoader", None)):
        if part is not None:
            replace_once(part, "__call__", _with_watched_loaders)


def _with_watched_loaders(original):
    @functools.wraps(original)
    def __call__(self, *args, **kwargs):
        def load(dataset, **options):
            loader = paddle.io.DataLoader(dataset, **options)
            loading.watch(loader, watcher(type(self).__name__, len(dataset)))
            return loader

        with replaced(reader, "DataLoader", load):
            return original(self, *args, **kwargs)

    return __call__


def watcher(key, total):
    """What is made of failures of the reader `key`, whose dataset has `total` samples."""
    if left_out:
        return reading.InferenceWatch(key, total, describe, left_out[-1])
    return reading.Watch(key, total, describe)


@contextlib.contextmanager
def leaving_out(paths):
    """Yields the picture files among `paths`; readers that are made meanwhile leave out those that fail.

    Raises:
        UserError: at the end of the block, some were left out; names them.
    """
    failed = {}
    left_out.append(failed)
    try:
        for path in paths:
            if not os.path.isfile(path):
                leave_out(path, pictures.Unreadable("it is no file"))
        yield [path for path in paths if path not in failed]
    finally:
        left_out.pop()
    results = {path: {"file_name": path} for path in paths}
    for path, reason in failed.items():
        results[path]["error"] = reason
    check_failures(list(results.values()))


def leave_out(path, error):
    """Leaves out a picture of which came `error`, in a block of `leaving_out`."""
    reading.InferenceWatch("", 1, describe, left_out[-1]).meet(reading.Failure.of(error, path, ROOMS))


def files_of_samples():
    """All releases: decoding forgets the file, and mixing samples takes others than the one asked for."""
    for part in (reader.Compose, getattr(reader, "Compose_SSOD", None)):
        if part is not None:
            replace_once(part, "__call__", _with_the_files_of_errors)


def _with_the_files_of_errors(original):
    @functools.wraps(original)
    def __call__(self, data):
        samples = data if isinstance(data, (list, tuple)) else [data]
        files = [file for sample in samples for file in files_in(sample)]
        try:
            return original(self, data)
        except BaseException as error:
            error.files = files
            raise

    return __call__


def files_in(sample):
    """Paths of the pictures that a sample, a dict, is to be read from."""
    return [str(sample[key]) for key in FILE_KEYS if sample.get(key)]


def half_pictures():
    """All releases: OpenCV decodes the half of a JPEG file that is there, and gives None for no picture."""
    for name, module in list(sys.modules.items()):
        if name.startswith("ppdet.data.") and hasattr(module, "cv2"):
            shadow_module(module, "cv2", imdecode=pictures.imdecode, imread=pictures.imread)


def _said_elsewhere(record):
    """Lets no line pass that is logged while an exception is handled: it has a traceback of many lines."""
    return sys.exc_info()[0] is None


def describe(dataset, index, error):
    """The Failure of `error`, which came of sample `index` of `dataset`, or of a batch where it is None."""
    if index is None:
        return reading.Failure.of(error, "", ROOMS)
    samples = getattr(dataset, "roidbs", None) or getattr(dataset, "db", None)  # the latter of keypoints
    listed = files_in(samples[index % len(samples)]) if samples else []
    return reading.Failure.of_sample(index, getattr(error, "files", listed), error, ROOMS)
