"""The network against the golden files of the published architecture, and its contract."""

import json
import re

import numpy as np
import paddle
import pytest
from golden import GOLDEN, golden_model, images

import ppcls_mixformer
from benchmarks.flops import multiply_adds
from ppcls_mixformer import VARIANTS, MixFormer, MixFormer_B0, WeightsError
from ppcls_mixformer.network import mixformer


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("eval_*.npz")), ids=lambda p: p.stem)
def test_evaluation_is_the_published_architecture(path):
    variant, height, width = re.fullmatch(r"eval_(B\d)_(\d+)x(\d+)", path.stem).groups()
    model, golden = golden_model(f"MixFormer_{variant}"), np.load(path)
    model.eval()
    x = images(0, 2, 3, int(height), int(width))
    with paddle.no_grad():
        np.testing.assert_allclose(model(x).numpy(), golden["logits"], atol=1e-4, rtol=0)
        np.testing.assert_allclose(model.forward_features(x).numpy(), golden["pooled"], atol=1e-4, rtol=0)
        for i, stage in enumerate(model.forward_stages(x)):
            stage = stage.numpy()
            assert list(stage.shape) == list(golden[f"stage{i}_shape"])
            np.testing.assert_allclose(stage.mean((2, 3)), golden[f"stage{i}_mean"], atol=1e-4)
            np.testing.assert_allclose(stage.std((2, 3)), golden[f"stage{i}_std"], atol=1e-4)
            np.testing.assert_allclose(stage[:, :8, -3:, -3:], golden[f"stage{i}_corner"], atol=1e-4)


def test_training_is_the_published_architecture():
    golden = json.loads((GOLDEN / "train_B0_128x128.json").read_text())
    model = golden_model("MixFormer_B0")
    labels = paddle.to_tensor(np.arange(8) * 7 % 1000)
    loss = paddle.nn.functional.cross_entropy(model(images(1, 8, 3, 128, 128)), labels)
    loss.backward()
    assert float(loss) == pytest.approx(golden["loss"], abs=1e-4)
    largest = max(golden["grad_norm"].values())
    gradients = {
        n: np.linalg.norm(p.grad.numpy()) for n, p in model.named_parameters() if not p.stop_gradient
    }
    assert gradients.keys() == golden["grad_norm"].keys()
    for name, norm in golden["grad_norm"].items():
        if norm >= 1e-4 * largest:
            assert gradients[name] == pytest.approx(norm, rel=1e-2), name
    state = model.state_dict()
    for name, total in golden["bn_sum_after_step"].items():
        assert float(state[name].numpy().sum()) == pytest.approx(total, abs=1e-3, rel=1e-4), name


@pytest.mark.parametrize("name", ["B0", "B4"])
def test_state_dict_is_that_of_the_published_checkpoints(name):
    state = getattr(ppcls_mixformer, f"MixFormer_{name}")().state_dict()
    lines = {f"{k} {'x'.join(map(str, v.shape))} {str(v.dtype).split('.')[-1]}" for k, v in state.items()}
    assert lines == set((GOLDEN / f"state_dict_{name}.txt").read_text().split("\n")[:-1])


@pytest.mark.parametrize("name", VARIANTS)
def test_every_variant_builds_with_the_published_size(name):
    model = getattr(ppcls_mixformer, name)()
    count = sum(p.size for p in model.parameters() if not p.stop_gradient) / 1e6
    assert count == pytest.approx(VARIANTS[name].params, abs=0.1)


def test_any_size_on_one_instance_and_no_parameter_without_gradient():
    model = MixFormer_B0(class_num=5)
    state = set(vars(model))
    for height, width in ((32, 32), (33, 47), (64, 40), (32, 32)):
        stages = model.forward_stages(paddle.randn([2, 3, height, width]))
        assert [s.shape[2] for s in stages] == [-(-height // s) for s in (4, 8, 16, 32)]
        logits = model(paddle.randn([2, 3, height, width]))
        assert logits.shape == [2, 5]
    logits.sum().backward()
    assert not [n for n, p in model.named_parameters() if not p.stop_gradient and p.grad is None]
    assert set(vars(model)) == state


def test_stochastic_depth_drops_whole_samples_in_training_only():
    x = paddle.ones([64, 2, 2, 3])
    dropped = mixformer.drop_path(x, 0.5, training=True).numpy().reshape(64, -1)
    assert set(np.unique(dropped)) == {0.0, 2.0} and (dropped.std(1) == 0).all()
    assert mixformer.drop_path(x, 0.5, training=False) is x


def test_swapped_axes_are_no_view_where_views_are_slow():
    x, weights = images(2, 3, 5, 4), images(3, 3, 4, 5)
    x.stop_gradient = False
    swapped = mixformer.swap(x)
    (swapped * weights).sum().backward()
    np.testing.assert_array_equal(swapped.numpy(), x.numpy().transpose(0, 2, 1))
    np.testing.assert_array_equal(x.grad.numpy(), weights.numpy().transpose(0, 2, 1))
    assert swapped.is_contiguous() == mixformer.SLOW_VIEWS


def test_crop_is_the_inverse_of_pad():
    layout, x = mixformer.window_layout(5, 9, 7, heads=2), images(0, 2, 5 * 9, 4)
    padded = mixformer.pad(x, layout.size, layout.padded)
    assert padded.shape == [2, 7 * 14, 4]
    assert np.count_nonzero(padded.numpy()) == x.size
    np.testing.assert_array_equal(mixformer.crop(padded, layout).numpy(), x.numpy())


@pytest.mark.parametrize("frozen", [(), ("weight",), ("bias",), ("weight", "bias"), ("x",)])
def test_linear_has_the_outputs_and_gradients_of_paddles_own(frozen):
    x, layer = images(2, 3, 5, 4), mixformer.Linear(4, 6)
    wanted = paddle.nn.functional.linear
    results = []
    for function in (layer, lambda x: wanted(x, layer.weight, layer.bias)):
        tensors = {"x": x.detach(), "weight": layer.weight, "bias": layer.bias}
        for name, tensor in tensors.items():
            tensor.stop_gradient = name in frozen
            tensor.clear_grad()
        output = function(tensors["x"])
        if not output.stop_gradient:
            (output * images(3, 3, 5, 6)).sum().backward()
        results.append({n: t.grad.numpy() for n, t in tensors.items() if n not in frozen} | {"": output})
    for name, value in results[0].items():
        np.testing.assert_allclose(value, results[1][name], rtol=1e-5, atol=1e-5, err_msg=name)


@pytest.mark.parametrize(
    "arguments, text",
    [
        ({"class_num": 0}, "class_num"),
        ({"num_heads": (5, 6, 12, 24)}, r"num_heads\[0\]=5 does not divide 12"),
        ({"depths": (1, 2)}, "depths and num_heads"),
        ({"drop_path_rate": 1.0}, "drop_path_rate"),
        ({"embed_dim": 25}, "embed_dim"),
    ],
)
def test_impossible_arguments_are_named(arguments, text):
    with pytest.raises(ValueError, match=text):
        MixFormer_B0(**arguments)


def test_unknown_arguments_are_named():
    with pytest.raises(TypeError, match="embed_dmi"):
        MixFormer_B0(embed_dmi=24)
    with pytest.raises(ValueError, match="built for 3 input channels"):
        MixFormer(class_num=2)(paddle.zeros([1, 4, 32, 32]))


def test_checkpoints_load_strictly_but_for_the_head(tmp_path, caplog):
    path = tmp_path / "b0.pdparams"
    trained = MixFormer_B0(class_num=7)
    paddle.save(trained.state_dict(), str(path))
    same = MixFormer_B0(pretrained=str(path), class_num=7)
    assert all((v.numpy() == same.state_dict()[k].numpy()).all() for k, v in trained.state_dict().items())
    other = MixFormer_B0(pretrained=path, class_num=3)
    assert "head" in caplog.text and (other.norm.weight.numpy() == trained.norm.weight.numpy()).all()
    with pytest.raises(WeightsError, match="is not a checkpoint of this MixFormer"):
        ppcls_mixformer.MixFormer_B1(pretrained=path)
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(WeightsError, match="damaged"):
        MixFormer_B0(pretrained=path)
    with pytest.raises(WeightsError, match="not found"):
        MixFormer_B0(pretrained=tmp_path / "none")
    with pytest.raises(WeightsError, match="no weights were ever published for MixFormer_B0"):
        MixFormer_B0(pretrained=True)


@pytest.mark.parametrize("name", VARIANTS)
def test_every_variant_has_the_published_flops(name):
    model = getattr(ppcls_mixformer, name)()
    model.eval()
    gflops = multiply_adds(model, paddle.zeros([1, 3, 224, 224])) / 1e9
    # The published numbers are up to 0.14 higher than this rule gives, whatever theirs is.
    assert VARIANTS[name].gflops - 0.15 < gflops < VARIANTS[name].gflops + 0.05


def test_paddles_own_counter_knows_the_linear_layers():
    ours, paddles = (paddle.nn.Sequential(layer(4, 6)) for layer in (mixformer.Linear, paddle.nn.Linear))
    assert paddle.flops(ours, [1, 5, 4]) == paddle.flops(paddles, [1, 5, 4]) > 0
