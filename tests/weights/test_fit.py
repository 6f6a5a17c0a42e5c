"""Which checkpoints fit which network, and what of them is loaded."""

import numpy as np
import paddle
import pytest
from stand_ins import SMALL, same, save, small

from ppcls_mixformer import MixFormer_B1, WeightsError
from ppcls_mixformer.weights.checkpoint import ClassifierFit, compare, read_checkpoint


def test_a_comparison_names_what_is_missing_unknown_and_of_another_shape():
    own = {"a": np.zeros(2), "b": np.zeros((2, 3)), "c": np.zeros(1)}
    theirs = {"b": np.zeros((3, 2)), "c": np.ones(1), "d": np.zeros(1)}
    assert compare(own, theirs) == ["a is missing", "d is unknown", "b is [3, 2], not [2, 3]"]
    assert compare(own, own) == []


def test_a_checkpoint_of_another_variant_is_refused_and_nothing_is_loaded(tmp_path, published):
    other = MixFormer_B1(**{**SMALL, "depths": (1, 2)})
    path = save(other.state_dict(), tmp_path / "other.pdparams")
    model = small()
    before = {name: value.numpy() for name, value in model.state_dict().items()}
    with pytest.raises(WeightsError, match=r"layers.1.blocks.1\S+ is unknown;.* and \d+ more"):
        ClassifierFit().load(model, read_checkpoint(path), path)
    save(published, path)
    with pytest.raises(WeightsError, match=r"layers.1.blocks.1\S+ is missing"):
        ClassifierFit().load(other, read_checkpoint(path), path)
    with pytest.raises(WeightsError, match=r"patch_embed\S+ is \[8, 3, 3, 3\], not \[16, 3, 3, 3\]"):
        small(embed_dim=32, pretrained=path)
    assert same(model, before)


def test_a_head_of_other_classes_is_left_out_in_one_line(tmp_path, published, caplog, recwarn):
    path = save(published, tmp_path / "x.pdparams")
    model = small(pretrained=path, class_num=3)
    loaded = {n: v for n, v in model.state_dict().items() if not n.startswith("head.")}
    assert all((value.numpy() == published[name].numpy()).all() for name, value in loaded.items())
    assert model.head.weight.shape[1] == 3
    assert [record.getMessage() for record in caplog.records] == [
        f"{path}: loaded all but the head, which has 5 classes there and 3 here"
    ]
    assert not [warning for warning in recwarn if "head" in str(warning.message)]


@pytest.mark.parametrize("shapes", [([8, 5], [5]), ([1280, 5], [4]), ([1280, 4], [5]), ([1280, 5], [5, 1])])
def test_a_head_that_differs_in_more_than_classes_is_refused(tmp_path, published, shapes):
    head = {"head.weight": paddle.zeros(shapes[0]), "head.bias": paddle.zeros(shapes[1])}
    path = save({**published, **head}, tmp_path / "x.pdparams")
    with pytest.raises(WeightsError, match="head.(weight|bias) is"):
        small(pretrained=path)


def test_any_mix_of_types_is_cast_to_the_models(tmp_path, published):
    def mixed(index, value):
        if not value.is_floating_point():
            return value.astype("int32")
        return (value, value.numpy(), value.astype("float64"), value.astype("float16"))[index % 4]

    state = {name: mixed(index, value) for index, (name, value) in enumerate(published.items())}
    model = small(pretrained=save(state, tmp_path / "x.pdparams"))
    for name, value in model.state_dict().items():
        assert value.dtype == published[name].dtype
        np.testing.assert_allclose(value.numpy(), published[name].numpy(), rtol=1e-3, atol=1e-6)


def test_a_bfloat16_checkpoint_loads(tmp_path, published):
    state = {n: v.astype("bfloat16") if v.is_floating_point() else v for n, v in published.items()}
    model = small(pretrained=save(state, tmp_path / "x.pdparams"))
    np.testing.assert_allclose(model.norm.weight.numpy(), published["norm.weight"].numpy(), rtol=1e-2)


def test_a_file_of_another_window_layout_is_refused(tmp_path, published):
    name = "layers.0.blocks.0.attn.relative_position_index"
    state = {**published, name: published[name].transpose([1, 0])}
    with pytest.raises(WeightsError, match=f"{name} is that of another window layout"):
        small(pretrained=save(state, tmp_path / "x.pdparams"))
