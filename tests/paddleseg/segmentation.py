"""PaddleSeg's tools and networks as the tests use them: on the scenes, without downloaded weights."""

import sys

import numpy as np
from commands import run

CONFIG = "configs/scenes/upernet_mixformer_b0.yml"
# Four iterations, two checkpoints, each evaluated.
TRAINING = "--do_eval --iters 4 --batch_size 2 --save_interval 2 --log_iters 1 --seed 0".split()
NORMALIZE = {"type": "Normalize", "mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}
CHAINS = {  # each with pictures that it enlarges, reduces and pads
    "long": [{"type": "ResizeByLong", "long_size": 150}, {"type": "Padding", "target_size": [160, 170]}],
    "ratio": [
        NORMALIZE,
        {"type": "Resize", "target_size": [230, 80], "keep_ratio": True, "size_divisor": 24},
        {"type": "PaddingByAspectRatio", "aspect_ratio": 1.3, "im_padding_value": 0},
    ],
    "short": [
        {"type": "LimitLong", "min_long": 180, "max_long": 190},
        NORMALIZE,
        {"type": "ResizeByShort", "short_size": 100, "max_size": 140},
    ],
    "fixed": [{"type": "Resize", "target_size": [128, 96]}],
}
WINDOWS = {"is_slide": True, "crop_size": [120, 90], "stride": [50, 70]}  # width and height, as `test_config`
PICTURES = [(700, 500), (250, 350), (97, 201), (160, 33), (64, 64)]  # width and height


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
