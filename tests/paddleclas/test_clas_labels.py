"""Labels that are no class number, metrics of which less is better, losses that are no number."""

import json
import logging
import math
import pickle
import platform
import re

import numpy as np
import paddle
import pytest
from commands import CONFIG, checkpoint, error_line, overrides, tool

from ppcls_mixformer import Classifier
from ppcls_mixformer.hosting.errors import UserError

pytestmark = pytest.mark.usefixtures("bridged_paddleclas")


@pytest.fixture
def config():
    """PaddleClas's config of the tests."""
    from ppcls_mixformer.paddleclas.config import load

    return load(CONFIG, [])


def test_the_labels_of_mixed_pictures_are_probabilities():
    from ppcls.loss import CELoss, celoss

    labels = paddle.to_tensor([[0.7, 0.3, 0.0], [0.0, 0.0, 1.0]])
    perfect = paddle.log(labels + 1e-12)
    entropy = -(0.7 * math.log(0.7) + 0.3 * math.log(0.3)) / 2
    assert float(CELoss()(perfect, labels)["CELoss"]) == pytest.approx(entropy, abs=1e-4)
    assert float(CELoss()(perfect, labels.astype("float16").astype("float32"))["CELoss"]) < 0.31
    softened = celoss.F.stands_for.softmax(labels)
    assert float(CELoss()(perfect, softened)["CELoss"]) > 9  # what it was


def test_the_logits_of_a_teacher_still_go_through_a_softmax():
    from ppcls.loss import CELoss

    logits = paddle.to_tensor([[2.0, -1.0, 0.5]])
    expected = -(paddle.nn.functional.softmax(logits) * paddle.nn.functional.log_softmax(logits)).sum()
    assert float(CELoss()(logits, logits)["CELoss"]) == pytest.approx(float(expected), abs=1e-5)
    assert float(CELoss()(logits, paddle.to_tensor([[0]]))["CELoss"]) == pytest.approx(0.2413, abs=1e-3)


@pytest.mark.parametrize(
    "operator", [{"MixupOperator": {"alpha": 0.2}}, {"OpSampler": {"CutmixOperator": {}}}]
)
def test_mixed_pictures_have_no_accuracy(config, operator, caplog):
    from ppcls_mixformer.paddleclas import labels

    labels.check(config, "train")
    assert config["Metric"]["Train"] and not caplog.records
    config["DataLoader"]["Train"]["dataset"]["batch_transform_ops"] = [operator]
    labels.check(config, "train")
    assert "Train" not in config["Metric"] and config["Metric"]["Eval"]
    assert [record.levelno for record in caplog.records] == [logging.WARNING]


def test_a_renamed_part_is_named(config):
    from ppcls_mixformer.paddleclas import labels

    config["Loss"]["Train"] = [{"MixCELoss": {"weight": 1.0, "epsilon": 0.1}}]
    with pytest.raises(UserError, match=r"Loss\.Train\.0: .* MixCELoss any more: it is CELoss now$"):
        labels.check_renamed(config)


def of_several_labels(config):
    """Gives a config the datasets and the metric that such pictures need."""
    for split in ("Train", "Eval"):
        config["DataLoader"][split]["dataset"]["name"] = "MultiLabelDataset"
    config["Metric"] = {"Eval": [{"HammingDistance": {}}]}


@pytest.mark.parametrize("part", ["ImageNetDataset", "TopkAcc"])
def test_parts_for_one_label_are_refused_where_there_are_several(config, part):
    from ppcls_mixformer.paddleclas import labels

    metrics = config["Metric"]
    of_several_labels(config)
    config["Global"]["use_multilabel"] = True
    labels.check(config, "train")
    if part == "TopkAcc":
        config["Metric"] = metrics
    else:
        config["DataLoader"]["Eval"]["dataset"]["name"] = part
    with pytest.raises(UserError, match=f"{part} is for one label a picture"):
        labels.check(config, "train")


@pytest.mark.parametrize("part", ["dataset", "loss"])
def test_several_labels_need_their_key(config, part):
    from ppcls_mixformer.paddleclas import labels

    if part == "dataset":
        config["DataLoader"]["Train"]["dataset"]["name"] = "MultiLabelDataset"
    else:
        config["Loss"]["Train"] = [{"MultiLabelLoss": {"weight": 1.0}}]
    with pytest.raises(UserError, match="MultiLabel(Dataset|Loss) .*add -o Global.use_multilabel=True"):
        labels.check(config, "train")
    config["Global"]["use_multilabel"] = True
    of_several_labels(config)
    labels.check(config, "infer")
    assert config["Infer"]["PostProcess"]["name"] == "MultiLabelTopk"


def test_independent_labels_have_probabilities_of_their_own(tmp_path):
    from ppcls.data.postprocess import build_postprocess, topk

    (tmp_path / "names.txt").write_text("0 cat\n1 dog\n2 hat\n")
    config = {"name": "MultiLabelTopk", "class_id_map_file": str(tmp_path / "names.txt")}
    logits = paddle.to_tensor([[3.0, -2.0, 2.0], [-1.0, -1.0, -1.0]])
    both, none = build_postprocess(config)(logits, ["a.jpg", "b.jpg"])
    assert both["class_ids"] == [0, 2] and both["label_names"] == ["cat", "hat"]
    assert both["scores"] == pytest.approx([0.95257, 0.8808]) and both["file_name"] == "a.jpg"
    assert none["class_ids"] == [] and none["scores"] == []
    (first, _) = build_postprocess({**config, "topk": 1})(logits, ["a.jpg", "b.jpg"])
    assert first["label_names"] == ["cat"]
    exclusive = topk.Topk(topk=2)(logits)[0]["scores"]
    assert exclusive[0] == pytest.approx(0.7275, abs=1e-3)  # a softmax, as ever


def test_evaluation_counts_the_last_pictures(config, caplog):
    from ppcls_mixformer.paddleclas import labels

    config["DataLoader"]["Eval"]["sampler"]["drop_last"] = True
    labels.check(config, "train")
    assert config["DataLoader"]["Eval"]["sampler"]["drop_last"] is False
    assert "DataLoader.Eval.sampler.drop_last" in caplog.text


def test_evaluation_on_windows_counts_the_last_batch(monkeypatch):
    from ppcls.engine.evaluation import classification, retrieval

    monkeypatch.setattr(platform, "system", lambda: "Windows")
    for module in (classification, retrieval):
        if hasattr(module, "platform"):
            assert module.platform.system() != "Windows"
    assert classification.platform.python_version() == platform.python_version()


def test_of_some_metrics_the_lowest_is_the_best():
    from ppcls_mixformer.paddleclas.results import Lower

    low, high = Lower(0.1), Lower(0.4)
    assert low > high and high < low and low >= high and low >= Lower(0.1) and not low > Lower(0.1)
    assert max(low, high) is low and max(high, -1.0) is high
    for start in (0.0, -1.0):  # of the releases
        assert high > start and high >= start and not high < start
    assert low > 0.4 and not high > 0.1  # numbers out of a checkpoint
    assert f"{low}" == "0.1" and isinstance(pickle.loads(pickle.dumps(low)), np.float64)


def test_a_metric_of_a_checkpoint_can_be_read(tmp_path):
    from ppcls_mixformer.paddleclas.results import Lower

    paddle.save({"metric": Lower(0.25), "epoch": 3}, str(tmp_path / "x.pdstates"))
    states = paddle.load(str(tmp_path / "x.pdstates"))
    assert states["metric"] == 0.25 and type(states["metric"]) is np.float64


def test_a_schedule_by_metric_sees_plain_numbers():
    from ppcls_mixformer.paddleclas.results import Lower

    schedule = paddle.optimizer.lr.ReduceOnPlateau(1.0, mode="min", patience=0, cooldown=0)
    for metric in (0.4, 0.3, 0.2):
        schedule.step(Lower(metric))
    assert schedule() == 1.0
    schedule.step(Lower(0.9))
    assert schedule() < 1.0


def test_frozen_teachers_keep_their_statistics():
    from ppcls.arch import DistillationModel

    parts = {"name": "ResNet18", "class_num": 4}
    model = DistillationModel(
        [{"Teacher": dict(parts)}, {"Student": dict(parts)}], freeze_params_list=[True, False]
    )

    def statistics(name):
        layers = model.state_dict().items()
        return {key: value.numpy().copy() for key, value in layers if name in key and "_mean" in key}

    model.train()
    before = {name: statistics(name) for name in ("Teacher", "Student")}
    model(paddle.randn([2, 3, 32, 32]))
    assert before["Teacher"] and all(
        (statistics("Teacher")[k] == v).all() for k, v in before["Teacher"].items()
    )
    assert any((statistics("Student")[k] != v).any() for k, v in before["Student"].items())
    DistillationModel.forward.bridged(model.train() or model, paddle.randn([2, 3, 32, 32]))
    assert any((statistics("Teacher")[k] != v).any() for k, v in before["Teacher"].items())  # without it


@pytest.mark.slow
@pytest.mark.parametrize("flag", [[], ["AMP.scale_loss=128.0", "AMP.use_dynamic_loss_scaling=True"]])
def test_a_loss_that_is_no_number_stops_training(digits, tmp_path, flag):
    settings = [*overrides(digits, tmp_path, epochs=3), *flag, "Optimizer.lr.warmup_epoch=0"]
    log = tool("train", *settings, "Optimizer.lr.learning_rate=1e30", check=False)
    line = error_line(log)
    assert "the loss is nan at step" in line or "the loss is inf at step" in line
    assert re.search(r"learning rate of [\d.]+e\+(29|30): training stops", line)
    assert not list(tmp_path.rglob("best_model.pdparams"))


def test_weights_that_are_no_number_are_not_saved(tmp_path):
    from types import SimpleNamespace

    from ppcls_mixformer.paddleclas import results

    model = paddle.nn.Linear(2, 2)
    engine = SimpleNamespace(
        model=model,
        train_epoch_func=lambda *args: args,
        global_step=7,
        lr_sch=[paddle.optimizer.lr.NaturalExpDecay(0.5, 0.1)],
        output_dir=str(tmp_path),
    )
    results.watch_epochs(engine)
    assert engine.train_epoch_func(engine, 1, 10) == (engine, 1, 10)
    model.bias.set_value(paddle.to_tensor([1.0, float("nan")]))
    text = "bias holds .* at step 7, with a learning rate of 0.5: training stops, and nothing was saved"
    with pytest.raises(UserError, match=text):
        engine.train_epoch_func(engine, 2, 10)
    (tmp_path / "latest.pdparams").touch()
    with pytest.raises(UserError, match="and the checkpoints in .* are from before; lower"):
        engine.train_epoch_func(engine, 2, 10)


@pytest.mark.slow
def test_dynamic_loss_scaling_may_overflow(digits, tmp_path):
    """A gradient that overflows at first is no reason to stop."""
    settings = ["AMP.scale_loss=1e38", "AMP.use_dynamic_loss_scaling=True"]
    log = tool("train", *overrides(digits, tmp_path, epochs=1), *settings)
    assert checkpoint(tmp_path, "latest").with_suffix(".pdparams").is_file() and "error:" not in log


@pytest.mark.slow
def test_the_best_of_several_labels_is_the_one_with_the_fewest_errors(several_labels, tmp_path):
    settings = [*overrides(tmp_path / "digits", tmp_path / "output", epochs=3)]
    log = tool("train", *settings, config=several_labels)
    shown = [float(number) for number in re.findall(r"\[Eval\].*\[Avg\].*HammingDistance: ([\d.]+)", log)]
    assert len(shown) == 3
    best = paddle.load(str(checkpoint(tmp_path / "output", "best_model")) + ".pdstates")
    assert best["metric"] == pytest.approx(min(shown), abs=1e-4)
    weights = f"Global.pretrained_model={checkpoint(tmp_path / 'output', 'latest')}"
    pictures = f"Infer.infer_imgs={tmp_path}/digits/test"
    shown = "Infer.PostProcess={'name': 'MultiLabelTopk'}"
    flags = ["--save", tmp_path / "r.jsonl"]
    tool("infer", *settings, shown, weights, pictures, config=several_labels, flags=flags)
    folder = f"Global.save_inference_dir={tmp_path}/export"
    tool("export_model", *settings, shown, weights, folder, config=several_labels)
    inferred = [json.loads(line) for line in (tmp_path / "r.jsonl").read_text().splitlines()]
    found = Classifier(tmp_path / "export")(tmp_path / "digits/test")
    assert any(result["class_ids"] for result in found)
    for result, expected in zip(found, inferred):
        assert result["class_ids"] == expected["class_ids"] and min(result["scores"], default=1) >= 0.5
        np.testing.assert_allclose(result["scores"], expected["scores"], atol=1e-4)
