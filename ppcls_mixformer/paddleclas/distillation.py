"""Distillation: weights for each of the networks, and pictures classified with one of them."""

import paddle
import ppcls.arch
import ppcls.loss
import ppcls.metric
from ppcls.data.postprocess import DistillationPostProcess
from ppcls.utils import save_load

from ppcls_mixformer.hosting.patches import replace_once


def apply():
    """Applies the bridges of this module."""
    weights_of_each_model()
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


def chosen_output(engine):
    """The postprocessing of `infer`, and the keys of the scores in a network's output, one in another.

    The former is None in other modes.

    PaddleClas 2.3 looks for a key `output` that several networks, or RecModel, do not have; 2.5 and later
    take the student's output, in which DistillationPostProcess then looks for the student once more.
    """
    post, arch = getattr(engine, "postprocess_func", None), engine.config["Arch"]
    if isinstance(post, DistillationPostProcess):
        return post.func, (post.model_name, post.key, "logits", "output")
    return post, (arch.get("infer_model_name") or "Student", "logits", "output")


def one_output_to_evaluate():
    """PaddleClas 2.5 and later: evaluation hands losses the student's output; they look for it by name."""
    replace_once(ppcls.loss.DistillationGTCELoss, "forward", _of_named_output)
    replace_once(ppcls.metric.DistillationTopkAcc, "forward", _of_named_output)


def _of_named_output(original):
    def forward(self, outputs, *args, **kwargs):
        names = self.model_names if hasattr(self, "model_names") else [self.model_key]
        if isinstance(outputs, paddle.Tensor):
            outputs = dict.fromkeys(names, outputs)
        return original(self, outputs, *args, **kwargs)

    return forward


def one_of(output, keys):
    """What is left of `output` once each of `keys` was looked up in it, where it is a dict and has it."""
    for key in keys:
        if isinstance(output, dict) and key in output:
            output = output[key]
    return output
