"""PaddleDetection's Trainer, which also knows LVIS."""

import numpy as np
import ppdet.engine
from PIL import Image
from ppdet.engine.callbacks import Callback, Checkpointer, ComposeCallback

from ppcls_mixformer.hosting import ruin
from ppcls_mixformer.hosting.drawn import saved_whole
from ppcls_mixformer.hosting.patches import replaced
from ppcls_mixformer.paddledet.bridges import whole_graphs
from ppcls_mixformer.paddledet.checkpoints import remember_best
from ppcls_mixformer.paddledet.keypoint_metric import KeypointMetric
from ppcls_mixformer.paddledet.lvis_metric import LVISMetric


class Numbers(Callback):
    """Ends a training whose weights are no numbers any longer, before they are saved or evaluated.

    All releases go on with them, and save them as `best_model` where no AP was above theirs.
    """

    def on_step_end(self, status):
        losses = status["training_staus"].meters if status["mode"] == "train" else None
        if losses and not np.isfinite(losses["loss"].value).all():
            self._check(status)  # mixed precision may have left this step out

    def on_epoch_end(self, status):
        if status["mode"] == "train":
            self._check(status)

    def _check(self, status):
        name = ruin.ruined(self.model.model.state_dict())
        if name:
            when = f"step {status['step_id']} of epoch {status['epoch_id']}"
            rate = f"with a learning rate of {status['learning_rate']:.3g}"
            what = f"{name} holds what is no number at {when}, {rate}"
            checkpointer = next(part for part in self.model._callbacks if isinstance(part, Checkpointer))
            raise ruin.stop(what, checkpointer.save_dir, "LearningRate.base_lr")


class Trainer(ppdet.engine.Trainer):
    """Trains, evaluates, predicts and exports; `metric: LVIS` goes to `LVISMetric`."""

    def export(self, output_dir):
        """Writes the network and `infer_cfg.yml` to the folder in `output_dir` that has the config's name."""
        with whole_graphs():
            super().export(output_dir)

    def predict(self, images, *args, **kwargs):
        """Draws what is found in `images`, paths, each whole or not at all."""
        with replaced(Image.Image, "save", saved_whole(Image.Image.save)):
            return super().predict(images, *args, **kwargs)

    def resume_weights(self, weights):
        """Goes on from the checkpoint at `weights`; the best model stays until there is a better one."""
        super().resume_weights(weights)
        for callback in self._callbacks:
            if isinstance(callback, Checkpointer):
                remember_best(callback)

    def _init_callbacks(self):
        super()._init_callbacks()
        if self.mode == "train":
            self._callbacks.insert(0, Numbers(self))
            self._compose_callback = ComposeCallback(self._callbacks)

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
