"""Detection's configs: what is no config, what overrides do, and the size of what ours build."""

import logging

import paddle
import pytest
from commands import ROOT
from det_tools import DETECTOR, command_line

from benchmarks.flops import multiply_adds
from ppcls_mixformer import VARIANTS
from ppcls_mixformer.hosting.errors import UserError

pytestmark = pytest.mark.usefixtures("host")

NAMES = sorted(path.stem for folder in ("COCO", "LVIS") for path in ROOT.glob(f"configs/{folder}/*.yml"))
# Published: parameters in M, multiply-adds in G.
PUBLISHED = {"b1": (26, 183), "b2": (28, 187), "b3": (35, 207), "b4": (53, 243)}
PYRAMID = [(200, 320), (100, 160), (50, 80), (25, 40), (13, 20)]  # of a picture of 800×1280


@pytest.fixture
def load(host):
    """`config.load` with no other config in the way."""
    from ppcls_mixformer.paddledet import config

    return config.load


@pytest.mark.parametrize(
    "content, error",
    [
        ("model: [", "is not valid YAML"),
        ("- a\n- b\n", "is not a PaddleDetection config: it holds no sections"),
        ("", "is not a PaddleDetection config: it holds no sections"),
        ("epoch: 1\n", "is not a PaddleDetection config: it has no architecture, TrainReader, metric"),
        ("_BASE_: [none.yml]\n", "none.yml, which it is built on, does not exist"),
        ("schedule: !PiecewiseDecay {gama: 0.1}\n", "unexpected keyword argument 'gama'"),
    ],
)
def test_what_is_no_config(load, tmp_path, content, error):
    path = tmp_path / "some.yml"
    path.write_text(content)
    with pytest.raises(UserError) as refused:
        load(path, [])
    assert error in str(refused.value) and str(path) in str(refused.value)
    assert "\n" not in str(refused.value)


def test_the_config_of_another_host_is_refused(load):
    with pytest.raises(UserError, match="it has no architecture, TrainReader, metric"):
        load("upernet_mixformer_b0", [])


def test_a_config_that_is_not_there_is_refused_with_the_nearest_name(load):
    with pytest.raises(
        UserError, match="config file not found: .*nearest one is mask_rcnn_mixformer_b1_3x_coco"
    ):
        load("mask_rcnn_mixformer_b1_3x_coko", [])


def test_overrides_of_three_keys_and_of_several_flags_all_count():
    from ppcls_mixformer.paddledet import config, flags

    argv = ["-c", "x", "-o", "a.b.c=1", "-o", "a.b.d=[2]", "a.e=x"]
    overrides = flags.parser("eval").parse_args(argv).opt
    assert config.nested(overrides) == {"a": {"b": {"c": 1, "d": [2]}, "e": "x"}}


def test_classifiers_weights_are_left_out_where_a_whole_checkpoint_follows(scenes, files):
    from ppcls_mixformer.paddledet.config import settings

    arguments = command_line(scenes, DETECTOR, f"weights={files}/b0", f"MixFormer.pretrained={files}/b0")
    assert settings(arguments, "train").config["MixFormer"]["pretrained"] == f"{files}/b0"
    for mode in ("eval", "export"):
        assert settings(arguments, mode).config["MixFormer"]["pretrained"] is None


def test_annotations_of_a_metric_that_is_not_known_here_are_left_to_paddledetection(scenes, caplog):
    from ppcls_mixformer.paddledet.config import settings

    caplog.set_level(logging.WARNING, "ppcls_mixformer")
    overrides = ["metric=VOC", "num_classes=20"]
    assert settings(command_line(scenes, DETECTOR, *overrides), "train").config.metric == "VOC"
    assert "metric: VOC is none that is known here, so " in caplog.text


@pytest.mark.parametrize("schedule, epochs, milestones", [("1x", 12, [8, 11]), ("3x", 36, [27, 33])])
@pytest.mark.parametrize("variant", PUBLISHED)
def test_mask_rcnn_configs_differ_in_variant_and_schedule(load, variant, schedule, epochs, milestones):
    name, arch = f"mask_rcnn_mixformer_{variant}_{schedule}_coco", f"MixFormer_{variant.upper()}"
    config = load(name, [])
    assert (config.epoch, config["LearningRate"]["schedulers"][0].milestones) == (epochs, milestones)
    assert config.weights == f"output/{name}/model_final"
    rate = min(VARIANTS[arch].drop_path_rate, {"1x": 0.1, "3x": 0.2}[schedule])  # Swin-T's
    assert config["MixFormer"]["drop_path_rate"] == rate
    assert config["MixFormer"]["arch"] == arch and config["MixFormer"]["pretrained"] is True
    steps = {step for transform in config["TrainReader"]["sample_transforms"] for step in transform}
    assert ("RandomResizeCrop" in steps) == (schedule == "3x")


def build(load, name):
    """The network of a config, in evaluation, its optimizer and readers having been built as well."""
    from ppdet.core.workspace import create

    from ppcls_mixformer.paddledet import preflight

    config = load(name, ["MixFormer.pretrained=null", "use_gpu=false"])
    preflight.check_backbone(config["MixFormer"])
    model = create(config.architecture)
    model.eval()
    create("OptimizerBuilder")(create("LearningRate")(100), model)
    for reader in ("TrainReader", "EvalReader", "TestReader"):
        create(reader)
    return model


def parameters(model):
    """How many learn: without running statistics and tables of positions."""
    return sum(p.size for p in model.parameters() if not p.stop_gradient)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_every_config_builds(load, name):
    assert parameters(build(load, name)) > 20e6


def at_one_position(layer, channels, height=1, width=1):
    """Multiply-adds of a layer on an input of that size."""
    return multiply_adds(paddle.nn.Sequential(layer), paddle.zeros([1, channels, height, width]))


def mask_rcnn_multiply_adds(model):
    """Of one picture of 800×1280: 1000 proposals go through the box head, 100 boxes through the mask head.

    Convolutions, transposed ones as well, linear layers and the products of attention.
    """
    neck, rpn, box, mask = model.neck, model.rpn_head, model.bbox_head, model.mask_head
    positions = [height * width for height, width in PYRAMID]
    total = multiply_adds(model.backbone, {"image": paddle.zeros([1, 3, 800, 1280])})
    levels = zip(positions, model.backbone.out_dims, neck.lateral_convs, neck.fpn_convs)
    for count, channels, lateral, fpn in levels:
        total += count * (at_one_position(lateral, channels) + at_one_position(fpn, 256))
    layers = rpn.rpn_feat.rpn_conv, rpn.rpn_rois_score, rpn.rpn_rois_delta
    total += sum(positions) * sum(at_one_position(layer, 256) for layer in layers)
    total += 1000 * (at_one_position(box.head, 256, 7, 7) + 1024 * (81 + 320))  # its last two linear layers
    masks = at_one_position(mask.head, 256, 14, 14) + at_one_position(mask.mask_fcn_logits, 256, 28, 28)
    return total + 100 * masks


@pytest.mark.slow
@pytest.mark.parametrize("variant", PUBLISHED)
def test_published_size_of_mask_rcnn(load, variant):
    model = build(load, f"mask_rcnn_mixformer_{variant}_1x_coco")
    assert parameters(model) / 1e6 == pytest.approx(PUBLISHED[variant][0], abs=0.6)
    assert mask_rcnn_multiply_adds(model) / 1e9 == pytest.approx(PUBLISHED[variant][1], abs=1.5)
