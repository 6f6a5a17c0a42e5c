"""What cannot work is said in one line, before anything is built."""

import re
import shutil
import sys

import numpy as np
import paddle
import pytest
from commands import error_line, run
from PIL import Image
from segmentation import CONFIG, build, overrides, tool

from ppcls_mixformer.hosting.errors import UserError
from ppcls_mixformer.paddleseg import commands

COMMANDS = {"train": commands.train, "eval": commands.evaluate, "predict": commands.predict}


def attempt(command, root, *options, opts=(), config=CONFIG):
    """Runs a command in this process; its UserError is what the tool would print."""
    COMMANDS[command](["--config", str(config), *map(str, options), *overrides(root, *opts)])


@pytest.mark.parametrize(
    "config, text",
    [
        ("nowhere.yml", "config file not found: nowhere.yml"),
        ("upernet_mixformer_b9", "the nearest one is upernet_mixformer_b0"),
        ("README.md", "README.md: PaddleSeg reads .yml and .yaml only"),
        ("MixFormer_B0_digits", "is not a PaddleSeg config: No batch_size specified"),
    ],
)
def test_a_wrong_config_is_named(host, scenes, config, text):
    with pytest.raises(UserError, match=re.escape(text)):
        attempt("train", scenes, config=config)


@pytest.mark.parametrize(
    "override, text",
    [
        ("train_dataset.dataset_root=no", "train_dataset: there is no folder no"),
        ("model.num_classes=5", "the data have 8 classes, but model.num_classes is 5"),
        ("model.type=UPerNetFNC", "did you mean UPerNetFCN?"),
        ("model.backbone.ach=1", "ach is not an argument of MixFormer; did you mean arch?"),
        ("modle.type=1", "has no section modle; the nearest key there is model.type"),
        ("iters.many=1", "has no section iters"),
        ("iters", "--opts iters: an override is written key=value"),
        ("iters=1=2", "--opts iters=1=2: an override is written key=value, with one ="),
    ],
)
def test_a_wrong_override_is_named(host, scenes, override, text):
    with pytest.raises(UserError, match=re.escape(text)):
        attempt("train", scenes, opts=[override])


def test_an_override_of_a_key_that_nothing_reads_is_warned_of(host, caplog):
    from ppcls_mixformer.paddleseg.config import load

    assert load(CONFIG, ["model.aux_chanels=8"]).dic["model"]["aux_chanels"] == 8
    assert "the nearest key there is model.aux_channels" in caplog.text
    caplog.clear()
    load(CONFIG, ["model.backbone.drop_path_rate=0.1", "model.dropout_prob=0"])  # only their defaults exist
    assert not caplog.text


@pytest.mark.parametrize(
    "command, options, text",
    [
        ("train", ["--resume_model", "nowhere"], "--resume_model: there is no folder nowhere"),
        ("train", ["--resume_model", "docs"], "PaddleSeg resumes from a folder iter_N"),
        ("train", ["--device", "npu"], "--device npu: this machine or this Paddle has none"),
        ("eval", ["--model_path", "nowhere"], "checkpoint not found: nowhere"),
        ("eval", ["--model_path", "nowhere", "--is_slide"], "--is_slide needs --crop_size and --stride"),
        ("predict", ["--model_path", "x", "--image_path", "no"], "--image_path: no is neither a picture"),
        ("predict", ["--model_path", "x", "--image_path", "Makefile"], "does not exist or is not a picture"),
    ],
)
def test_a_wrong_flag_is_named(host, scenes, command, options, text):
    with pytest.raises(UserError, match=re.escape(text)):
        attempt(command, scenes, *options)


@pytest.fixture(scope="module")
def checkpoint(host, tmp_path_factory):
    """Folder iter_4 of a checkpoint, as PaddleSeg writes it."""
    folder = tmp_path_factory.mktemp("refused") / "iter_4"
    paddle.save(build().model.state_dict(), str(folder / "model.pdparams"))
    paddle.save({"x": paddle.zeros([1000])}, str(folder / "model.pdopt"))
    return folder


def test_weights_of_another_network_are_refused(scenes, checkpoint):
    options = ["--model_path", checkpoint / "model.pdparams"]
    opts = ["model.backbone.arch=MixFormer_B1", "model.channels=64"]
    with pytest.raises(UserError, match=r"is not a checkpoint of this UPerNetFCN.* is \[12, 3, 3, 3\], not"):
        attempt("eval", scenes, *options, opts=opts)


def test_a_checkpoint_that_cannot_be_resumed_is_refused(scenes, checkpoint, tmp_path):
    with pytest.raises(UserError, match="training ends at 4; raise --iters to go on"):
        attempt("train", scenes, "--resume_model", checkpoint, "--iters", 4)
    broken = tmp_path / "iter_2"
    shutil.copytree(checkpoint, broken)
    (broken / "model.pdopt").write_bytes((broken / "model.pdopt").read_bytes()[:1000])
    with pytest.raises(UserError, match="model.pdopt: not a whole Paddle checkpoint"):
        attempt("train", scenes, "--resume_model", broken)


def test_data_that_are_not_there_are_not_downloaded(host, tmp_path):
    with pytest.raises(UserError, match="there is no folder .*nothing is downloaded"):
        attempt("train", tmp_path / "none", config="upernet_mixformer_b1_ade20k_512x512_160k")


def test_wrong_class_maps_are_named(host, scenes, tmp_path):
    root = tmp_path / "ADEChallengeData2016"
    shutil.copytree(scenes, root)
    class_map = root / "annotations/training/ADE_train_00000003.png"
    labels = np.array(Image.open(class_map))
    for wrong, text in (
        (np.full_like(labels, 9), "ADE_train_00000003.png has a class 9, but the data have 8 classes"),
        (labels[:-1], "but its picture is"),
        (np.stack([labels] * 3, -1), "is not a class map"),
    ):
        Image.fromarray(wrong).save(class_map)
        with pytest.raises(UserError, match=text):
            attempt("train", root)
    class_map.unlink()
    with pytest.raises(UserError, match="ADE_train_00000003.jpg has no class map"):
        attempt("train", root)


@pytest.mark.slow
@pytest.mark.skipif(bool(paddle.device.is_compiled_with_cuda()), reason="this Paddle may have a GPU")
def test_the_tools_end_in_one_line(scenes, tmp_path):
    log = tool("train", scenes, "--device", "gpu", "--save_dir", tmp_path, check=False)
    assert "--device gpu: this machine" in error_line(log)
    command = [sys.executable, "-m", "ppcls_mixformer", "seg", "train", "--config", CONFIG]
    log = run(*command, check=False, HOME=str(tmp_path), PADDLESEG_HOME="")
    assert "python -m ppcls_mixformer fetch paddleseg" in error_line(log)
    assert "is not a PaddleSeg clone" in error_line(run(*command, check=False, PADDLESEG_HOME=str(tmp_path)))
