"""Variants, overrides of their arguments, and their checkpoints."""

import inspect

import paddle
import pytest

import ppcls_mixformer
from ppcls_mixformer import VARIANTS, MixFormer, MixFormer_B0, WeightsError, zoo
from ppcls_mixformer.network.dense import DenseMixFormer


@pytest.mark.parametrize("resolve, network", [(zoo.resolve, MixFormer), (zoo.resolve_dense, DenseMixFormer)])
def test_b0_is_what_a_network_without_arguments_is(resolve, network):
    parameters = inspect.signature(network).parameters.values()
    assert resolve("MixFormer_B0") == {p.name: p.default for p in parameters}


def test_overrides_replace_a_variants_arguments():
    arguments = zoo.resolve("MixFormer_B4", drop_path_rate=0.3, class_num=7)
    assert arguments["drop_path_rate"] == 0.3 and arguments["class_num"] == 7
    assert arguments["depths"] == VARIANTS["MixFormer_B4"].depths
    assert VARIANTS["MixFormer_B4"].drop_path_rate == 0.2


def test_a_dense_network_keeps_the_variants_stochastic_depth_unless_told():
    assert zoo.resolve_dense("MixFormer_B4")["drop_path_rate"] == 0.2
    assert zoo.resolve_dense("MixFormer_B4", drop_path_rate=None)["drop_path_rate"] == 0.2
    assert zoo.resolve_dense("MixFormer_B4", drop_path_rate=0.0)["drop_path_rate"] == 0.0


@pytest.mark.parametrize("resolve", [zoo.resolve, zoo.resolve_dense])
def test_an_unknown_argument_is_named_with_the_nearest(resolve):
    with pytest.raises(TypeError, match="^embed_dmi is not an argument of MixFormer_B0; .*embed_dim"):
        resolve("MixFormer_B0", embed_dmi=24)


@pytest.mark.parametrize("resolve", [zoo.resolve, zoo.resolve_dense])
def test_an_impossible_argument_is_named(resolve):
    with pytest.raises(ValueError, match=r"num_heads\[0\]=3 does not divide 16"):
        resolve("MixFormer_B1", num_heads=(3, 6, 12, 24))
    with pytest.raises(ValueError, match="MixFormer_B9 is not a variant of MixFormer"):
        resolve("MixFormer_B9")


def test_arguments_of_one_network_only_are_checked():
    with pytest.raises(ValueError, match="class_num must be a positive integer, got 0"):
        zoo.resolve("MixFormer_B0", class_num=0)
    with pytest.raises(ValueError, match="frozen_stages must be -1 to 4, got 5"):
        zoo.resolve_dense("MixFormer_B0", frozen_stages=5)
    with pytest.raises(TypeError, match="class_num is not an argument"):
        zoo.resolve_dense("MixFormer_B0", class_num=10)


def test_builders_take_overrides_alike():
    assert MixFormer_B0(class_num=3, embed_dim=48).head.weight.shape == [1280, 3]
    with pytest.raises(TypeError, match="embed_dmi"):
        MixFormer_B0(embed_dmi=24)


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
