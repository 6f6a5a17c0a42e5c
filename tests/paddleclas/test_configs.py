"""The seven ImageNet configs against the published recipe, and built by PaddleClas's own builders."""

import copy
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

CONFIGS = Path(__file__).parents[2] / "configs/ImageNet/MixFormer"

# learning rate, weight decay and warm-up epochs of the published recipe; all else is shared.
RECIPES = {
    "MixFormer_B0": (8e-4, 0.04, 20),
    "MixFormer_B1": (8e-4, 0.04, 20),
    "MixFormer_B2": (8e-4, 0.04, 20),
    "MixFormer_B3": (8e-4, 0.04, 20),
    "MixFormer_B4": (1e-3, 0.05, 20),
    "MixFormer_B5": (1e-3, 0.05, 40),
    "MixFormer_B6": (1e-3, 0.05, 40),
}


def load(name):
    return yaml.safe_load((CONFIGS / f"{name}.yaml").read_text())


def without_recipe(config):
    config = copy.deepcopy(config)
    del config["Arch"]["name"], config["Optimizer"]["weight_decay"]
    del config["Optimizer"]["lr"]["learning_rate"], config["Optimizer"]["lr"]["warmup_epoch"]
    return config


@pytest.mark.parametrize("name", RECIPES)
def test_config_is_the_published_recipe(name):
    config = load(name)
    optimizer = config["Optimizer"]
    recipe = (
        float(optimizer["lr"]["learning_rate"]),
        optimizer["weight_decay"],
        optimizer["lr"]["warmup_epoch"],
    )
    assert config["Arch"]["name"] == name and recipe == RECIPES[name]
    assert config["Global"]["epochs"] == 300 and config["Loss"]["Train"][0]["CELoss"]["epsilon"] == 0.1
    assert without_recipe(config) == without_recipe(load("MixFormer_B0"))


BUILD = """
import sys
from ppcls_mixformer.paddleclas import register
register()
from ppcls.data import build_dataloader
from ppcls.loss import build_loss
from ppcls.optimizer import build_optimizer
from ppcls.utils.config import get_config
from ppcls.utils.logger import init_logger
init_logger()
import ppcls.arch
data = sys.argv[1]
for path in sys.argv[2:]:
    config = get_config(path, [
        f"DataLoader.Train.dataset.image_root={data}",
        f"DataLoader.Train.dataset.cls_label_path={data}/list.txt",
        "DataLoader.Train.sampler.batch_size=4", "DataLoader.Train.loader.num_workers=0",
    ])
    config["DataLoader"]["class_num"] = 1000
    images, labels = next(iter(build_dataloader(config["DataLoader"], "Train", "cpu", False)))[:2]
    assert images.shape == [4, 3, 224, 224], images.shape
    build_loss(config["Loss"]["Train"])
    arch = {k: v for k, v in config["Arch"].items() if k != "name"}
    model = getattr(ppcls.arch, config["Arch"]["name"])(**arch)
    build_optimizer(config["Optimizer"], config["Global"]["epochs"], 10, [model])
    print("built", config["Arch"]["name"])
"""


def test_paddleclas_builds_all_seven(tmp_path):
    from PIL import Image
    from sklearn.datasets import load_sample_images

    lines = []
    for index in range(4):
        Image.fromarray(load_sample_images().images[index % 2]).save(tmp_path / f"{index}.jpg")
        lines.append(f"{index}.jpg {index}\n")
    (tmp_path / "list.txt").write_text("".join(lines))
    command = [sys.executable, "-c", BUILD, tmp_path, *sorted(CONFIGS.glob("*.yaml"))]
    result = subprocess.run(command, capture_output=True, text=True, cwd=CONFIGS.parents[2])
    assert result.stdout.count("built MixFormer_B") == 7, result.stdout[-2000:] + result.stderr[-2000:]
