"""Losses, metrics, datasets and samplers that fail while they are built or run: one line with their names."""

import paddle
import pytest
import yaml
from commands import refusal, retrieval

IDENTITY = {"name": "DistributedRandomIdentitySampler", "num_instances": 4, "drop_last": True}


@pytest.fixture
def content(digits, tmp_path):
    """A retrieval config with a small network, 96 pictures to train on and a gallery of 40."""
    content = yaml.safe_load(retrieval(digits, tmp_path, "last_proj").read_text())
    content["Arch"]["Backbone"] = {"name": "MobileNetV3_small_x0_35"}
    content["Arch"]["BackboneStopLayer"] = {"name": "flatten"}
    content["Arch"]["Neck"]["embedding_size"] = 1024
    return content


@pytest.fixture
def built(host, tmp_path):
    """Function that builds PaddleClas's Engine from such a config, to train."""
    from ppcls.engine.engine import Engine
    from ppcls.utils import logger

    from ppcls_mixformer.paddleclas.config import settings

    def build(content):
        path = tmp_path / "x.yaml"
        path.write_text(yaml.safe_dump(content))
        logger._logger = None  # an engine sets it up itself, once
        return Engine(settings(["-c", str(path)], "train").config, mode="train")

    return build


@pytest.mark.parametrize(
    "sampler, text",
    [
        ({"name": "PKSampler", "batch_size": 10, "sample_per_id": 4}, "DataLoader.Train: PKSampler fails"),
        ({"name": "PKSampler", "batch_size": 80, "sample_per_id": 4}, "DataLoader.Train: PKSampler fails"),
        ({**IDENTITY, "batch_size": 3}, "num_instances"),
        ({**IDENTITY, "batch_size": 400}, "0 steps an epoch; set a smaller DataLoader.Train.sampler.batch"),
    ],
)
def test_a_sampler_that_cannot_be_had_is_named(built, content, sampler, text):
    content["DataLoader"]["Train"]["sampler"] = sampler
    assert text in refusal(built, content)


def test_a_sampler_without_a_batch_ends_the_first_epoch(built, content):
    content["DataLoader"]["Train"]["sampler"] = {**IDENTITY, "batch_size": 48}  # of 12 classes; there are 10
    engine = built(content)
    engine.global_step = 0
    engine.output_info, engine.time_info = {}, {}
    text = refusal(engine.train_epoch_func, engine, 1, 1)
    assert "DistributedRandomIdentitySampler makes no batch of these images: nothing was trained" in text


def test_more_hits_than_pictures_are_refused_before_training(built, content):
    built(content)
    content["Metric"]["Eval"] = [{"Recallk": {"topk": [1, 41]}}]
    text = refusal(built, content)
    assert "Metric.Eval: Recallk.topk is [1, 41], but the gallery has 40 pictures; lower it" in text


def test_queries_without_a_class_in_the_gallery_are_mentioned(built, content, digits, tmp_path, caplog):
    lines = (digits / "test_list.txt").read_text().splitlines()
    (tmp_path / "gallery.txt").write_text("\n".join(line for line in lines if line.split()[-1] != "3"))
    split = content["DataLoader"]["Eval"]["Gallery"]
    split = {**split, "dataset": {**split["dataset"], "cls_label_path": f"{tmp_path}/gallery.txt"}}
    content["DataLoader"]["Eval"]["Gallery"] = split
    built(content)
    lonely = sum(line.split()[-1] == "3" for line in lines)
    assert lonely and f"of the classes of {lonely} of 40 queries the gallery has no picture" in caplog.text


def test_pictures_that_find_themselves_are_mentioned(built, content, caplog):
    built(content)
    assert "DataLoader.Eval: 40 of 40 queries are in the gallery too, and find themselves" in caplog.text
    caplog.clear()
    split = content["DataLoader"]["Eval"].pop("Query")
    built(content)
    assert "40 of 40 queries" in caplog.text
    caplog.clear()
    other = content["DataLoader"]["Train"]["dataset"]["cls_label_path"]
    content["DataLoader"]["Eval"] = {
        "Gallery": content["DataLoader"]["Eval"]["Gallery"],
        "Query": {**split, "dataset": {**split["dataset"], "cls_label_path": other}},
    }
    built(content)
    assert "are in the gallery" not in caplog.text


def test_a_metric_of_retrieval_needs_a_loss(built, content):
    del content["Loss"]["Eval"]
    assert "the config has no Loss.Eval, which train needs" in refusal(built, content)


def test_a_loss_and_a_metric_that_fail_are_named(built, content):
    content["Loss"]["Train"] = [{"TripletLossV2": {"weight": 1.0, "margin": 0.5}}]
    engine = built(content)
    loss, metric = engine.train_loss_func, engine.eval_metric_func
    assert "Loss.Train: TripletLossV2 fails: KeyError: 'features'" == refusal(loss, {}, paddle.zeros([2]))
    ones = paddle.ones([1, 1], "int64")
    assert "Metric.Eval: Recallk fails: IndexError" in refusal(metric, paddle.ones([1, 1]), ones, ones, None)
