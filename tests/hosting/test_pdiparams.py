"""Exported programs that are cut off, as by a full disk, which Paddle neither says nor sees."""

import struct

import paddle
import pytest

from ppcls_mixformer.hosting.errors import UserError
from ppcls_mixformer.hosting.inference import find_program, predictor
from ppcls_mixformer.hosting.pdiparams import check_program, length

CUTS = [0, 1, 3, 11, 20, 1000, 0.5, -1]  # bytes that are left, or their share


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    folder = tmp_path_factory.mktemp("saved")
    net = paddle.nn.Sequential(
        paddle.nn.Conv2D(3, 64, 3), paddle.nn.BatchNorm2D(64), paddle.nn.Flatten(), paddle.nn.Linear(64, 5)
    )
    net.eval()
    graph = paddle.jit.to_static(net, input_spec=[paddle.static.InputSpec([None, 3, 3, 3])], full_graph=True)
    paddle.jit.save(graph, str(folder / "inference"))
    return folder


@pytest.fixture
def export(saved, tmp_path):
    for file in saved.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    return find_program(tmp_path)


def cut(path, left):
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * left) if isinstance(left, float) else left])


def test_a_whole_export_is_accepted(export):
    parameters = export.with_suffix(".pdiparams")
    assert length(parameters) == (parameters.stat().st_size, 8)
    check_program(export)


@pytest.mark.parametrize("left", CUTS)
def test_parameters_that_are_cut_off(export, left):
    cut(export.with_suffix(".pdiparams"), left)
    with pytest.raises(UserError, match=r"inference\.pdiparams is cut off after .*: the disk was full"):
        predictor(export)


def test_parameters_that_are_cut_off_after_a_whole_tensor(export):
    if export.suffix != ".json":
        pytest.skip("Paddle 2's program does not say how many there are")
    parameters = export.with_suffix(".pdiparams")
    content = parameters.read_bytes()
    (described,) = struct.unpack("<i", content[16:20])
    first = 20 + described + 4 * 64  # the tensors are in the order of their names, a vector of 64 first
    parameters.write_bytes(content[:first])
    assert length(parameters) == (first, 1)
    with pytest.raises(UserError, match="is cut off after"):
        predictor(export)


def test_parameters_that_are_no_parameters(export):
    for content in (b"\0" * 4 + struct.pack("<Q", 1) + struct.pack("<Q", 2**62), b"x" * 100):
        export.with_suffix(".pdiparams").write_bytes(content)
        with pytest.raises(UserError, match="is cut off after"):
            predictor(export)


def test_parameters_that_are_not_there(export):
    export.with_suffix(".pdiparams").unlink()
    with pytest.raises(UserError, match=r"has no inference\.pdiparams beside it"):
        predictor(export)


@pytest.mark.parametrize("left", [0, 0.5, -1])
def test_a_program_that_is_cut_off(export, left):
    if export.suffix != ".json" and left:
        pytest.skip("Paddle 2 writes its program by Python, which says when a disk is full")
    cut(export, left)
    with pytest.raises(UserError, match="is cut off or no program"):
        predictor(export)


@pytest.mark.skipif(paddle.__version__.startswith("2."), reason="Paddle 2 was not seen to do so")
def test_paddle_itself_takes_parameters_that_are_cut_off(export):
    """Why they are looked at here; once this fails, they need not be."""
    cut(export.with_suffix(".pdiparams"), -1)
    config = paddle.inference.Config(str(export), str(export.with_suffix(".pdiparams")))
    config.disable_gpu()
    paddle.inference.create_predictor(config)
