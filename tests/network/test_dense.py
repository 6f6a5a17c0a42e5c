"""MixFormer as a backbone: its maps, what may not learn, classifiers' checkpoints, and graphs of any size."""

import logging

import numpy as np
import paddle
import paddle.inference as inference
import pytest
from golden import images
from paddle import nn

from ppcls_mixformer import VARIANTS, MixFormer_B0, MixFormer_B1, WeightsError, zoo
from ppcls_mixformer.network.dense import DenseMixFormer
from ppcls_mixformer.weights.checkpoint import TrunkFit

# Trainable, in M: four norms instead of the head, without running statistics and tables of positions.
PARAMETERS = {"B0": 3.571, "B1": 6.278, "B2": 8.285, "B3": 14.975, "B4": 32.861, "B5": 59.428, "B6": 117.241}
SHALLOW = (1, 1, 2, 1)  # of B0's width, faster
SIZES = [(1, 64, 64), (2, 33, 47), (1, 97, 130), (3, 40, 71)]
PADDLE_3 = not paddle.__version__.startswith("2.")
TOLERANCE = 1e-5 if PADDLE_3 else 1e-4  # as in test_export


def dense(name="MixFormer_B0", **arguments):
    return DenseMixFormer(**{**VARIANTS[name].architecture(), **arguments})


def drop(rate):
    return {"drop_path_rate": rate}


def values(model, kind=""):
    """Values of the state dict's entries whose names end as `kind` says."""
    return {name: value.numpy().copy() for name, value in model.state_dict().items() if name.endswith(kind)}


def moved(model, before):
    """Names of the entries of `before` that have another value now."""
    return {name for name, value in values(model).items() if name in before and (value != before[name]).any()}


STATISTICS = ("._mean", "._variance")


@pytest.mark.parametrize("name", PARAMETERS)
def test_parameters_of_every_variant(name):
    model = dense(f"MixFormer_{name}")
    count = sum(p.size for p in model.parameters() if not p.stop_gradient) / 1e6
    assert count == pytest.approx(PARAMETERS[name], abs=5e-4)
    assert model.out_dims == [VARIANTS[f"MixFormer_{name}"].embed_dim * 2**i for i in range(4)]


@pytest.mark.parametrize("batch, height, width", SIZES)
def test_maps_are_as_large_as_their_strides_say(batch, height, width):
    model = dense()
    maps = model(images(0, batch, 3, height, width))
    assert model.out_strides == [4, 8, 16, 32]
    for out, channels, stride in zip(maps, model.out_dims, model.out_strides):
        assert out.shape == [batch, channels, -(-height // stride), -(-width // stride)]


def test_maps_are_normalised_stages():
    classifier, model = MixFormer_B0(), dense()
    TrunkFit().load(model, classifier.state_dict(), "the classifier")
    classifier.eval(), model.eval()
    for out, stage in zip(model(images(0, 2, 3, 33, 47)), classifier.forward_stages(images(0, 2, 3, 33, 47))):
        expected = nn.functional.layer_norm(stage.transpose([0, 2, 3, 1]), stage.shape[1:2])
        np.testing.assert_allclose(out.numpy(), expected.transpose([0, 3, 1, 2]).numpy(), atol=1e-5)


def test_only_the_chosen_maps_go_out():
    every, some = dense(), dense(out_indices=(1, 3))
    some.set_state_dict(every.state_dict())
    every.eval(), some.eval()
    x = images(0, 1, 3, 64, 40)
    assert (some.out_dims, some.out_strides) == ([48, 192], [8, 32])
    assert [out.numpy().tolist() for out in some(x)] == [every(x)[i].numpy().tolist() for i in (1, 3)]
    assert not [name for name in some.state_dict() if name.startswith(("norm0", "norm2"))]


@pytest.mark.parametrize("stages", [(), (3, 1), (0, 0), (4,), (-1,)])
def test_impossible_stages_are_named(stages):
    with pytest.raises(ValueError, match="out_indices must be rising stages of 0 to 3"):
        dense(out_indices=stages)
    with pytest.raises(ValueError, match="frozen_stages must be -1 to 4, got 5"):
        dense(frozen_stages=5)


@pytest.mark.parametrize(
    "frozen, prefixes",
    [
        (-1, ()),
        (0, ("patch_embed",)),
        (2, ("patch_embed", "layers.0", "layers.1")),
    ],
)
def test_frozen_stages_keep_parameters_and_statistics(frozen, prefixes):
    backbone = dense(frozen_stages=frozen)
    model = nn.Sequential(backbone)
    model.train()
    before = values(backbone, STATISTICS)
    sum(out.square().mean() for out in model(images(0, 2, 3, 64, 64))).backward()
    held = {name for name in before if prefixes and name.startswith(prefixes)}
    assert moved(backbone, before) == set(before) - held and bool(held) == (frozen >= 0)
    tables = "relative_position_index"
    for name, parameter in backbone.named_parameters():
        learns = not (prefixes and name.startswith(prefixes)) and not name.endswith((*STATISTICS, tables))
        assert (parameter.grad is not None) == learns, name


def test_norm_eval_keeps_the_statistics_and_learns():
    backbone = dense(norm_eval=True)
    model = nn.Sequential(backbone)
    model.train()
    before = values(backbone, STATISTICS)
    sum(out.square().mean() for out in model(images(0, 2, 3, 64, 64))).backward()
    assert not moved(backbone, before)
    assert backbone.patch_embed.stem[1].weight.grad is not None


def test_stochastic_depth_replaces_the_variants():
    rates = [[b.drop_path_rate for s in dense(**a).layers for b in s.blocks] for a in ({}, drop(0.3))]
    assert set(rates[0]) == {0.0}
    assert rates[1] == pytest.approx(np.linspace(0, 0.3, 15).tolist())


def test_recompute_gives_the_same_gradients():
    models = [dense(depths=SHALLOW, recompute=recompute, **drop(0.3)) for recompute in (False, True)]
    models[1].set_state_dict(models[0].state_dict())
    gradients = []
    for model in models:
        paddle.seed(0)
        sum(out.square().mean() for out in model(images(1, 2, 3, 64, 96))).backward()
        gradients.append({n: p.grad.numpy() for n, p in model.named_parameters() if p.grad is not None})
    assert gradients[0].keys() == gradients[1].keys() and "layers.3.blocks.0.attn.qkv.weight" in gradients[0]
    for name, gradient in gradients[0].items():
        np.testing.assert_allclose(gradients[1][name], gradient, rtol=1e-3, atol=1e-6, err_msg=name)


# Checkpoints


def test_a_classifiers_checkpoint_gives_the_trunk(tmp_path, caplog):
    classifier, model = MixFormer_B0(class_num=10), dense()
    path = tmp_path / "classifier.pdparams"
    paddle.save(classifier.state_dict(), str(path))
    with caplog.at_level(logging.INFO, "ppcls_mixformer.weights.checkpoint"):
        zoo.load_dense(model, "MixFormer_B0", str(path))
    theirs = values(classifier)
    trunk = {name: value for name, value in values(model).items() if not name.startswith("norm")}
    assert all((value == theirs[name]).all() for name, value in trunk.items())
    (line,) = [
        record.getMessage()
        for record in caplog.records
        if record.name == "ppcls_mixformer.weights.checkpoint"
    ]
    assert line == (
        f"{path}: used the {len(trunk)} entries of patch_embed and layers, left head, last_proj, norm; "
        "norms of the maps start anew"
    )


def refusal(model, path):
    """The one line in which a checkpoint is refused; the model is as it was."""
    before = values(model)
    with pytest.raises(WeightsError) as error:
        zoo.load_dense(model, "MixFormer_B0", str(path))
    assert len(str(error.value).splitlines()) == 1 and not moved(model, before)
    return str(error.value)


def test_what_does_not_fit_is_refused_in_one_line(tmp_path):
    path = tmp_path / "classifier.pdparams"
    model = dense()
    assert "checkpoint not found" in refusal(model, path)
    paddle.save(MixFormer_B1(class_num=10).state_dict(), str(path))
    line = refusal(model, path)
    assert f"{path} is not a checkpoint of this DenseMixFormer (embed_dim 24" in line and "not [12" in line
    path.write_bytes(path.read_bytes()[:1000])
    assert "damaged" in refusal(model, path)
    paddle.save({"epoch": 3}, str(path))
    assert "no state dict" in refusal(model, path)
    with pytest.raises(WeightsError, match="no weights were ever published for MixFormer_B0"):
        zoo.load_dense(model, "MixFormer_B0", True)


# Graphs


@pytest.fixture(scope="module")
def graph(tmp_path_factory):
    """Path of a saved graph of any batch, height and width, and the maps of every size by the network."""
    model = dense(depths=SHALLOW)
    model.eval()
    spec = paddle.static.InputSpec([None, 3, None, None], name="image")
    path = str(tmp_path_factory.mktemp("graph") / "model")
    with paddle.no_grad():
        maps = [[out.numpy() for out in model(images(0, n, 3, h, w))] for n, h, w in SIZES]
    paddle.jit.save(paddle.jit.to_static(model, input_spec=[spec], full_graph=True), path)
    return path, maps


def compare(predict, maps):
    for (batch, height, width), expected in zip(SIZES, maps):
        found = predict(images(0, batch, 3, height, width).numpy())
        for out, reference in zip(found, expected):
            np.testing.assert_allclose(out, reference, rtol=0, atol=TOLERANCE)


def test_one_graph_takes_every_size(graph):
    path, maps = graph
    model = paddle.jit.load(path)
    compare(lambda x: [out.numpy() for out in model(paddle.to_tensor(x))], maps)


@pytest.mark.parametrize("onednn", [True, False], ids=["oneDNN", "plain"])
def test_one_graph_takes_every_size_in_paddle_inference(graph, onednn):
    path, maps = graph
    config = inference.Config(f"{path}.{'json' if PADDLE_3 else 'pdmodel'}", f"{path}.pdiparams")
    config.disable_gpu()
    config.disable_glog_info()
    if onednn:
        config.enable_mkldnn()
    elif hasattr(config, "disable_mkldnn"):
        config.disable_mkldnn()
    predictor = inference.create_predictor(config)

    def predict(x):
        predictor.get_input_handle("image").copy_from_cpu(x)
        predictor.run()
        return [predictor.get_output_handle(name).copy_to_cpu() for name in predictor.get_output_names()]

    compare(predict, maps)
