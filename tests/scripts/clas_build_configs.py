"""Builds data, loss, network and optimizer of PaddleClas configs: `clas_build_configs.py FOLDER CONFIG …`.

The folder holds pictures and their `list.txt`.
"""

import sys

from ppcls_mixformer.paddleclas import register

register()

import ppcls.arch
from ppcls.data import build_dataloader
from ppcls.loss import build_loss
from ppcls.optimizer import build_optimizer
from ppcls.utils.config import get_config
from ppcls.utils.logger import init_logger


def build(path, data):
    """Everything that the config at `path` describes, and one batch."""
    settings = [
        f"DataLoader.Train.dataset.image_root={data}",
        f"DataLoader.Train.dataset.cls_label_path={data}/list.txt",
        "DataLoader.Train.sampler.batch_size=4",
        "DataLoader.Train.loader.num_workers=0",
    ]
    config = get_config(path, settings)
    config["DataLoader"]["class_num"] = 1000
    images, _ = next(iter(build_dataloader(config["DataLoader"], "Train", "cpu", False)))[:2]
    assert images.shape == [4, 3, 224, 224], images.shape
    build_loss(config["Loss"]["Train"])
    arch = dict(config["Arch"])
    model = getattr(ppcls.arch, arch.pop("name"))(**arch)
    build_optimizer(config["Optimizer"], config["Global"]["epochs"], 10, [model])
    print("built", config["Arch"]["name"])


init_logger()
for path in sys.argv[2:]:
    build(path, sys.argv[1])
