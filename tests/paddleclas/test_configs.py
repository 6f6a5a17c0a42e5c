"""The seven ImageNet configs against the published recipe, and built by PaddleClas's own builders."""

import copy

import pytest
import yaml
from commands import ROOT, script
from PIL import Image
from sklearn.datasets import load_sample_images

CONFIGS = ROOT / "configs/ImageNet/MixFormer"

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


@pytest.mark.slow
def test_paddleclas_builds_all_seven(tmp_path):
    lines = []
    for index in range(4):
        Image.fromarray(load_sample_images().images[index % 2]).save(tmp_path / f"{index}.jpg")
        lines.append(f"{index}.jpg {index}\n")
    (tmp_path / "list.txt").write_text("".join(lines))
    log = script("clas_build_configs", tmp_path, *sorted(CONFIGS.glob("*.yaml")))
    assert log.count("built MixFormer_B") == 7
