"""Distillation: weights for each of the networks, and pictures classified with one of them."""

import paddle
import ppcls.arch
import ppcls.loss
import ppcls.metric
from ppcls.data.postprocess import DistillationPostProcess
from ppcls.engine.engine import Engine
from ppcls.utils import save_load

from ppcls_mixformer.hosting.patches import replace_once


def apply():
    """Applies the bridges of this module."""
    weights_of_each_model()
    one_output_to_classify()
    one_output_to_evaluate()


def weights_of_each_model():
    """All releases: `Arch.pretrained_list` is loaded into a network's name: AttributeError or TypeError."""
    replace_once(ppcls.arch.DistillationModel, "__init__", _with_weights_of_each)


def _with_weights_of_each(original):
    def init(self, models=None, pretrained_list=None, freeze_params_list=None, **rest):
        original(self, models, None, freeze_params_list, **rest)
        for model, path in zip(self.model_list, pretrained_list or ()):
            if path:
                save_load.load_dygraph_pretrain(model, path)

    return init


def one_output_to_classify():
    """All releases: `infer` cannot choose among the outputs of several networks, or of RecModel.

    2.3 looks for a key `output` that none of them has; 2.5 and later take the student's, in which
    DistillationPostProcess then looks for the student once more.
    """
    replace_once(Engine, "infer", _of_one_output)


def _of_one_output(original):
    def infer(self):
        post, keys = self.postprocess_func, [self.config["Arch"].get("infer_model_name") or "Student"]
        if isinstance(post, DistillationPostProcess):
            self.postprocess_func, keys = post.func, [post.model_name, post.key]
        hook = self.model.register_forward_post_hook(
            lambda layer, inputs, output: one_of(output, (*keys, "logits", "output"))
        )
        try:
            return original(self)
        finally:
            hook.remove()
            self.postprocess_func = post

    return infer


def one_output_to_evaluate():
    """PaddleClas 2.5 and later: evaluation hands losses the student's output; they look for it by name."""
    replace_once(ppcls.loss.DistillationGTCELoss, "forward", _of_named_output)
    replace_once(ppcls.metric.DistillationTopkAcc, "forward", _of_named_output)


def _of_named_output(original):
    def forward(self, outputs, *args, **kwargs):
        names = self.model_names if hasattr(self, "model_names") else [self.model_key]
        if isinstance(outputs, paddle.Tensor):
            outputs = {name: outputs for name in names}
        return original(self, outputs, *args, **kwargs)

    return forward


def one_of(output, keys):
    """What is left of `output` once each of `keys` was looked up in it, where it is a dict and has it."""
    for key in keys:
        if isinstance(output, dict) and key in output:
            output = output[key]
    return output
