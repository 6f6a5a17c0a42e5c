"""Keys of mixed precision and compiled training that Paddle takes and PaddleClas has none for."""

import contextlib
import logging
import sys

import paddle
import pytest
from commands import refusal

LIST = ["softmax", "layer_norm"]


@pytest.fixture
def precision(host):
    from ppcls_mixformer.paddleclas import precision

    yield precision
    precision.hand_on_white_list({})


def lists_in_training(black_list):
    """The white and the black list under which PaddleClas's engine runs a network."""
    amp = sys.modules.get("ppcls.utils.amp")
    if amp is not None and hasattr(amp, "AutoCast"):
        cast = amp.AutoCast(use_amp=True)()
    else:
        from ppcls.engine.train import train

        cast = train.paddle.amp.auto_cast(custom_black_list=black_list)
    with cast:
        return paddle.base.framework._dygraph_tracer()._get_amp_op_list()


def test_the_white_list_arrives(precision):
    _, black = lists_in_training({"greater_than"})
    assert set(LIST) <= set(black)
    precision.hand_on_white_list({"AMP": {"custom_white_list": LIST}})
    white, black = lists_in_training({"greater_than"})
    assert set(LIST) <= set(white) and not set(LIST) & set(black)
    precision.hand_on_white_list({"AMP": {"scale_loss": 128}})
    assert set(LIST) <= set(lists_in_training(None)[1])


def test_an_engine_takes_the_white_list_of_its_config(precision):
    from ppcls.engine.engine import Engine

    with contextlib.suppress(KeyError, AttributeError):  # the config has too little to build anything
        Engine({"AMP": {"custom_white_list": LIST}, "Global": {}}, mode="train")
    assert set(LIST) <= set(lists_in_training(None)[0])


def test_an_operator_of_both_lists_is_white(precision):
    precision.hand_on_white_list({"AMP": {"custom_white_list": ["softmax"]}})
    assert "softmax" in lists_in_training({"softmax", "greater_than"})[0]


@pytest.mark.parametrize("text", ["[softmax, layer_norm]", "softmax,layer_norm", "['softmax', 'layer_norm']"])
def test_a_list_in_an_override_is_text(precision, text):
    config = {"AMP": {"custom_white_list": text}}
    precision.settle(config)
    assert config["AMP"]["custom_white_list"] == LIST


@pytest.mark.parametrize(
    "section, message",
    [
        (True, "AMP is True; it takes a section"),
        ({"custom_white_list": 3}, "AMP.custom_white_list is 3; it takes a list of operators"),
        ({"custom_white_list": []}, "it takes a list of operators, such as"),
        (
            {"custom_white_list": ["softmax", "layernorm"]},
            "no operator 'layernorm'; did you mean layer_norm?",
        ),
    ],
)
def test_what_is_no_list_of_operators_is_refused(precision, section, message):
    assert message in refusal(precision.settle, {"AMP": section})


@pytest.mark.parametrize(
    "settings, reason",
    [
        ({"device": "gpu"}, "it needs Global.to_static=True"),
        ({"device": "cpu", "to_static": True}, "it needs device gpu"),
        ({"device": "gpu", "to_static": True}, "Paddle 3 ignores it"),
    ],
)
def test_products_are_not_fused_where_paddle_cannot(precision, caplog, settings, reason):
    config = {"Global": {**settings, "fuse_gemm_epilogue": True}}
    with caplog.at_level(logging.WARNING):
        precision.turn_off(config)
    stays = "Paddle 3" in reason and paddle.__version__.startswith("2.")
    assert config["Global"]["fuse_gemm_epilogue"] is stays and (reason in caplog.text) is not stays


@pytest.mark.parametrize("fused", [True, False])
def test_a_network_is_compiled_with_fused_products(precision, fused):
    import ppcls.arch

    config = {"Global": {"to_static": True, "fuse_gemm_epilogue": fused}}
    layer = paddle.nn.Linear(2, 2)
    with precision.fused_products(config):
        ppcls.arch.to_static(layer)  # what apply_to_static calls, in every release
    assert layer.forward._kwargs["build_strategy"].fuse_gemm_epilogue is fused
