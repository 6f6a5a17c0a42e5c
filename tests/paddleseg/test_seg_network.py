"""The segmentation network and its backbone: shapes, weights, published sizes, and the ADE20K recipe."""

import re

import numpy as np
import paddle
import pytest
from paddle import nn
from segmentation import CONFIG, build, noise

from benchmarks.flops import multiply_adds
from ppcls_mixformer import MixFormer_B0
from ppcls_mixformer.hosting.errors import UserError
from ppcls_mixformer.hosting.patches import replaced

# Parameters in M and GFLOPs of the published table.
PUBLISHED = {"b1": (35, 854), "b2": (37, 859), "b3": (44, 880), "b4": (63, 918)}


def ade20k(variant):
    return f"configs/ADE20K/upernet_mixformer_{variant}_ade20k_512x512_160k.yml"


def test_logits_have_the_size_of_the_picture(host):
    model = build().model
    x = paddle.to_tensor(noise((2, 3, 33, 50)))
    assert [logits.shape for logits in model(x)] == [[2, 8, 33, 50]] * 2
    model.eval()
    assert [logits.shape for logits in model(x)] == [[2, 8, 33, 50]]


@pytest.mark.parametrize("size", [(24, 20), (9, 31), (5, 3), (24, 1), (1, 1)])
@pytest.mark.parametrize("shape", [(2, 4, 12, 10), (1, 3, 1, 1), (1, 3, 128, 2)])
def test_resizing_by_products_is_resizing(host, shape, size):
    from ppcls_mixformer.paddleseg.upernet import resize_by_products

    x = paddle.to_tensor(noise(shape))
    expected = paddle.nn.functional.interpolate(x, size, mode="bilinear").numpy()
    np.testing.assert_allclose(resize_by_products(x, size).numpy(), expected, rtol=0, atol=1e-6)


def test_backbone_starts_from_a_classifier(host, tmp_path):
    classifier = MixFormer_B0(class_num=3)
    path = tmp_path / "classifier.pdparams"
    paddle.save(classifier.state_dict(), str(path))
    model = build(CONFIG, f"model.backbone.pretrained={path}").model
    stem = model.backbone.patch_embed.proj.weight
    assert (stem.numpy() == classifier.patch_embed.proj.weight.numpy()).all()
    settings = (f"model.backbone.pretrained={path}", "model.backbone.arch=MixFormer_B1")
    with pytest.raises(UserError, match="MixFormer: .*classifier.* is not a checkpoint of this MixFormer"):
        assert build(CONFIG, *settings).model


@pytest.mark.parametrize(
    "setting, text",
    [
        ("pretrained=nowhere", "checkpoint not found: nowhere"),
        ("arch=MixFormer_B9", "MixFormer_B9 is not a variant"),
        ("drop_path=0.1", "drop_path is not an argument of MixFormer; did you mean drop_path_rate?"),
        ("frozen_stages=9", "frozen_stages must be -1 to 4"),
    ],
)
def test_wrong_arguments_of_the_backbone_are_named(host, setting, text):
    with pytest.raises(UserError, match=re.escape(text)):
        assert build(CONFIG, f"model.backbone.{setting}").model


def without_products(layer, x):
    """Instead of a convolution's output, zeros of the same shape."""
    stride, kernel = layer._stride[0], layer.weight.shape[2]
    padding = layer._padding if isinstance(layer._padding, int) else layer._padding[0]
    size = [(side + 2 * padding - kernel) // stride + 1 for side in x.shape[2:]]
    return paddle.zeros([x.shape[0], layer.weight.shape[0], *size])


@pytest.mark.slow
@pytest.mark.parametrize("variant", PUBLISHED)
def test_published_size(host, variant):
    """Multiply-adds at 512×2048 without the auxiliary head; parameters with it, and with buffers."""
    params, gflops = PUBLISHED[variant]
    model = build(ade20k(variant)).model
    assert sum(v.size for v in model.state_dict().values()) / 1e6 == pytest.approx(params, abs=0.6)
    model.eval()
    with replaced(nn.Conv2D, "forward", without_products):
        counted = multiply_adds(model, paddle.zeros([1, 3, 512, 2048])) / 1e9
    assert counted == pytest.approx(gflops, abs=1.5)


def test_ade20k_configs_differ_in_the_variant_only(host):
    from ppcls_mixformer.paddleseg.config import load

    contents = {variant: load(ade20k(variant), []).dic for variant in PUBLISHED}
    for variant, content in contents.items():
        assert content["model"]["backbone"].pop("arch") == f"MixFormer_{variant.upper()}"
        assert content == contents["b1"]


@pytest.fixture(scope="module")
def recipe(host, scenes):
    """Builder for the ADE20K recipe, on the scenes, which are data of fewer classes."""
    return build(ade20k("b1"), *(f"{split}_dataset.dataset_root={scenes}" for split in ("train", "val")))


def test_ade20k_recipe_warms_up_and_decays_to_zero(recipe):
    schedule, rates = recipe.lr_scheduler, {}
    for step in (0, 750, 1500, 80750, 160000):
        schedule.step(step)
        rates[step] = schedule.last_lr
    expected = {0: 6e-11, 750: 3e-5, 1500: 6e-5, 80750: 3e-5, 160000: 0.0}
    assert rates == pytest.approx(expected, rel=1e-3, abs=1e-12)


@pytest.mark.slow
def test_ade20k_recipe_decays_all_but_norms_and_position_biases(recipe):
    model, optimizer = recipe.model, recipe.optimizer
    start = {name: p.numpy() for name, p in model.named_parameters()}
    for parameter in model.parameters():
        parameter.grad = paddle.zeros_like(parameter)
    optimizer.set_lr_scheduler(paddle.optimizer.lr.LambdaDecay(1.0, lambda _: 1.0))
    optimizer.step()
    learning = {n: p for n, p in model.named_parameters() if not p.stop_gradient and start[n].any()}
    decays = {n: (p.numpy() != start[n]).any() for n, p in learning.items()}
    for name, decayed in decays.items():
        assert decayed == ("norm" not in name and "relative_position_bias_table" not in name), name


def test_ade20k_recipe_crops_to_512_and_evaluates_whole_pictures(recipe):
    sample = recipe.train_dataset[0]
    assert sample["img"].shape == (3, 512, 512) and sample["label"].shape == (512, 512)
    assert set(np.unique(sample["label"])) <= {*range(8), 255}
    height, width = recipe.val_dataset[0]["img"].shape[1:]
    assert min(height, width) == 512 or max(height, width) == 2048
