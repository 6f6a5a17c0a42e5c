"""Weights in a network with attention windows of another side."""

import numpy as np
import paddle
import pytest
from golden import images
from stand_ins import save, small

from ppcls_mixformer.weights import windows
from ppcls_mixformer.weights.checkpoint import ClassifierFit

TABLE = "layers.0.blocks.0.attn.relative_position_bias_table"


@pytest.mark.parametrize("side", [4, 12])
def test_position_biases_are_interpolated(tmp_path, published, caplog, side):
    path = save(published, tmp_path / "x.pdparams")
    model = small(pretrained=path, window_size=side)
    assert f"of 7×7 windows were interpolated to {side}×{side}" in caplog.text
    own = small(window_size=side).state_dict()
    for name, value in model.state_dict().items():
        if name.endswith(windows.INDEX):
            assert (value.numpy() == own[name].numpy()).all()
        elif not name.endswith(windows.TABLE):
            assert (value.numpy() == published[name].numpy()).all(), name
    assert model(images(0, 1, 3, 64, 64)).shape == [1, 5]


def test_a_plane_of_biases_stays_one():
    rows, columns = np.mgrid[-6:7, -6:7].astype("float32")
    table = (2 * rows + columns).reshape(-1, 1)
    found = windows.interpolated(table, 12).numpy().reshape(23, 23)
    assert np.isclose(found[11, 11], 0, atol=1e-5)
    steps = np.arange(-11, 12) * 13 / 23
    expected = 2 * steps[:, None] + steps
    inner = slice(3, -3)  # at the borders nothing is known beyond
    np.testing.assert_allclose(found[inner, inner], expected[inner, inner], atol=0.2)
    assert windows.interpolated(table.astype("float16"), 8).dtype == paddle.float16


def test_windows_of_the_same_side_are_untouched(published):
    assert windows.resized(published, published) is published
    assert windows.side_of(published) == 7 and windows.side_of({}) is None


def test_a_table_that_is_no_square_is_refused(published):
    state = {**published, TABLE: published[TABLE][:-1]}
    with pytest.raises(ValueError, match=rf"{TABLE} is \[168, 1\], not \[529, 1\]"):
        ClassifierFit().check(small(window_size=12), state, "it")
