"""The detection commands as the tests run them, on the composed scenes."""

import sys

from commands import run

DETECTOR, LVIS = "mask_rcnn_mixformer_b0", "mask_rcnn_mixformer_b0_lvis"
KEYPOINTS = "simple_baseline_mixformer_b0"


def command_line(scenes, config, *overrides, flags=()):
    """What follows the name of a command, on the data in `scenes`; overrides of `overrides` win."""
    settings = [f"{split}Dataset.dataset_dir={scenes}" for split in ("Train", "Eval")]
    settings += ["MixFormer.pretrained=null"]
    if "mask_rcnn" in config:  # boxes from a network that has hardly learnt, but not too many
        nms = "BBoxPostProcess.nms"
        settings += [f"TestDataset.dataset_dir={scenes}"]
        settings += [f"{nms}.score_threshold=0.01", f"{nms}.keep_top_k=40"]
    return [str(part) for part in ("-c", config, *flags, "-o", *settings, *overrides)]


def tool(name, *arguments, check=True, **options):
    """Runs `tools/det/NAME.py` in a process of its own."""
    return run(sys.executable, f"tools/det/{name}.py", *command_line(*arguments, **options), check=check)


def module(verb, *arguments, check=True, **options):
    """Runs `python -m ppcls_mixformer det VERB` in a process of its own."""
    command = [sys.executable, "-m", "ppcls_mixformer", "det", verb]
    return run(*command, *command_line(*arguments, **options), check=check)


def train(scenes, classifier, folder, config, *overrides, flags):
    """Trains one short epoch from the checkpoint of a classifier; returns the log."""
    settings = ["epoch=1", "snapshot_epoch=1", "log_iter=1", f"MixFormer.pretrained={classifier}"]
    settings += [f"save_dir={folder}", f"output_eval={folder}"]
    return tool("train", scenes, config, *settings, *overrides, flags=[*flags, "--seed", 0])


def forget_config(sections):
    """Leaves PaddleDetection, in this process, with the `sections` of its modules alone.

    Without this a config that is loaded adds to the one before it.
    """
    from ppdet.core.workspace import global_config

    global_config.clear()
    global_config.update({name: section.copy() for name, section in sections.items()})
