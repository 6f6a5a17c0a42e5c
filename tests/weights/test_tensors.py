"""Checkpoints as `.safetensors`: written, read and converted, with every value as it was."""

import subprocess
import sys

import numpy as np
import paddle
import pytest
from stand_ins import same, save, small

from ppcls_mixformer import WeightsError
from ppcls_mixformer.convert import run_command
from ppcls_mixformer.hosting.errors import UserError
from ppcls_mixformer.weights.checkpoint import read_checkpoint

pytest.importorskip("safetensors", reason="the package safetensors is not installed")


@pytest.fixture
def source(tmp_path, published):
    save(published, tmp_path / "small.pdparams")
    return tmp_path / "small.pdparams"


def test_there_and_back_nothing_changes(source, tmp_path, capsys):
    run_command([str(source)])
    tensors = tmp_path / "small.safetensors"
    assert f"{tensors}: " in capsys.readouterr().out
    run_command([str(tensors), str(tmp_path / "back.pdparams")])
    first, second = read_checkpoint(source), read_checkpoint(tmp_path / "back.pdparams")
    assert set(first) == set(second)
    for name, value in first.items():
        assert value.dtype == second[name].dtype and np.array_equal(value, second[name]), name
    loaded = paddle.load(str(tmp_path / "back.pdparams"))
    assert all(isinstance(value, paddle.Tensor) for value in loaded.values())


def test_pretrained_takes_one(source, tmp_path, published):
    run_command([str(source)])
    assert same(small(pretrained=tmp_path / "small.safetensors"), published)


@pytest.mark.parametrize("left", [0, 4, 100, -1])
def test_a_damaged_one_is_named(source, tmp_path, left):
    run_command([str(source)])
    tensors = tmp_path / "small.safetensors"
    tensors.write_bytes(tensors.read_bytes()[:left])
    with pytest.raises(WeightsError, match=f"{tensors}: not a whole safetensors file"):
        small(pretrained=tensors)


@pytest.mark.parametrize(
    "target, message",
    [
        ("other.pdparams", "one must be .pdparams and the other .safetensors"),
        ("other.onnx", "one must be .pdparams and the other .safetensors"),
        ("none/other.safetensors", "there is no folder"),
        (".", "one must be .pdparams"),
    ],
)
def test_what_cannot_be_converted_is_named(source, tmp_path, target, message):
    with pytest.raises(UserError, match=message):
        run_command([str(source), str(tmp_path / target)])
    assert [path.name for path in tmp_path.iterdir()] == [source.name]


@pytest.mark.parametrize(
    "state",
    [
        {"__metadata__": np.ones(2, "float32")},
        {"text": np.array(["a"])},
        {5: np.ones(2, "float32")},
    ],
    ids=["a name of the format", "text", "a number as name"],
)
def test_what_the_other_format_cannot_hold_is_named(tmp_path, state):
    paddle.save(state, str(tmp_path / "odd.pdparams"))
    with pytest.raises(UserError, match=r"cannot be a \.safetensors file: "):
        run_command([str(tmp_path / "odd.pdparams")])
    assert [path.name for path in tmp_path.iterdir()] == ["odd.pdparams"]


def test_shapes_of_scalars_and_rights_of_files_stay(tmp_path):
    paddle.save({"scalar": paddle.to_tensor(1.5)}, str(tmp_path / "a.pdparams"))
    run_command([str(tmp_path / "a.pdparams")])
    assert read_checkpoint(tmp_path / "a.safetensors")["scalar"].shape == ()
    modes = {path.stat().st_mode for path in tmp_path.iterdir()}
    assert len(modes) == 1


def test_without_the_package_one_line_says_so(source):
    code = "import sys; sys.modules['safetensors'] = None; sys.argv = ['x', 'convert', %r];" % str(source)
    code += "from ppcls_mixformer.__main__ import main; main()"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    lines = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert (
        result.returncode == 1 and "pip install safetensors" in lines[0] and "Traceback" not in result.stderr
    )
