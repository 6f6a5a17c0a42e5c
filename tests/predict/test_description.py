"""`inference.yml`: what is written is read, other people's files too, and damaged ones are one line."""

import logging

import pytest
import yaml

from ppcls_mixformer.hosting.errors import UserError
from ppcls_mixformer.predict import description as descriptions
from ppcls_mixformer.predict.description import Description

OPERATORS = [{"ResizeImage": {"resize_short": 9}}, {"CropImage": {"size": 7}}, {"ToCHWImage": None}]
# As PaddleX and PaddleClas 2.6 have it.
FOREIGN = """
Global: {model_name: PP-LCNet_x1_0}
Hpi: {backend_configs: {}}
PreProcess:
  transform_ops:
  - ResizeImage: {resize_short: 256, interpolation: BICUBIC, backend: pil}
  - CropImage: {size: 224}
  - NormalizeImage: {channel_num: 3, mean: [0.5, 0.5, 0.5], order: '', scale: 0.00392, std: [0.5, 0.5, 0.5]}
  - ToCHWImage: null
PostProcess:
  Topk:
    topk: 5
    label_list: [tench, 007, yes]
"""


@pytest.mark.parametrize(
    "described",
    [
        Description(OPERATORS, ["a", "金鱼", "no"], topk=3, image_shape=[3, 7, 7], model_name="MixFormer_B0"),
        Description(OPERATORS, independent=True, topk=None, threshold=0.25),
        Description(OPERATORS, independent=True, topk=4),
        Description(OPERATORS, outputs=["scores", "gates_1", "gates_2"]),
    ],
)
def test_what_is_written_is_read(tmp_path, described):
    descriptions.write(tmp_path / descriptions.NAME, described)
    assert descriptions.read(tmp_path) == described


def test_what_is_there_twice_is_written_out(tmp_path):
    size = [7, 7]
    described = Description([{"CropImage": {"size": size}}, {"PadImage": {"size": size}}])
    descriptions.write(tmp_path / descriptions.NAME, described)
    assert "&" not in (tmp_path / descriptions.NAME).read_text()


def test_other_peoples_files_are_read(tmp_path):
    (tmp_path / descriptions.NAME).write_text(FOREIGN)
    found = descriptions.read(tmp_path)
    assert found.label_names == ["tench", "7", "True"] and found.image_shape is None and not found.independent
    assert found.transform_ops[0]["ResizeImage"]["interpolation"] == "BICUBIC"


def test_without_a_file_pictures_are_prepared_as_the_stock_command_does(tmp_path, caplog):
    with caplog.at_level(logging.WARNING):
        assert descriptions.read(tmp_path).transform_ops == descriptions.STOCK
    assert "has no inference.yml: pictures are prepared as the paddleclas command does" in caplog.text


@pytest.mark.parametrize("name, host", [("infer_cfg.yml", "PaddleDetection"), ("deploy.yaml", "PaddleSeg")])
def test_exports_of_other_networks_are_refused(tmp_path, name, host):
    (tmp_path / name).write_text("")
    with pytest.raises(UserError, match=f"is an export for {host}, it holds {name}; classifiers are read"):
        descriptions.read(tmp_path)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"PreProcess": None}, "has no section PreProcess"),
        ({"PreProcess": [1]}, "has no section PreProcess"),
        ({"PostProcess": {"NormalizeFeatures": None}}, "PostProcess is NormalizeFeatures; Topk and"),
        ({"PostProcess": {"Topk": {"topk": "five"}}}, "topk is 'five'"),
        ({"PostProcess": {"Topk": {"topk": -1}}}, "topk is -1"),
        ({"PostProcess": {"Topk": {"label_list": "a"}}}, "label_list is no list"),
        ({"Global": {"image_shape": [3, "x", 7]}}, "image_shape is"),
        ({"Global": {"image_shape": 7}}, "image_shape is 7"),
    ],
)
def test_damage_is_one_line(tmp_path, change, message):
    content = {**yaml.safe_load(FOREIGN), **change}
    (tmp_path / descriptions.NAME).write_text(yaml.safe_dump(content))
    with pytest.raises(UserError, match=f"inference.yml.*{message}"):
        descriptions.read(tmp_path)


@pytest.mark.parametrize("text", ["", "[1]", "a: [", "\0"])
def test_what_is_no_yaml_is_one_line(tmp_path, text):
    (tmp_path / descriptions.NAME).write_text(text)
    with pytest.raises(UserError, match=r"inference\.yml is (no|not a|not valid)"):
        descriptions.read(tmp_path)
