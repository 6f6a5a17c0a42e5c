"""Scenes, a classifier and short training runs for the tests of the PaddleDetection host."""

import sys

import paddle
import pytest
from commands import run
from det_tools import forget_config, train

from ppcls_mixformer import MixFormer_B0, MixFormer_B1


@pytest.fixture(scope="session")
def scenes(tmp_path_factory):
    """Folder of a few scenes in the layouts of COCO and LVIS, of 11 classes."""
    folder = tmp_path_factory.mktemp("detection") / "scenes"
    run(sys.executable, "tools/prepare_scenes.py", "--output", folder, "--train", 8, "--val", 4)
    return folder / "coco"


@pytest.fixture(scope="session")
def classifier(tmp_path_factory):
    """Checkpoint of a classifier of ten classes."""
    path = tmp_path_factory.mktemp("classifier") / "b0.pdparams"
    paddle.save(MixFormer_B0(class_num=10).state_dict(), str(path))
    return path


@pytest.fixture(scope="session")
def files(classifier, tmp_path_factory):
    """Folder of checkpoints: detectors of B0, of B1 and of three classes, and half a file."""
    folder = tmp_path_factory.mktemp("files")
    trunks = {"b0": paddle.load(str(classifier)), "b1": MixFormer_B1().state_dict()}
    detectors = {k: {f"backbone.{n}": v for n, v in trunk.items()} for k, trunk in trunks.items()}
    detectors["three"] = {**detectors["b0"], "bbox_head.bbox_score.bias": paddle.zeros([4])}
    for name, state in detectors.items():
        paddle.save(state, str(folder / f"{name}.pdparams"))
    (folder / "damaged.pdparams").write_bytes(classifier.read_bytes()[:1000])
    return folder


@pytest.fixture(scope="session")
def trained(scenes, classifier, tmp_path_factory):
    """Of a config's name, the checkpoint after one short epoch and the log."""
    runs = {}

    def get(config):
        if config not in runs:
            folder = tmp_path_factory.mktemp(config)
            log = train(scenes, classifier, folder, config, flags=["--eval"])
            runs[config] = folder / config / "model_final.pdparams", log
        return runs[config]

    return get


@pytest.fixture(scope="session")
def sections():
    """PaddleDetection, registered in this process: the sections of its modules before any config."""
    from ppcls_mixformer.paddledet import register

    register()
    from ppdet.core.workspace import get_registered_modules

    return {name: section.copy() for name, section in get_registered_modules().items()}


@pytest.fixture
def host(sections):
    """PaddleDetection, registered in this process, with no config loaded."""
    forget_config(sections)
