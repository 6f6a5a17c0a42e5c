"""Exported classifiers in Python."""

import os

import numpy as np
from PIL import Image

from ppcls_mixformer.hosting.errors import UserError
from ppcls_mixformer.hosting.pictures import Unreadable
from ppcls_mixformer.predict import description as descriptions
from ppcls_mixformer.predict import names, predictor, programs, results, transforms, views
from ppcls_mixformer.predict.sources import Source, find, find_listed

BATCH_SIZE = 16
MISSING = {
    descriptions.FEATURES: "features: export it with --features",
    descriptions.GATES: "spatial gates: export it with --saliency",
}


class Predictions(list):
    """Results of pictures, see `results`."""

    def save(self, path):
        """Writes them to a `.csv` file, a row for each class shown, or a `.jsonl` file, a line each.

        Raises:
            UserError: another ending.
        """
        with results.writer(path) as write:
            for result in self:
                write(result)


class Classifier:
    """Classifies pictures with an export: its program, and `inference.yml` beside it.

    Threads may share one: on paddle.inference they run one after the other, on ONNX Runtime side by side.

        classify = Classifier("output/flowers/inference")
        classify("a.jpg")["label_names"]
        classify("photos").save("photos.csv")
    """

    def __init__(
        self,
        folder,
        engine=None,
        *,
        topk=None,
        threshold=None,
        label_names=None,
        description=None,
        tta="",
        use_gpu=None,
        threads=None,
        onednn=True,
        use_fp16=False,
    ):
        """Loads the program in `folder`.

        Args:
            folder: of the export.
            engine: `"paddle"` or `"onnxruntime"`; None for the first that is installed and has its file; or a
                `programs.Program` that is loaded already.
            topk: classes to show.
            threshold: of independent labels, shows those with at least this probability. Without either: as
                the export says.
            label_names: of the classes, a list or a dict by number; None for those of the export.
            description: stands in for `inference.yml`, see `description.Description`.
            tta: views of each picture that scores are averaged over, such as `"flip,1.15"`, see `views`.
            use_gpu: None for a GPU where the engine has one.
            threads: of the math library; None for the engine's own choice.
            onednn: whether Paddle uses oneDNN's kernels on a CPU.
            use_fp16: whether to take `inference_fp16.onnx`, which ONNX Runtime reads.

        Raises:
            UserError: the folder holds no program that is read here, or is damaged.
        """
        if topk is not None:
            predictor.check_whole("topk", topk, 1)
        self.path = os.path.join(folder, descriptions.NAME)
        shown = description or descriptions.read(folder)
        options = programs.Options(None, use_gpu, threads, onednn, use_fp16)
        if not isinstance(engine, programs.Program):
            self.program = programs.load(folder, options._replace(engine=engine))
        elif options == programs.Options():
            self.program = engine
        else:
            raise UserError(
                "use_gpu, threads, onednn and use_fp16 are for loading, and this program is loaded"
            )
        self.topk, self.threshold = _shown(shown, topk, threshold)
        self.image_shape = shown.image_shape
        self._given = shown.outputs or [descriptions.SCORES, descriptions.FEATURES]
        self.transforms = transforms.build(shown.transform_ops, self.path)
        shown.check_size(self.transforms, f"the transforms of {self.path}")
        self._run = views.averaged(self.program.run, views.parse(tta))
        self._known = (
            names.Names(enumerate(shown.label_names or ()), self.path)
            if label_names is None
            else names.given(label_names)
        )
        self._names = []  # of the network's classes, once their number is known

    def __call__(self, pictures, batch_size=BATCH_SIZE, progress=True):
        """The result of a picture, a dict with class_ids, scores and label_names, best first; or several.

        Args:
            pictures: a path, an address, an array (RGB, `uint8`, `[H, W, 3]`; grey and RGBA too) or a picture
                of Pillow, for one dict; a folder or a list of these, for `Predictions`, in which those that
                cannot be read have an `error`.
            batch_size: pictures that the network gets at once.
            progress: whether to show a bar on a terminal when it takes longer.

        Raises:
            UserError: there is no such picture, or it cannot be read; an array of another kind.
        """
        sources, is_one = _sources(pictures)
        found = list(self.stream(sources, batch_size, progress))
        if not is_one:
            return Predictions(found)
        if "error" in found[0]:
            raise UserError(f"{found[0]['file_name'] or 'the picture'}: {found[0]['error']}")
        return found[0]

    def stream(self, sources, batch_size=BATCH_SIZE, progress=True):
        """Yields the result of each `Source`, in their order."""

        def classify(images, batch):
            scores = self._run(images)[0]
            return [self._result(row, source.name) for row, source in zip(scores, batch)]

        return predictor.predict(sources, self._prepare, classify, batch_size, progress)

    def scores(self, pictures, batch_size=BATCH_SIZE):
        """Scores of all classes, float32 `[classes]` of one picture, `[N, classes]` of several.

        Raises:
            UserError: a picture cannot be read.
        """
        return self._outputs(descriptions.SCORES, self._run, pictures, batch_size)[0]

    def features(self, pictures, batch_size=BATCH_SIZE):
        """Pooled features, float32 `[D]` of one picture, `[N, D]` of several; of exports with `--features`.

        Raises:
            UserError: the export has none, or a picture cannot be read.
        """
        return self._outputs(descriptions.FEATURES, self._run, pictures, batch_size)[0]

    def gates(self, pictures, batch_size=BATCH_SIZE):
        """Spatial gates of exports with `--saliency`, of the pictures themselves whatever `tta`.

        Returns:
            For each stage float32 `[blocks, height, width]` of one picture, `[N, blocks, height, width]` of
            several, 0 to 1: where a block's attention lets its convolution pass.

        Raises:
            UserError: the export has none, or a picture cannot be read.
        """
        return self._outputs(descriptions.GATES, self.program.run, pictures, batch_size)

    def _outputs(self, prefix, run, pictures, batch_size):
        """What `run` gives of the pictures under each name that begins with `prefix`."""
        sources, is_one = _sources(pictures)
        if not sources:
            raise UserError("an empty list: there are no pictures to give scores or features of")

        def classify(images, batch):
            found = [rows for name, rows in zip(self._given, run(images)) if name.startswith(prefix)]
            if not found:
                raise UserError(f"{self.program.path} gives no {MISSING[prefix]}")
            return [{"rows": rows} for rows in zip(*found)]

        found = list(predictor.predict(sources, self._prepare, classify, batch_size))
        results.check_failures(found)
        columns = list(zip(*(one["rows"] for one in found)))
        return [column[0] if is_one else np.stack(column) for column in columns]

    def _prepare(self, source):
        image = transforms.apply(self.transforms, source.rgb())
        if self.image_shape and list(image.shape) != list(self.image_shape):
            raise Unreadable(
                f"it becomes {list(image.shape)}, and {self.program.path} takes {self.image_shape}"
            )
        return np.ascontiguousarray(image, dtype="float32")

    def _result(self, scores, file_name):
        if self.topk is None:
            class_ids = results.likely(scores, self.threshold)
        else:
            class_ids = results.best(scores, self.topk)
        return results.result(scores, class_ids, self._fitting_names(len(scores)), file_name)

    def _fitting_names(self, classes):
        """Names of the network's `classes`; their numbers where there are none."""
        if len(self._names) != classes:
            self._names = names.fit(self._known, classes, self._known.source)
        return self._names


def _shown(description, topk, threshold):
    """`(topk, threshold)` of the classes to show, one of them None.

    Raises:
        UserError: a threshold for classes that exclude each other, or that is NaN; both.
    """
    if topk is not None and threshold is not None:
        raise UserError("topk and threshold: classes are chosen by one of them")
    if threshold is not None and not description.independent:
        raise UserError("threshold is for independent labels, but the classes here exclude each other")
    if threshold != threshold:
        raise UserError(f"threshold is {threshold}; it takes a probability")
    if topk is None and threshold is None:
        topk = description.topk
    return topk, description.threshold if threshold is None and topk is None else threshold


def _sources(pictures):
    """A list of `Source`, and whether `pictures` is one picture."""
    if isinstance(pictures, (str, os.PathLike)):
        return find(pictures), not os.path.isdir(pictures)
    if isinstance(pictures, Image.Image):
        return [Source(None, pictures)], True
    if isinstance(pictures, np.ndarray) and pictures.ndim != 4:
        return [Source(None, pictures)], True
    if isinstance(pictures, (bytes, bytearray)) or not hasattr(pictures, "__iter__"):
        raise UserError(
            f"{type(pictures).__name__} is no picture: take a path, an array, a picture of Pillow, or a list"
        )
    return [source for picture in pictures for source in _listed(picture)], False


def _listed(picture):
    """The sources of one of many, of which each may fail alone."""
    return find_listed(picture) if isinstance(picture, (str, os.PathLike)) else _sources(picture)[0]
