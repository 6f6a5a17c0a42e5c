"""Writes a checkpoint as one program, in the format that is fixed when Paddle is imported.

That is `inference.json` on Paddle 3, and `inference.pdmodel` on Paddle 2 or with FLAGS_enable_pir_api=0.
Run as `python -m ppcls_mixformer.paddleclas.program`, with the flags of the export command, it does so in
a process of its own.
"""

import contextlib

import paddle

from ppcls_mixformer.hosting.cli import run
from ppcls_mixformer.hosting.errors import UserError
from ppcls_mixformer.hosting.inference import find_program
from ppcls_mixformer.hosting.patches import replaced
from ppcls_mixformer.hosting.pdiparams import check_program
from ppcls_mixformer.network.fuse import fuse_for_inference
from ppcls_mixformer.network.gates import spatial_gates
from ppcls_mixformer.paddleclas.commands import build_engine
from ppcls_mixformer.predict.description import FEATURES, GATES, SCORES


def write_program(engine, fuse, features=False, saliency=False):
    """Writes the network of PaddleClas's `engine`, with its weights, into Global.save_inference_dir.

    Args:
        fuse: whether to fold the norms into the layers around them.
        features: whether the program gives pooled features `[N, D]` behind the scores.
        saliency: whether it gives, behind these, the spatial gates of each stage, `[N, blocks, H, W]`.

    Raises:
        UserError: features or gates of a network that is no MixFormer.
    """
    import ppcls.engine.engine as module
    from ppcls.utils.save_load import load_dygraph_pretrain

    outputs_of(engine, features, saliency)
    settings = engine.config["Global"]
    if settings["pretrained_model"]:
        load_dygraph_pretrain(engine.model, settings["pretrained_model"])
        settings["pretrained_model"] = None  # or export() loads it into the fused network
    network = fuse_for_inference(engine.model) if fuse else engine.model
    with contextlib.ExitStack() as stack:
        stack.enter_context(replaced(engine, "model", network))
        gates = stack.enter_context(spatial_gates(network)) if saliency else list
        if features or saliency:
            exported = _with_more(module.ExportModel, features, gates)
            stack.enter_context(replaced(module, "ExportModel", exported))
        engine.export()
    check_program(find_program(settings["save_inference_dir"]))


def has_blocks(engine):
    """Whether the network of PaddleClas's `engine` is a MixFormer, and not built around one."""
    from ppcls_mixformer.paddleclas.backbone import MixFormer

    return isinstance(engine.model, MixFormer)


def outputs_of(engine, features, saliency):
    """Names of what `write_program` lets a program give, in their order.

    Raises:
        UserError: features or gates of a network that is no MixFormer.
    """
    for flag, is_asked in (("--features", features), ("--saliency", saliency)):
        if is_asked and not has_blocks(engine):
            name = engine.config["Arch"]["name"]
            raise UserError(f"{flag}: Arch.name is {name}, but it needs a MixFormer")
    stages = len(engine.model.layers) if saliency else 0
    return [SCORES, *[FEATURES] * features, *(f"{GATES}{number + 1}" for number in range(stages))]


def _with_more(original, has_features, gates):
    """PaddleClas's ExportModel with more outputs behind its scores.

    Args:
        has_features: whether the features that scores are made of are one.
        gates: a function that gives others, a list, once these are computed.
    """

    @paddle.jit.not_to_static
    def all_of(scores, features):
        return (scores, *([features] if has_features else []), *gates())

    class ExportModel(original):
        def forward(self, x):
            features = self.base_model.forward_features(x)
            return all_of(self.out_act(self.base_model.forward_head(features)), features)

    return ExportModel


def main(argv):
    """Writes the program that the flags `argv` describe."""
    engine, flags = build_engine(argv, "export")
    write_program(engine, flags.fuse, flags.features, flags.saliency)


if __name__ == "__main__":
    run(main)
