"""What PaddleSeg cannot read or transform ends a run at once, in one line with the file."""

import importlib
import shutil
import sys

import pytest
import yaml
from commands import ROOT, error_line, run
from segmentation import CONFIG, build, overrides

from ppcls_mixformer.hosting.errors import UserError

pytestmark = pytest.mark.usefixtures("host")


class Fail:
    """A transform that raises `error` at the second picture of each process."""

    def __init__(self, error):
        self.error, self.count = error, 0

    def __call__(self, sample):
        self.count += 1
        if self.count == 2:
            raise self.error
        return sample


Fail.__module__ = "paddleseg.transforms.transforms"


def batches(split, dataset, workers):
    """All batches of the loader that PaddleSeg makes of a dataset; `split` is train or val."""
    module = importlib.import_module(f"paddleseg.core.{split}")
    loader = module.paddle.io.DataLoader(dataset, batch_size=2, num_workers=workers, return_list=True)
    return list(loader)


@pytest.fixture
def broken(scenes, tmp_path):
    """The scenes, of which the second picture of each split is damaged."""
    root = shutil.copytree(scenes, tmp_path / "broken")
    for split in ("training", "validation"):
        path = sorted((root / "images" / split).iterdir())[1]
        path.write_bytes(path.read_bytes()[:1500])
    return root


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("split, folder", [("train", "training"), ("val", "validation")])
def test_a_damaged_picture_is_named_at_once(broken, workers, split, folder):
    dataset = getattr(build(CONFIG, *overrides(broken)[1:]), f"{split}_dataset")
    with pytest.raises(UserError) as refusal:
        batches(split, dataset, workers)
    path = sorted((broken / "images" / folder).iterdir())[1]
    assert str(refusal.value).startswith(f"{split}_dataset: {path} cannot be read: image file is truncated")


@pytest.mark.parametrize("workers", [0, 2])
def test_a_class_map_that_is_gone_is_named(broken, workers):
    dataset = build(CONFIG, *overrides(broken)[1:]).train_dataset
    gone = sorted((broken / "annotations/training").iterdir())[0]
    gone.unlink()
    with pytest.raises(UserError, match=f"^train_dataset: {gone} cannot be read: No such file or directory"):
        batches("train", dataset, workers)


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("error", [IndexError("no more"), MemoryError("no more"), StopIteration("no more")])
def test_a_transform_that_fails_is_named_with_the_file(scenes, workers, error):
    dataset = build(CONFIG, *overrides(scenes)[1:]).train_dataset
    dataset.transforms.transforms.insert(0, Fail(error))
    with pytest.raises(UserError) as refusal:
        batches("train", dataset, workers)
    words = str(refusal.value)
    assert words.startswith(f"train_dataset: Fail fails on {scenes}/images/training/")
    assert words.endswith(f".png: {type(error).__name__}: no more")


@pytest.mark.slow
@pytest.mark.parametrize("split, workers", [("train", 0), ("train", 2), ("val", 0), ("val", 2)])
def test_a_command_ends_in_one_line(scenes, tmp_path, split, workers):
    config = yaml.safe_load((ROOT / CONFIG).read_text())
    transform = {"type": "Normalize", "mean": [0.5, 0.5]}  # of two channels
    config = {"_base_": str(ROOT / CONFIG), f"{split}_dataset": {**config[f"{split}_dataset"]}}
    config[f"{split}_dataset"]["transforms"] = [transform]
    path = tmp_path / "config.yml"
    path.write_text(yaml.safe_dump(config))
    options = ["--iters", 2, "--batch_size", 2, "--save_interval", 1, "--num_workers", workers, "--do_eval"]
    command = ["tools/seg/train.py", "--config", path, *options, "--save_dir", tmp_path / "output"]
    log = run(sys.executable, *command, *overrides(scenes), check=False)
    assert error_line(log).startswith(f"error: {split}_dataset: Normalize fails on {scenes}/images/")
