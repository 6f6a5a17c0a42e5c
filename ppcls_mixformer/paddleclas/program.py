"""Writes a checkpoint as one program, in the format that is fixed when Paddle is imported.

That is `inference.json` on Paddle 3, and `inference.pdmodel` on Paddle 2 or with FLAGS_enable_pir_api=0.
Run as `python -m ppcls_mixformer.paddleclas.program`, with the flags of the export command, it does so in
a process of its own.
"""

from ppcls_mixformer.hosting.cli import run
from ppcls_mixformer.hosting.inference import find_program
from ppcls_mixformer.hosting.pdiparams import check_program
from ppcls_mixformer.network.fuse import fuse_for_inference
from ppcls_mixformer.paddleclas.commands import build_engine


def write_program(engine, fuse):
    """Writes the network of PaddleClas's `engine`, with its weights, into Global.save_inference_dir.

    Args:
        fuse: whether to fold the norms into the layers around them.
    """
    from ppcls.utils.save_load import load_dygraph_pretrain

    settings = engine.config["Global"]
    if settings["pretrained_model"]:
        load_dygraph_pretrain(engine.model, settings["pretrained_model"])
        settings["pretrained_model"] = None  # or export() loads it into the fused network
    if fuse:
        engine.model = fuse_for_inference(engine.model)
    engine.export()
    check_program(find_program(settings["save_inference_dir"]))


def main(argv):
    """Writes the program that the flags `argv` describe."""
    engine, flags = build_engine(argv, "export")
    write_program(engine, flags.fuse)


if __name__ == "__main__":
    run(main)
