"""Windows of a map, and grids that are kept from one forward pass to the next."""

import copy

import numpy as np
import paddle
import pytest
from golden import images

from ppcls_mixformer import MixFormer
from ppcls_mixformer.network import ops, windows
from ppcls_mixformer.network.windows import WindowGrid, window_grid

PADDLE_3 = not paddle.__version__.startswith("2.")


@pytest.fixture(autouse=True)
def nothing_kept():
    windows._build_once.cache_clear()


@pytest.fixture(params=[True, False], ids=["gathered", "transposed"])
def either_form(request, monkeypatch):
    monkeypatch.setattr(ops, "gathers", lambda: request.param)


def test_crop_is_the_inverse_of_pad(either_form):
    grid, x = window_grid((5, 9), 7, heads=2), images(0, 2, 5 * 9, 4)
    padded = grid.pad(x)
    assert grid.padded == (7, 14) and padded.shape == [2, 7 * 14, 4]
    assert np.count_nonzero(padded.numpy()) == x.size
    np.testing.assert_array_equal(grid.crop(padded).numpy(), x.numpy())


def test_whole_windows_are_neither_padded_nor_cropped():
    grid, x = window_grid((7, 14), 7, heads=2), images(0, 2, 7 * 14, 4)
    assert grid.pad(x) is x and grid.crop(x) is x


def test_every_head_of_every_window_gets_its_queries_keys_and_values(either_form):
    heads, depth, (height, width) = 3, 4, (4, 6)
    grid = window_grid((height, width), 2, heads)
    x = images(0, 2, height * width, 3 * heads * depth)
    maps = x.numpy().reshape(
        2, 2, 2, 3, 2, 3, heads, depth
    )  # N, rows, side, columns, side, part, head, depth
    expected = maps.transpose(5, 0, 1, 3, 6, 2, 4, 7).reshape(3, 2 * 2 * 3, heads, 4, depth)
    for part, wanted in zip(grid.split(x), expected):
        np.testing.assert_array_equal(part.numpy(), wanted)


def test_merge_is_the_inverse_of_split(either_form):
    grid, x = window_grid((14, 7), 7, heads=2), images(0, 3, 14 * 7, 3 * 8)
    merged = [grid.merge(part).numpy() for part in grid.split(x)]
    np.testing.assert_array_equal(np.concatenate(merged, axis=-1), x.numpy())


@pytest.mark.parametrize("size", [(14, 14), (6, 10)])
def test_both_forms_have_the_same_results_and_gradients(size, monkeypatch):
    found = []
    for gathered in (True, False):
        monkeypatch.setattr(ops, "gathers", lambda gathered=gathered: gathered)
        grid, x = window_grid(size, 7, heads=2), images(0, 2, size[0] * size[1], 3 * 8)
        x.stop_gradient = False
        merged = paddle.concat([grid.merge(part) for part in grid.split(grid.pad(x))], axis=-1)
        out = windows.patches(grid.crop(merged), size)
        (out * images(1, *out.shape)).sum().backward()
        found.append((out.numpy(), x.grad.numpy()))
    for gathered, transposed in zip(*found):
        np.testing.assert_array_equal(transposed, gathered)


def test_patches_hold_two_by_two_positions(either_form):
    x = images(0, 2, 4 * 6, 3)
    maps = x.numpy().reshape(2, 2, 2, 3, 2, 3)
    expected = maps.transpose(0, 1, 3, 2, 4, 5).reshape(2, 6, 12)
    np.testing.assert_array_equal(windows.patches(x, (4, 6)).numpy(), expected)


def test_a_grid_is_built_once():
    assert window_grid((5, 9), 7, 2) is window_grid([5, 9], 7, 2)
    others = [window_grid((9, 5), 7, 2), window_grid((5, 9), 4, 2), window_grid((5, 9), 7, 4)]
    assert len({id(grid) for grid in [window_grid((5, 9), 7, 2), *others]}) == 4


def test_a_grid_belongs_to_one_device(monkeypatch):
    first = window_grid((5, 9), 7, 2)
    monkeypatch.setattr(paddle, "get_device", lambda: "another")
    assert window_grid((5, 9), 7, 2) is not first


def test_few_grids_are_kept():
    for height in range(1, 100):
        window_grid((height, 1), 7, 1)
    assert windows._build_once.cache_info().currsize == windows._build_once.cache_info().maxsize <= 50


def test_no_size_of_a_traced_graph_is_kept():
    sides = paddle.to_tensor(5), paddle.to_tensor(9)
    assert window_grid(sides, 7, 2) is not window_grid(sides, 7, 2)
    assert windows._build_once.cache_info().currsize == 0


def test_static_graphs_keep_nothing():
    paddle.enable_static()
    try:
        with paddle.static.program_guard(paddle.static.Program()):
            assert isinstance(window_grid((5, 9), 7, 2), WindowGrid)
    finally:
        paddle.disable_static()
    assert windows._build_once.cache_info().currsize == 0


SMALL = {"class_num": 5, "embed_dim": 16, "depths": (1, 1), "num_heads": (2, 4)}


def training_step(model, x):
    """Loss and two gradients of the network in training mode."""
    model.train()
    loss = model(x).square().mean()
    loss.backward()
    gradients = [p.grad.numpy() for p in (model.head.weight, model.patch_embed.proj.weight)]
    model.clear_gradients()
    return [float(loss), *gradients]


def test_grids_built_without_gradients_serve_training():
    model, x = MixFormer(**SMALL), images(0, 2, 3, 40, 72)
    expected = training_step(model, x)
    windows._build_once.cache_clear()
    with paddle.no_grad():
        model(x)
    built = windows._build_once.cache_info().misses
    for found, wanted in zip(training_step(model, x), expected):
        np.testing.assert_array_equal(found, wanted)
    assert built and windows._build_once.cache_info().misses == built


@pytest.mark.parametrize(
    "full_graph",
    [pytest.param(True, id="whole graph"), pytest.param(False, id="broken graphs", marks=pytest.mark.slow)],
)
@pytest.mark.parametrize("graph_first", [True, False], ids=["graph first", "network first"])
def test_a_traced_network_and_one_that_is_not_do_not_disturb_each_other(full_graph, graph_first):
    if not PADDLE_3 and not full_graph:
        pytest.skip("Paddle 2.6 cannot break a graph that it traces")
    model, x = MixFormer(**SMALL), images(0, 2, 3, 40, 72)
    traced = paddle.jit.to_static(copy.deepcopy(model), full_graph=full_graph)
    order = [traced, model] if graph_first else [model, traced]
    results = {id(network): training_step(network, x) for network in order}
    for found, expected in zip(results[id(traced)], results[id(model)]):
        np.testing.assert_allclose(found, expected, rtol=1e-2, atol=1e-4)
    for found, expected in zip(training_step(model, x), results[id(model)]):
        np.testing.assert_array_equal(found, expected)


def test_copies_and_checkpoints_know_nothing_of_grids():
    model, x = MixFormer(**SMALL), images(0, 2, 3, 40, 72)
    model.eval()
    attributes = [set(vars(layer)) for layer in model.sublayers()]
    names = list(model.state_dict())
    expected = model(x).numpy()
    assert windows._build_once.cache_info().currsize > 0
    assert list(model.state_dict()) == names
    assert [set(vars(layer)) for layer in model.sublayers()] == attributes
    np.testing.assert_array_equal(copy.deepcopy(model)(x).numpy(), expected)
