"""COCO's metric of keypoints for any joints and any class, where PaddleDetection knows person, 1, with 17."""

import functools
import json
from pathlib import Path

import numpy as np
from ppdet.metrics import KeyPointTopDownCOCOEval, keypoint_metrics
from pycocotools.cocoeval import COCOeval

from ppcls_mixformer.hosting.patches import replaced
from ppcls_mixformer.hosting.whole import whole_file


class KeypointMetric(KeyPointTopDownCOCOEval):
    """AP over the similarity of keypoints (OKS), written to `keypoints_results.json` in a folder.

    Args:
        anno_file: annotations of the one class whose joints are learnt.
        num_samples: how many persons are evaluated.
        sigmas: the tolerance of each joint in OKS, a share of the person's size.
        output_eval: the folder.
        save_prediction_only: whether to write results and compute no AP.
    """

    def __init__(self, anno_file, num_samples, sigmas, output_eval, save_prediction_only=False):
        super().__init__(
            anno_file, num_samples, len(sigmas), output_eval, save_prediction_only=save_prediction_only
        )
        self.sigmas = np.array(sigmas)

    def accumulate(self):
        """Writes the results and evaluates them, unless told not to."""
        nms = functools.partial(keypoint_metrics.oks_nms, sigmas=self.sigmas)
        evaluation = replaced(keypoint_metrics, "COCOeval", self._evaluation)
        with replaced(keypoint_metrics, "oks_nms", nms), evaluation:
            super().accumulate()

    def _evaluation(self, *arguments):
        evaluation = COCOeval(*arguments)
        evaluation.params.kpt_oks_sigmas = self.sigmas
        return evaluation

    def _write_coco_keypoint_results(self, keypoints):
        (number,) = self.coco.getCatIds()
        results = self._coco_keypoint_results_one_category_kernel({"cat_id": number, "keypoints": keypoints})
        with whole_file(self.res_file) as path:
            Path(path).write_text(json.dumps(results, sort_keys=True, indent=4))
