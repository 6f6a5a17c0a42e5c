"""Maps over pictures: what lies where, and how much of the picture is left."""

import numpy as np
import pytest

from ppcls_mixformer.hosting.errors import UserError
from ppcls_mixformer.understand import heat, lettering, saliency


def test_a_map_lies_where_its_positions_are_and_what_is_padding_is_cut_off():
    values = np.zeros((4, 5), "float32")
    values[1, 3] = 1
    found = heat.enlarged(values, 8, (30, 37))
    assert found.shape == (30, 37)
    row, column = np.unravel_index(found.argmax(), found.shape)
    assert 8 <= row < 16 and 24 <= column < 32
    assert found[:4].max() == found[24:].max() == 0


def test_a_picture_shines_through_where_it_is_cool():
    picture = np.full((2, 2, 3), 200, "uint8")
    drawn = heat.over(picture, np.array([[0, 1], [0, 0.5]]))
    assert (drawn[:, 0] == 200).all() and (drawn[:, 1] != 200).any(axis=1).all()
    nothing = heat.of_grad_cam(picture, np.zeros((1, 1), "float32"), 2)
    assert (nothing == picture).all()
    assert (heat.of_map(picture, np.full((1, 1), 0.7, "float32"), 2) == picture).all()


def test_rounding_is_not_blown_up_to_a_map():
    values = np.full((3, 3), 0.5, "float32")
    values[1, 1] += 1e-6
    assert not heat.to_unit(values).any()
    values[1, 1] += 1e-3
    assert heat.to_unit(values).max() == 1
    picture = np.full((6, 6, 3), 200, "uint8")
    assert (heat.of_map(picture, values, 2) != picture).any()
    values[1, 1] = 0.5004  # which the sheet shows as 0.500, as the others
    assert (heat.of_map(picture, values, 2) == picture).all()


def test_beyond_its_window_attention_says_nothing():
    picture = np.full((64, 64, 3), 200, "uint8")
    weights = np.zeros((1, 1, 4, 4), "float32")
    weights[..., 0, 0] = 1
    window = saliency.Window(4, 8, weights, np.zeros(1))
    drawn = heat.of_window(picture, window, weights[0, 0], 4)
    inside = drawn[16:32, 32:48]
    outside = np.delete(np.delete(drawn, slice(16, 32), axis=0), slice(32, 48), axis=1)
    assert (outside == 70).all() and (inside[8:, 8:] == 200).all() and (inside[0, 0] != 200).any()


def test_small_pictures_are_enlarged_and_others_left_alone():
    picture, times = heat.legible(np.zeros((28, 20, 3), "uint8"))
    assert (picture.shape, times) == ((224, 160, 3), 8)
    picture, times = heat.legible(np.zeros((224, 300, 3), "uint8"))
    assert (picture.shape, times) == ((224, 300, 3), 1)


def test_names_are_shown_in_letters_that_fonts_have():
    assert lettering.shown("digit 1", 1) == "digit 1"
    assert lettering.shown("ⵣ\U0001f600\U000e0001", 7) == "class 7"
    assert len(lettering.shown("a" * 99, 1)) == lettering.LONGEST
    assert lettering.shown("part of a machine, number 21", 1) == "part of a ma…number 21"


def test_what_is_not_installed_is_named_by_its_package():
    heat.require("report", "numpy")
    with pytest.raises(UserError, match="report needs no_such_module: pip install no_such_module"):
        heat.require("report", "numpy", "no_such_module")
