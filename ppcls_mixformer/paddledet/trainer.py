"""PaddleDetection's Trainer, which also knows LVIS."""

import ppdet.engine
from ppdet.engine.callbacks import Checkpointer

from ppcls_mixformer.paddledet.bridges import whole_graphs
from ppcls_mixformer.paddledet.checkpoints import remember_best
from ppcls_mixformer.paddledet.keypoint_metric import KeypointMetric
from ppcls_mixformer.paddledet.lvis_metric import LVISMetric


class Trainer(ppdet.engine.Trainer):
    """Trains, evaluates, predicts and exports; `metric: LVIS` goes to `LVISMetric`."""

    def export(self, output_dir):
        """Writes the network and `infer_cfg.yml` to the folder in `output_dir` that has the config's name."""
        with whole_graphs():
            super().export(output_dir)

    def resume_weights(self, weights):
        """Goes on from the checkpoint at `weights`; the best model stays until there is a better one."""
        super().resume_weights(weights)
        for callback in self._callbacks:
            if isinstance(callback, Checkpointer):
                remember_best(callback)

    def _init_metrics(self, validate=False):
        metric = {"LVIS": self._lvis_metric, "KeyPointTopDownCOCOEval": self._keypoint_metric}
        if self.cfg.metric not in metric or self.mode == "test" or (self.mode == "train" and not validate):
            super()._init_metrics(validate)
            self._name_pictures()
            return
        dataset = self.cfg["EvalDataset"] if validate else self.dataset
        self._metrics = [metric[self.cfg.metric](dataset)]
        self._name_pictures()

    def _name_pictures(self):
        """Tells metrics the paths of pictures, where these are numbered for want of an annotation file."""
        for metric in self._metrics:
            metric.paths = self.cfg.get("imid2path")

    def _lvis_metric(self, dataset):
        return LVISMetric(
            dataset.get_anno(),
            clsid2catid={v: k for k, v in dataset.catid2clsid.items()} if self.mode == "eval" else None,
            output_eval=self.cfg.get("output_eval"),
            save_prediction_only=self.cfg.get("save_prediction_only", False),
        )

    def _keypoint_metric(self, dataset):
        return KeypointMetric(
            dataset.get_anno(),
            len(dataset),
            self.cfg["oks_sigmas"],
            self.cfg["output_eval"],
            self.cfg.get("save_prediction_only", False),
        )
