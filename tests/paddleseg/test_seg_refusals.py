"""What cannot work is said in one line, before anything is built."""

import re
import shutil
import sys

import paddle
import pytest
from commands import error_line, run
from segmentation import CONFIG, build, overrides, tool

from ppcls_mixformer.hosting.errors import UserError
from ppcls_mixformer.paddleseg import commands

COMMANDS = {
    "export": commands.export,
    "train": commands.train,
    "eval": commands.evaluate,
    "predict": commands.predict,
}


def attempt(command, root, *options, opts=(), config=CONFIG):
    """Runs a command in this process; its UserError is what the tool would print."""
    COMMANDS[command](["--config", str(config), *map(str, options), *overrides(root, *opts)])


@pytest.mark.parametrize(
    "config, text",
    [
        ("nowhere.yml", "config file not found: nowhere.yml"),
        ("upernet_mixformer_b9", "the nearest one is upernet_mixformer_b0"),
        ("README.md", "README.md: PaddleSeg reads .yml and .yaml only"),
        ("MixFormer_B0", "is not a PaddleSeg config: No batch_size specified"),
    ],
)
def test_a_wrong_config_is_named(host, scenes, config, text):
    with pytest.raises(UserError, match=re.escape(text)):
        attempt("train", scenes, config=config)


@pytest.mark.parametrize(
    "override, text",
    [
        ("train_dataset.dataset_root=none", "train_dataset: there is no folder none"),
        ("model.num_classes=5", "the data have 8 classes, but model.num_classes is 5"),
        ("model.type=UPerNetFNC", "did you mean UPerNetFCN?"),
        ("model.backbone.ach=1", "ach is not an argument of MixFormer; did you mean arch?"),
        ("modle.type=1", "has no section modle; the nearest key there is model.type"),
        ("iters.many=1", "has no section iters"),
        (
            "lr_scheduler.type=Poly",
            "lr_scheduler: AttributeError: module 'paddle.optimizer.lr' has no attribute 'Poly'",
        ),
        (
            "loss.types=[{'type':'CrossEntropy'}]",
            "loss: type CrossEntropy is not known to this PaddleSeg; did you",
        ),
        ("loss.types=5", "loss.types: it is 5, not a list of losses, each with a `type`"),
        ("loss.types=['Dice']", "loss.types: it is ['Dice'], not a list of losses, each with a `type`"),
        ("loss.coef=5", "loss.coef: it is 5, not a list of numbers"),
        ("loss.coef=[]", "loss.coef: it is [], not a list of numbers"),
        ("lr_scheduler.end_lr=[]", "lr_scheduler.end_lr cannot be []: TypeError"),
        ("optimizer.beta1=5", "optimizer.beta1 cannot be 5: ValueError"),
        ("model.channels=x", "model.channels cannot be 'x': UPerNetFCN cannot be built: "),
        ("model.backbone.frozen_stages=9", "model: MixFormer cannot be built: frozen_stages must be -1 to 4"),
        ("model.backbone.pretrained=5", "model.backbone.pretrained: it is 5, neither true, false nor the"),
        ("train_dataset.type=5", "train_dataset: type 5 is not known to this PaddleSeg"),
        (
            "train_dataset.transforms=[{'type':'Resize','target_size':5}]",
            "train_dataset: transforms: Resize cannot be built: ",
        ),
        (
            "train_dataset=5",
            "--opts train_dataset: it is 5, not a section of keys, such as train_dataset.type=NAME",
        ),
        ("val_dataset=null", "--opts val_dataset: it is null, not a section of keys"),
        ("model.backbone=b0", "--opts model.backbone: it is b0, not a section of keys"),
        ("loss=CrossEntropyLoss", "not a section of keys, such as loss.coef=[1]"),
        ("iters", "--opts iters: an override is written key=value"),
        ("iters=1=2", "--opts iters=1=2: an override is written key=value, with one ="),
    ],
)
def test_a_wrong_override_is_named(host, scenes, override, text):
    with pytest.raises(UserError, match=re.escape(text)):
        attempt("train", scenes, opts=[override])


def test_a_config_without_sections_where_they_belong_is_named(host, tmp_path):
    path = tmp_path / "a.yml"
    path.write_text("batch_size: 2\niters: 2\ntrain_dataset: 5\nmodel: UPerNet\noptimizer: {}\nloss: {}\n")
    with pytest.raises(UserError) as refused:
        attempt("train", tmp_path, config=path)
    assert refused.value.texts == [
        f"{path}: model: it is UPerNet, not a section of keys, such as model.type=NAME",
        f"{path}: train_dataset: it is 5, not a section of keys, such as train_dataset.type=NAME",
    ]


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
        ("train", ["--iters", "0"], "--iters must be at least 1, got 0"),
        ("train", ["--save_interval", "0"], "--save_interval must be at least 1, got 0"),
        ("train", ["--num_workers", "-1"], "--num_workers must be at least 0, got -1"),
        ("train", ["--save_dir", "setup.py"], "--save_dir: setup.py cannot be a folder"),
        (
            "predict",
            ["--model_path", "x", "--image_path", "x", "--save_dir", "setup.py"],
            "--save_dir: setup",
        ),
        ("train", ["--learning_rate", "nan"], "--learning_rate must be a number of 0 or more, got nan"),
        ("train", ["--learning_rate=-1"], "--learning_rate must be a number of 0 or more, got -1.0"),
        (
            "eval",
            ["--model_path", "x", "--aug_eval", "--scales", "1", "0"],
            "--scales must be numbers",
        ),
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


@pytest.mark.parametrize(
    "override, text",
    [
        ("val_dataset.transforms=5", "val_dataset: transforms must be a list"),
        ("model.num_classes=x", "num_classes must be a whole number above 0, got 'x'"),
        ("model.backbone=None", "model: AttributeError: 'NoneType'"),
        ("model.channels=[]", "model.channels cannot be []: UPerNetFCN cannot be built: "),
    ],
)
@pytest.mark.parametrize("command", ["predict", "export"])
def test_what_cannot_be_predicted_with_is_named(host, scenes, tmp_path, command, override, text):
    pictures = ["--image_path", scenes / "images/validation"] * (command == "predict")
    (tmp_path / "a.pdparams").touch()
    with pytest.raises(UserError, match=re.escape(text)):
        attempt(command, scenes, "--model_path", tmp_path / "a.pdparams", *pictures, opts=[override])


@pytest.mark.parametrize("precision, lines", [("fp16", 1), ("fp32", 0)])
def test_mixed_precision_on_a_cpu_is_mentioned(host, scenes, caplog, precision, lines):
    from ppcls_mixformer.paddleseg.config import settings

    flags = ["--config", CONFIG, "--device", "cpu", "--precision", precision]
    settings([*flags, *overrides(scenes, "batch_size=2")], "train")
    assert caplog.text.count("--precision fp16: the device is the CPU, so all runs in full") == lines


@pytest.mark.parametrize(
    "override, text",
    [
        ("batch_size=7", "train_dataset: 6 pictures are fewer than batch_size 7: lower it"),
        ("iters=10k", "iters must be a whole number above 0, got 10k"),
        ("iters=0", "iters must be a whole number above 0, got 0"),
        ("batch_size=0", "batch_size must be a whole number above 0, got 0"),
        ("train_dataset.dataset_root=2017", "train_dataset: dataset_root: 2017 is no text; digits alone"),
        ("val_dataset.val_path=5", "val_dataset: val_path: 5 is no text"),
        ("train_dataset.mode=val", "train_dataset: mode must be train here, got val"),
        ("val_dataset.transforms=[{'type':'RandomPaddingCrop'}]", "RandomPaddingCrop has no place in eval"),
        ("loss.types=[{'type':'CrossEntropyLoss','weight':[1,2]}]", "has 2 class weights"),
        ("loss.types=[{'type':'M','losses':[{'type':'X','weight':[1,2]}]}]", "X has 2 class weights"),
        (f"loss.types=[{{'type':'DiceLoss','weight':{[-1] * 8}}}]", "must be numbers of 0 or more, got [-1"),
        (
            "loss.types=[{'type':'DiceLoss','ignore_index':0}]",
            "DiceLoss leaves out 0 (ignore_index)",
        ),
        (
            "train_dataset.ignore_index=7",
            "leaves out 255 (ignore_index), but in train_dataset 7",
        ),
        (
            "val_dataset.transforms=['Normalize']",
            "val_dataset: transforms must be a list",
        ),
        ("train_dataset.transforms=[{'mean':1}]", "train_dataset: transforms must be a list"),
    ],
)
def test_what_cannot_be_trained_or_measured_is_named(host, scenes, override, text):
    with pytest.raises(UserError, match=re.escape(text)):
        attempt("train", scenes, "--do_eval", opts=[override])


@pytest.mark.parametrize(
    "options, text",
    [
        ("--is_slide --crop_size 64 64 --stride 0 32", "width of 64 with a stride of 0"),
        ("--is_slide --crop_size 64 64 --stride 32 65", "height of 64 with a stride of 65"),
        ("--crop_size 64 64", "--crop_size without --is_slide would be ignored"),
    ],
)
def test_windows_that_leave_gaps_are_refused(host, scenes, options, text):
    for command, more in (("eval", []), ("predict", ["--image_path", "."]), ("export", [])):
        with pytest.raises(UserError, match=re.escape(text)):
            attempt(command, scenes, "--model_path", "x", *more, *options.split())


def test_windows_of_the_config_are_checked(host):
    from ppcls_mixformer.paddleseg import preflight
    from ppcls_mixformer.paddleseg.config import load

    config = load(CONFIG, [])
    for options, text in (
        ({}, "test_config.is_slide needs"),
        ({"crop_size": [64, 64], "stride": [64, 96]}, "test_config.is_slide: a window's height of 64"),
        ({"crop_size": [64, 64], "stride": [64, 64]}, None),
    ):
        config.dic["test_config"] = {"is_slide": True, **options}
        if text is None:
            preflight.check_windows(config, flags=None)
            continue
        with pytest.raises(UserError, match=re.escape(text)):
            preflight.check_windows(config, flags=None)
    config.dic["test_config"] = {"aug_pred": True}
    with pytest.raises(UserError, match="add --opts test_config.aug_pred=false"):
        preflight.check_averages(config)
    config.dic["test_config"] = ["is_slide"]
    with pytest.raises(UserError, match="test_config must be a mapping"):
        preflight.check_windows(config, flags=None)


@pytest.mark.parametrize(
    "word, value",
    [("null", None), ("~", None), ("", None), ("true", True), ("False", False), ("no", False), ("On", True)],
)
def test_words_of_yaml_mean_in_overrides_what_they_mean_in_configs(host, word, value):
    from ppcls_mixformer.paddleseg.config import load

    assert load(CONFIG, [f"model.backbone.pretrained={word}"]).dic["model"]["backbone"]["pretrained"] is value
    assert (
        load(CONFIG, ["model.backbone.pretrained=./null"]).dic["model"]["backbone"]["pretrained"] == "./null"
    )


@pytest.mark.slow
@pytest.mark.skipif(bool(paddle.device.is_compiled_with_cuda()), reason="this Paddle may have a GPU")
def test_the_tools_end_in_one_line(scenes, tmp_path):
    log = tool("train", scenes, "--device", "gpu", "--save_dir", tmp_path, check=False)
    assert "--device gpu: this machine" in error_line(log)
    command = [sys.executable, "-m", "ppcls_mixformer", "seg", "train", "--config", CONFIG]
    log = run(*command, check=False, HOME=str(tmp_path), PADDLESEG_HOME="")
    assert "python -m ppcls_mixformer fetch paddleseg" in error_line(log)
    assert "is not a PaddleSeg clone" in error_line(run(*command, check=False, PADDLESEG_HOME=str(tmp_path)))
