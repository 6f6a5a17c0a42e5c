"""The metric of LVIS v1, which PaddleDetection does not have."""

import json
import os

from ppdet.metrics import COCOMetric
from ppdet.utils.logger import setup_logger

from ppcls_mixformer.hosting.whole import open_whole

logger = setup_logger("ppcls_mixformer.paddledet.lvis_metric")

MAX_DETECTIONS = 300  # an image, LVIS's own rule
NAMES = ("AP", "AP50", "AP75", "APs", "APm", "APl", "APr", "APc", "APf")


class LVISMetric(COCOMetric):
    """Box and mask AP over the `lvis` package: 300 detections an image, also by class frequency."""

    def accumulate(self):
        """Writes `bbox.json` and `mask.json` to `output_eval` and evaluates them, unless told not to."""
        for kind, iou_type in (("bbox", "bbox"), ("mask", "segm")):
            path = os.path.join(self.output_eval or "", f"{kind}.json")
            with open_whole(path, "w") as file:
                json.dump(self.results[kind], file)
            logger.info("%d results are in %s", len(self.results[kind]), path)
            if not self.save_prediction_only:
                self.eval_results[kind] = evaluate(self.anno_file, self.results[kind], iou_type)


def evaluate(annotations, results, iou_type):
    """The numbers that `NAMES` says, of `results` against a file of `annotations`; no results give zeros.

    Args:
        results: as COCO has them, `[{"image_id": …, "category_id": …, "score": …, …}, …]`.
        iou_type: `bbox` or `segm`.
    """
    from lvis import LVIS, LVISEval, LVISResults

    if not results:
        logger.warning("no %s was found in any image: AP is 0", iou_type)
        return [0.0] * len(NAMES)
    truth = LVIS(annotations)
    evaluation = LVISEval(truth, LVISResults(truth, results, MAX_DETECTIONS), iou_type)
    evaluation.run()
    found = evaluation.get_results()
    logger.info("%s: %s", iou_type, ", ".join(f"{name} {found[name]:.3f}" for name in NAMES))
    return [found[name] for name in NAMES]
