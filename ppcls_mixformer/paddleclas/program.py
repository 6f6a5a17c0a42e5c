"""Writes a checkpoint as one program, in the format that is fixed when Paddle is imported.

That is `inference.json` on Paddle 3, and `inference.pdmodel` on Paddle 2 or with FLAGS_enable_pir_api=0.
Run as `python -m ppcls_mixformer.paddleclas.program`, with the flags of the export command, it does so in
a process of its own.
"""

from ppcls_mixformer.hosting.cli import run
from ppcls_mixformer.hosting.errors import UserError
from ppcls_mixformer.hosting.inference import find_program
from ppcls_mixformer.hosting.patches import replaced
from ppcls_mixformer.hosting.pdiparams import check_program
from ppcls_mixformer.network.fuse import fuse_for_inference
from ppcls_mixformer.paddleclas.commands import build_engine


def write_program(engine, fuse, features):
    """Writes the network of PaddleClas's `engine`, with its weights, into Global.save_inference_dir.

    Args:
        fuse: whether to fold the norms into the layers around them.
        features: whether the program gives pooled features `[N, D]` behind the scores.

    Raises:
        UserError: features of a network that is no MixFormer.
    """
    import ppcls.engine.engine as module
    from ppcls.utils.save_load import load_dygraph_pretrain

    from ppcls_mixformer.paddleclas.backbone import MixFormer

    settings = engine.config["Global"]
    if features and not isinstance(engine.model, MixFormer):
        raise UserError(f"--features: Arch.name is {engine.config['Arch']['name']}, but it needs a MixFormer")
    if settings["pretrained_model"]:
        load_dygraph_pretrain(engine.model, settings["pretrained_model"])
        settings["pretrained_model"] = None  # or export() loads it into the fused network
    if fuse:
        engine.model = fuse_for_inference(engine.model)
    with replaced(
        module, "ExportModel", _with_features(module.ExportModel) if features else module.ExportModel
    ):
        engine.export()
    check_program(find_program(settings["save_inference_dir"]))


def _with_features(original):
    """PaddleClas's ExportModel, with the features that its scores are made of as a second output."""

    class ExportModel(original):
        def forward(self, x):
            features = self.base_model.forward_features(x)
            return self.out_act(self.base_model.forward_head(features)), features

    return ExportModel


def main(argv):
    """Writes the program that the flags `argv` describe."""
    engine, flags = build_engine(argv, "export")
    write_program(engine, flags.fuse, flags.features)


if __name__ == "__main__":
    run(main)
