"""What a command runs with: no result comes from weights that nobody trained, no epoch is empty."""

import shutil

import paddle
import pytest
from commands import CONFIG, checked, checkpoint, error_line, overrides, refusal, retrieval, tool
from stand_ins import send, server

from ppcls_mixformer import MixFormer_B0


@pytest.fixture(scope="module")
def ten(tmp_path_factory):
    """Path of a checkpoint of ten classes."""
    path = tmp_path_factory.mktemp("ten") / "ten.pdparams"
    paddle.save(MixFormer_B0(class_num=10).state_dict(), str(path))
    return path


@pytest.fixture
def settings(host, digits, tmp_path):
    """Function that reads the tests' config for a mode, on a few pictures."""

    def read(mode, *more, config=CONFIG, flags=()):
        own = overrides(digits, tmp_path) if config == CONFIG else ()
        return checked(mode, *own, *more, config=config, flags=flags)

    return read


MODES = ("eval", "infer", "export")
SAMPLER = "DataLoader.Train.sampler"


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    "value", [(), ["Global.pretrained_model="], ["Global.pretrained_model=None"], ["Global.checkpoints=null"]]
)
def test_no_weights_are_refused(settings, digits, mode, value):
    images = [f"Infer.infer_imgs={digits}/test"]
    assert "Global.pretrained_model names no weights" in refusal(settings, mode, *images, *value)
    settings(mode, *images, *value, flags=["--random-weights"])
    settings("train", *images, *value)


@pytest.mark.parametrize(
    "key", ["pretrained_model", "Global.pretrained", "Global.pretrained_modle", "checkpoint"]
)
def test_a_misspelt_key_is_named(settings, ten, key):
    assert f"({key} is no key that eval reads)" in refusal(settings, "eval", f"{key}={ten}")


def test_a_key_that_another_command_reads_is_not_called_misspelt(settings):
    assert "needs: set" in refusal(settings, "eval", "Global.keep_checkpoints=3")


def test_the_checkpoints_in_a_folder_are_named(settings, ten):
    text = refusal(settings, "eval", f"Global.pretrained_model={ten.parent}")
    assert f"{ten.parent} is a folder; name a checkpoint in it (" in text and ten.name in text


def test_checkpoints_are_the_weights_where_nothing_is_trained(settings, ten):
    section = settings("eval", f"Global.checkpoints={ten}")["Global"]
    assert (section["pretrained_model"], section["checkpoints"]) == (str(ten)[:-9], None)
    both = [f"Global.checkpoints={ten}", "Global.pretrained_model=elsewhere"]
    assert "set the one that is not meant to null" in refusal(settings, "eval", *both)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("key", ["Global.pretrained_model", "Global.checkpoints", "Arch.pretrained"])
def test_another_class_count_is_refused_with_both_counts_and_the_file(settings, digits, ten, mode, key):
    more = ["Arch.class_num=12", f"Infer.infer_imgs={digits}/test"]
    text = refusal(settings, mode, f"{key}={ten}", *more)
    assert f"{ten} has 10 classes, Arch.class_num is 12" in text
    settings(mode, f"{key}={ten}", *more, flags=["--random-weights"])
    if key != "Global.checkpoints":
        settings("train", f"{key}={ten}", *more)


def test_published_weights_have_a_thousand_classes(settings):
    text = refusal(settings, "eval", "Arch.name=MixFormer_B1", "Arch.pretrained=True")
    assert "the published weights of MixFormer_B1 have 1000 classes, Arch.class_num is 10" in text
    settings("export", "Arch.name=MixFormer_B1", "Arch.pretrained=True", "Arch.class_num=1000")


@pytest.mark.parametrize("mode", ["train", "eval"])
def test_weights_of_another_network_are_refused_before_anything_is_built(settings, ten, mode):
    text = refusal(settings, mode, "Arch.name=MixFormer_B1", f"Global.pretrained_model={ten}")
    assert text.startswith(f"Global.pretrained_model: {ten} is not a checkpoint of this MixFormer")


def test_a_number_is_no_checkpoint(settings):
    assert "-o Arch.pretrained=True" in refusal(settings, "eval", "Global.pretrained_model=True")
    assert "Arch.pretrained is 3" in refusal(settings, "train", "Arch.pretrained=3")


def test_an_address_is_downloaded_once(settings, ten, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    asked = []

    def answer(handler):
        asked.append(handler.path)
        send(handler, ten.read_bytes() if handler.path == "/ten.pdparams" else b"<html>")

    with server(answer) as address:
        for _ in range(2):
            section = settings("eval", f"Global.pretrained_model={address}/ten.pdparams")["Global"]
        assert asked == ["/ten.pdparams"] and section["pretrained_model"].endswith("-ten")
        assert "other.pdparams" in refusal(settings, "eval", f"Arch.pretrained={address}/other.pdparams")


def test_a_class_count_under_global_is_the_heads(settings, ten, caplog):
    config = settings("eval", f"Global.pretrained_model={ten}", "Global.class_num=10")
    assert config["Arch"]["class_num"] == 10 and "taken as Arch.class_num=10" in caplog.text
    assert "leave the former out" in refusal(settings, "eval", "Global.class_num=12")


def test_a_rec_model_needs_more_than_a_backbone(settings, digits, tmp_path, ten):
    config = retrieval(digits, tmp_path, "last_proj")
    setting = f"Arch.Backbone.pretrained={ten}"
    assert "names no weights" in refusal(
        settings, "eval", setting, "Arch.Backbone.class_num=10", config=config
    )


def engine(settings, mode, *more, **options):
    """PaddleClas's engine of the config, and the tensors that were set while it was built."""
    from ppcls.engine.engine import Engine
    from ppcls.utils import logger

    from ppcls_mixformer.paddleclas import weights

    config = settings(mode, *more, **options)
    logger._logger = None  # an engine sets it up itself, once
    with weights.recorded() as loaded:
        return Engine(config, mode=mode), loaded


def check_loaded(settings, mode, *more, **options):
    from ppcls_mixformer.paddleclas import weights

    built, loaded = engine(settings, mode, *more, **options)
    weights.check_loaded(built.model, loaded, built.config, mode)


@pytest.mark.parametrize("key", ["Global.pretrained_model", "Arch.pretrained"])
def test_whole_weights_leave_nothing_random(settings, ten, key):
    check_loaded(settings, "eval", f"{key}={ten}")


OTHER = ["Arch.name=MobileNetV3_small_x0_35", "Arch.class_num=10"]


def test_any_network_that_is_not_filled_is_refused(settings, tmp_path):
    from ppcls.arch import MobileNetV3_small_x0_35

    state = MobileNetV3_small_x0_35(class_num=10).state_dict()
    paddle.save(state, str(tmp_path / "whole.pdparams"))
    paddle.save({k: v for k, v in state.items() if k != "fc.bias"}, str(tmp_path / "part.pdparams"))
    check_loaded(settings, "eval", *OTHER, f"Global.pretrained_model={tmp_path}/whole")
    text = refusal(check_loaded, settings, "eval", *OTHER, f"Global.pretrained_model={tmp_path}/part")
    assert (
        text.startswith(f"Global.pretrained_model: {tmp_path}/part.pdparams") and "fc.bias is missing" in text
    )
    more = [OTHER[0], "Arch.class_num=12", f"Global.pretrained_model={tmp_path}/whole"]
    assert "fc.weight is [1280, 10], not [1280, 12]" in refusal(check_loaded, settings, "eval", *more)


@pytest.mark.parametrize("mode", ["train", "eval"])
def test_an_epoch_without_a_step_is_refused_and_an_evaluation_has_one(settings, ten, mode):
    sampler = f"DataLoader.{'Train' if mode == 'train' else 'Eval'}.sampler"
    more = [f"{sampler}.batch_size=100", f"{sampler}.drop_last=True", f"Global.pretrained_model={ten}"]
    if mode == "train":
        text = refusal(engine, settings, mode, *more)
        assert "DataLoader.Train: 96 images, batch 100, drop_last: 0 steps an epoch" in text
    else:
        engine(settings, mode, *more)
    engine(settings, mode, *more[:1], f"{sampler}.drop_last=False", more[2])


@pytest.mark.slow
def test_the_tools_refuse_and_take_the_switch(digits, trained, tmp_path):
    own = [*overrides(digits, tmp_path), f"Global.save_inference_dir={tmp_path}"]
    for name in ("eval", "infer", "export_model"):
        assert "--random-weights" in error_line(
            tool(name, *own, f"Infer.infer_imgs={digits}/test", check=False)
        )
    assert "inference.pdiparams" not in [path.name for path in tmp_path.iterdir()]
    log = tool("export_model", *own, flags=["--random-weights"])
    assert "what this network says is no result" in log and (tmp_path / "inference.pdiparams").exists()
    weights = checkpoint(trained[0], "best_model")
    assert "top1" in tool("eval", *own, f"Global.checkpoints={weights}")


def test_a_checkpoint_of_another_split_is_told(settings, ten, digits, tmp_path, caplog):
    from ppcls_mixformer.paddleclas import training

    def warnings(*more):
        caplog.clear()
        training.warn_of_other_lists(settings("eval", f"Global.pretrained_model={tmp_path}/best", *more))
        return [line for line in caplog.messages if "was trained on other lists" in line]

    shutil.copy(ten, tmp_path / "best.pdparams")
    assert not warnings()  # a checkpoint that says nothing
    trained_on = training._lists(settings("train")["DataLoader"]["Train"])
    paddle.save({"run": {"DataLoader.Train": trained_on}}, str(tmp_path / "best.pdstates"))
    assert not warnings()
    other = tmp_path / "other.txt"
    other.write_text("".join((digits / "train_list.txt").read_text().splitlines(keepends=True)[1:]))
    assert not warnings(f"DataLoader.Eval.dataset.cls_label_path={other}")
    assert len(warnings(f"DataLoader.Train.dataset.cls_label_path={other}")) == 1
