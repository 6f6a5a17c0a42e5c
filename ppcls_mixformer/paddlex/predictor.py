"""What PaddleX calls for exports of these backbones: its engines run the program, `Classifier` does the rest.

PaddleX's own two predictors take one kind of labels each, while a name can have one predictor only. They also
read `transform_ops` as resize, crop, normalize whatever stands there, leave the crop out for independent
labels, and give each picture of a batch the numbers of all (3.7.2).
"""

import functools

import numpy as np
from paddlex.inference.common.batch_sampler import ImageBatchSampler
from paddlex.inference.models.predictors import RunnerPredictor

from ppcls_mixformer.hosting.errors import UserError, first_line
from ppcls_mixformer.hosting.pictures import Unreadable
from ppcls_mixformer.paddlex.drawn import IndependentResult, SingleResult
from ppcls_mixformer.predict import description as descriptions
from ppcls_mixformer.predict.classifier import Classifier
from ppcls_mixformer.predict.programs import Program, in_one_line
from ppcls_mixformer.predict.results import DIGITS
from ppcls_mixformer.predict.sources import Source, of_array

KEPT = 16  # classifiers, each of what clients of a service may ask for


class MixFormerPredictor(RunnerPredictor):
    """Classifies pictures with an export; PaddleX builds it, in `create_model` and in pipelines."""

    def __init__(self, topk=None, threshold=None, **arguments):
        """Reads `inference.yml`.

        Args:
            topk: classes to show.
            threshold: of independent labels, shows those with at least this probability. Without either: as
                the export says.
            arguments: PaddleX's own.

        Raises:
            UserError: `inference.yml` is damaged, or its labels are of another kind than is asked for.
        """
        super().__init__(**arguments)
        run = functools.partial(_run, self.runner)
        self._program = Program(in_one_line(run, self.model_dir), "PaddleX", self.model_dir)
        self._description = descriptions.read(self.model_dir)
        self._asked = (topk, threshold)
        self._classifiers = {}
        self._classifier(None, None)

    def process(self, batch_data, topk=None, threshold=None):
        """The results of a batch: a dict of lists, an entry for each picture.

        Args:
            batch_data: PaddleX's batch; its instances are paths, or arrays in the order BGR.
            topk, threshold: as of the class, for this call.

        Raises:
            UserError: a picture cannot be read; names it.
        """
        paths = batch_data.input_paths
        pictures = list(map(_rgb, batch_data.instances, paths, batch_data.page_counts))
        found = self._classifier(topk, threshold)(pictures, max(1, len(pictures)), progress=False)
        for path, one in zip(paths, found):
            if "error" in one:
                raise UserError(f"{path or 'a picture'}: {one['error']}")
        return {
            "input_path": paths,
            "page_index": batch_data.page_indexes,
            "input_img": pictures,
            "class_ids": [one["class_ids"] for one in found],
            "scores": [[round(score, DIGITS) for score in one["scores"]] for one in found],
            "label_names": [one["label_names"] for one in found],
        }

    def _classifier(self, topk, threshold):
        """The classifier that shows what is asked for, in this call or else at the start."""
        asked = self._asked if topk is None and threshold is None else (topk, threshold)
        if not isinstance(asked[1], (int, float, type(None))):  # PaddleX has a dict or a list, too
            raise UserError(f"threshold is {asked[1]!r}; it takes one number, for all labels")
        found = self._classifiers.get(asked)
        if found is None:
            found = Classifier(
                self.model_dir,
                self._program,
                topk=asked[0],
                threshold=asked[1],
                description=self._description,
            )
            if len(self._classifiers) >= KEPT:
                self._classifiers.clear()
            self._classifiers[asked] = found
        return found

    def _build_batch_sampler(self):
        return ImageBatchSampler()

    def _get_result_class(self):
        independent = descriptions.INDEPENDENT in (self.config.get("PostProcess") or {})
        return IndependentResult if independent else SingleResult


def _run(runner, images):
    return runner(x=[images])


def _rgb(instance, path, pages):
    """The picture of an instance, RGB, `uint8` `[H, W, 3]`.

    Args:
        instance: a path, or an array in the order of OpenCV.
        path: of the file that an array was read from; None without one.
        pages: how many that file has; None where PaddleX has not looked.

    Raises:
        UserError: it cannot be read; names it.
    """
    if pages == 1 and not path.lower().endswith(".pdf"):
        instance = path  # PaddleX 3.7.2 reads TIFFs in another way: 16 bits are cut off at 255
    if isinstance(instance, np.ndarray):
        has_colors = instance.ndim == 3 and instance.shape[2] >= 3
        return of_array(instance[:, :, 2::-1] if has_colors else instance)
    try:
        return Source(str(instance)).rgb()
    except (OSError, Unreadable) as error:
        reason = getattr(error, "strerror", None) or first_line(error)
        raise UserError(f"{instance}: {reason}") from None
