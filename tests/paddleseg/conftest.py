"""A few scenes in ADE20K's layout, and one short training run on them, shared by the tests."""

import sys

import pytest
from commands import run
from segmentation import TRAINING, tool


@pytest.fixture(scope="session")
def host():
    """PaddleSeg in this process; its root folder."""
    from ppcls_mixformer.paddleseg import register

    return register()


@pytest.fixture(scope="session")
def scenes(tmp_path_factory):
    """Folder of a few scenes, of 8 classes."""
    folder = tmp_path_factory.mktemp("segmentation") / "scenes"
    run(sys.executable, "tools/prepare_scenes.py", "--output", folder, "--train", 6, "--val", 3)
    return folder / "ADEChallengeData2016"


@pytest.fixture(scope="session")
def trained(scenes, tmp_path_factory):
    """Output folder and log of a run of four iterations, two checkpoints."""
    output = tmp_path_factory.mktemp("trained")
    return output, tool("train", scenes, *TRAINING, "--save_dir", output)


@pytest.fixture(scope="session")
def weights(trained):
    """The best model of the short run."""
    return trained[0] / "best_model/model.pdparams"
