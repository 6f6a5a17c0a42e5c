"""Checkpoint files at a path: found, and read whoever wrote them."""

import pickle

import pytest
from stand_ins import HTML, same, save, small

from ppcls_mixformer import WeightsError


def test_a_path_with_and_without_suffix_and_with_the_home_folder(tmp_path, monkeypatch, published):
    monkeypatch.setenv("HOME", str(tmp_path))
    save(published, tmp_path / "best.model.pdparams")
    (tmp_path / "best.model").mkdir()  # a folder of the same name does not stand in the way
    for path in ("~/best.model", "~/best.model.pdparams", tmp_path / "best.model", f"{tmp_path}/best.model"):
        assert same(small(pretrained=path), published), path


def test_what_is_not_there_or_no_path_is_named(tmp_path, published):
    save(published, tmp_path / "latest.pdparams")
    with pytest.raises(WeightsError, match=rf"{tmp_path} is a folder.*\(latest.pdparams\)"):
        small(pretrained=tmp_path)
    (tmp_path / "none").mkdir()
    with pytest.raises(WeightsError, match="is a folder.*it holds no .pdparams"):
        small(pretrained=f"{tmp_path}/none/")
    for path in (tmp_path / "lates", "~nobody-of-that-name/latest", "no/such/folder"):
        with pytest.raises(WeightsError, match=f"checkpoint not found: {path}"):
            small(pretrained=path)
    with pytest.raises(WeightsError, match="path of a checkpoint, got 1"):
        small(pretrained=1)


@pytest.mark.parametrize("number", ["nan", "inf"])
def test_a_run_that_diverged_is_named(tmp_path, published, number):
    name = "head.bias"
    state = {**published, name: published[name] * float(number)}
    save(state, tmp_path / "bad.pdparams")
    with pytest.raises(WeightsError, match=r"bad holds NaN or infinite numbers, in head\.bias: "):
        small(pretrained=tmp_path / "bad")


def test_a_file_that_is_no_checkpoint_is_named(tmp_path, body):
    path = tmp_path / "x.pdparams"
    for content in (b"", body[:2000], body[:-1], HTML, bytes(500)):
        path.write_bytes(content)
        with pytest.raises(WeightsError, match=f"{path}: not a whole Paddle checkpoint.*delete it"):
            small(pretrained=path)


@pytest.mark.parametrize("layout", ["names", "numpy", "pairs"])
def test_every_layout_that_paddle_2_and_3_write_loads(tmp_path, published, layout):
    arrays = {name: value.numpy() for name, value in published.items()}
    names = {name: f"linear_{index}.w_0" for index, name in enumerate(arrays)}
    state = {
        "names": {**arrays, "StructuredToParameterName@@": names},
        "numpy": arrays,
        "pairs": {name: (names[name], value) for name, value in arrays.items()},
    }[layout]
    path = tmp_path / "x.pdparams"
    path.write_bytes(pickle.dumps(state, protocol=4))
    assert same(small(pretrained=path), published)


def test_a_file_that_holds_something_else_is_named(tmp_path, published):
    path = tmp_path / "x.pdparams"
    save({"epoch": 3, "state_dict": published}, path)
    with pytest.raises(
        WeightsError, match=f"{path} .*no tensors under epoch, state_dict; .*'state_dict' alone"
    ):
        small(pretrained=path)
    save({**published, "epoch": 3}, path)
    with pytest.raises(WeightsError, match=f"{path} holds no state dict: no tensors under epoch$"):
        small(pretrained=path)
    save([1, 2], path)
    with pytest.raises(WeightsError, match="holds no state dict, but a list"):
        small(pretrained=path)
    save({}, path)
    with pytest.raises(WeightsError, match="is missing"):
        small(pretrained=path)
