"""PaddleSeg's tools and networks as the tests use them: on the scenes, without downloaded weights."""

import sys

import numpy as np
from commands import run

CONFIG = "configs/scenes/upernet_mixformer_b0.yml"
# Four iterations, two checkpoints, each evaluated.
TRAINING = "--do_eval --iters 4 --batch_size 2 --save_interval 2 --log_iters 1 --seed 0".split()


def overrides(root, *more):
    """The flag `--opts` that points a config to the data in `root`."""
    data = [f"{split}.dataset_root={root}" for split in ("train_dataset", "val_dataset")]
    return ["--opts", *data, "model.backbone.pretrained=None", *more]


def tool(name, root, *options, check=True):
    """Runs `tools/seg/NAME.py` on the data in `root`; returns its output."""
    command = [sys.executable, f"tools/seg/{name}.py", "--config", CONFIG, *options, *overrides(root)]
    return run(*command, check=check)


def build(config=CONFIG, *settings):
    """PaddleSeg's builder for a config, in this process; needs the fixture `host`."""
    from ppcls_mixformer.paddleseg.builder import Builder
    from ppcls_mixformer.paddleseg.config import load

    return Builder(load(config, ["model.backbone.pretrained=None", *settings]))


def network(weights):
    """The network of CONFIG with the checkpoint `weights`, in evaluation mode."""
    from ppcls_mixformer.paddleseg.checkpoints import load_whole

    model = build().model
    load_whole(model, weights)
    model.eval()
    return model


def noise(size):
    """A picture or more, `[N, C, H, W]`, the same ones each time."""
    return np.random.RandomState(0).standard_normal(size).astype("float32")
