"""Masks that are pasted one by one are those of PaddleDetection, which pastes all at once."""

import json

import numpy as np
import paddle
import pytest

from ppcls_mixformer.paddledet.pasting import PastedMasks

pytestmark = pytest.mark.usefixtures("host")

SIZES = [[61, 90], [120, 47], [33, 33]]  # height and width of the pictures of a batch
EDGES = [  # corners: as in COCO, at half pixels, beyond the borders, outside, tiny, empty, turned around
    [10, 10, 30, 40],
    [3.5, 2.5, 20.5, 30.5],
    [-20.3, -7, 200, 150],
    [-30, -30, -10, -5],
    [300, 300, 340, 350],
    [5.2, 5.3, 5.21, 5.4],
    [5.5, 5.5, 6.5, 6.5],
    [0, 0, 0, 0],
    [7, 7, 7, 20],
    [30, 20, 10, 5],
    [0, 0, 33, 33],
]


def post_process(threshold=0.5, **settings):
    from ppdet.modeling.post_process import MaskPostProcess

    return MaskPostProcess(threshold, **settings)


def batch(counts, seed=0):
    """Masks, boxes of any kind, counts and sizes, as the network gives them for pictures of `SIZES`."""
    random, rows = np.random.default_rng(seed), sum(counts)
    corners = np.sort(random.uniform(-15, 130, (rows, 2, 2)), axis=1).reshape(rows, 4)
    corners[: len(EDGES)] = np.reshape(EDGES[:rows], (-1, 4))
    masks = random.uniform(size=(rows, 28, 28)) ** random.uniform(0.1, 1, (rows, 1, 1))
    masks[: rows // 4] = 1  # their borders are those of their boxes
    kinds = np.stack([random.integers(0, 5, rows), random.uniform(size=rows)], axis=1)
    arrays = masks, np.concatenate([kinds, corners], axis=1), np.repeat(SIZES[: len(counts)], counts, axis=0)
    masks, boxes, sizes = (paddle.to_tensor(array.astype("float32")) for array in arrays)
    return masks, boxes, paddle.to_tensor(np.array(counts, "int32")), sizes


def pasted_by_paddledetection(settings, *arrays):
    return type(settings).__call__.bridged(settings, *arrays)


def results(masks, boxes, counts):
    """What `mask.json` would hold, as text."""
    from ppdet.metrics.json_results import get_seg_res

    numbers = [[number] for number in range(len(counts))]
    found = get_seg_res(masks, boxes.numpy(), counts.numpy(), numbers, dict(enumerate(range(1, 6))))
    return json.dumps(found)


def picture_by_picture(settings, masks, boxes, counts, sizes):
    """Each picture's masks, boxes and count; the masks from PaddleDetection, in a batch of one."""
    ends = np.cumsum(counts.numpy())
    for first, last in zip(ends - counts.numpy(), ends):
        rows = slice(int(first), int(last))
        arrays = masks[rows], boxes[rows], paddle.to_tensor([rows.stop - rows.start]), sizes[rows]
        yield rows, pasted_by_paddledetection(settings, *arrays).numpy(), arrays[1:3]


@pytest.mark.parametrize("threshold", [0.5, 0.7])
@pytest.mark.parametrize("counts", [(60,), (40, 25), (11, 1, 30)])
def test_masks_are_those_of_paddledetection(counts, threshold):
    settings, arrays = post_process(threshold), batch(counts)
    masks = settings(*arrays)
    assert isinstance(masks, PastedMasks) and len(masks) == sum(counts)
    whole = np.asarray(masks)
    for rows, expected, boxes in picture_by_picture(settings, *arrays):
        _, height, width = expected.shape
        assert (expected == 1).any() and whole.dtype == expected.dtype
        assert np.array_equal(whole[rows, :height, :width], expected)
        assert (whole[rows, height:] == -1).all() and (whole[rows, :, width:] == -1).all()
        assert results(masks[rows], *boxes) == results(expected, *boxes)


def test_where_nothing_is_found():
    fake = paddle.to_tensor([[0, 0, 0, 0, 0.7, 0.8]])  # PaddleDetection's, for a picture without any box
    arrays = paddle.zeros([1, 28, 28]), fake, paddle.to_tensor([1]), paddle.to_tensor([[9.0, 7]])
    expected = pasted_by_paddledetection(post_process(), *arrays).numpy()
    masks = post_process()(*arrays)
    assert isinstance(masks, PastedMasks) and np.array_equal(np.asarray(masks), expected)
    assert results(masks, *arrays[1:3]) == results(expected, *arrays[1:3])
    assert len(masks[0:0]) == 0 and np.asarray(masks[0:0]).shape == (0, 0, 0)


def test_boxes_without_an_area_hold_nothing():
    """PaddleDetection may end in a segmentation fault for them."""
    boxes = [[np.nan] * 4, [7.5, 7.5, 7.5, 20], [3, 9.5, 8, 9.5], [0, 0, np.inf, 9]]
    masks, sizes = np.ones((4, 28, 28), np.float32), np.array([SIZES[0]] * 4)
    found = np.asarray(PastedMasks(masks, np.array(boxes, np.float32), sizes, 0.5))
    assert found.shape == (4, *SIZES[0]) and not found.any()


def test_nothing_is_pasted_before_it_is_asked_for():
    masks, boxes, counts, _ = batch((50,))
    masks = post_process()(masks, boxes, counts, paddle.to_tensor([[3e5, 4e5]] * 50))  # 24 TB at once
    assert isinstance(masks, PastedMasks) and len(masks[10:30]) == 20
    assert not hasattr(masks, "numpy")  # trainer.predict would call it


def test_the_rest_is_left_to_paddledetection():
    arrays = batch((12,))
    low = post_process(0.3)(*arrays)
    assert isinstance(low, paddle.Tensor) and isinstance(
        post_process(export_onnx=True)(*arrays), paddle.Tensor
    )
    assert np.array_equal(low.numpy(), pasted_by_paddledetection(post_process(0.3), *arrays).numpy())
    masks, boxes, counts, sizes = arrays
    fewer = post_process()(masks, boxes, counts - 1, sizes)  # PaddleDetection leaves the last mask at -1
    assert isinstance(fewer, paddle.Tensor) and (fewer.numpy()[-1] == -1).all()


@pytest.mark.parametrize("counts", [(12,), (7, 9)])
def test_graphs_paste_as_before(counts):
    settings, arrays = post_process(), batch(counts)

    class Paste(paddle.nn.Layer):
        def forward(self, masks, boxes, counts, sizes):
            return settings(masks, boxes, counts, sizes)

    graph = paddle.jit.to_static(Paste(), full_graph=True)
    assert np.array_equal(graph(*arrays).numpy(), pasted_by_paddledetection(settings, *arrays).numpy())


def test_each_mask_has_the_size_of_its_picture_in_a_batch():
    from ppdet.modeling.post_process import BBoxPostProcess

    masks, boxes, counts, _ = batch((5, 8))
    shapes, scales = paddle.to_tensor([[64.0, 64], [64, 32]]), paddle.to_tensor([[2.0, 2], [0.5, 0.5]])
    boxer = BBoxPostProcess(num_classes=5)
    _, boxes, counts = boxer.get_pred(boxes, counts, shapes, scales)
    found = post_process()(masks, boxes, counts, boxer.get_origin_shape())
    assert isinstance(found, PastedMasks)
    assert [mask.shape for mask in found] == [(32, 32)] * 5 + [(128, 64)] * 8


@pytest.mark.parametrize("counts", [(0, 8, 0), (0, 0, 0), (12, 0, 3)])
def test_pictures_of_a_batch_without_any_box(counts):
    """PaddleDetection gives them a box, but no mask, and fails."""
    from ppdet.modeling.post_process import BBoxPostProcess

    masks, boxes, counts, _ = batch(counts)
    boxer, shapes = BBoxPostProcess(num_classes=5), paddle.full([3, 2], 64.0)
    _, completed, numbers = boxer.get_pred(boxes, counts, shapes, paddle.ones([3, 2]))
    masks = masks if len(masks) else paddle.full([1, 1, 1], -1, "float32")
    found = post_process()(masks, completed, numbers, boxer.get_origin_shape())
    assert isinstance(found, PastedMasks) and len(found) == len(completed) == int(numbers.sum())
    empty = completed[:, 1].numpy() == 0
    whole = np.asarray(found)
    assert empty.sum() == (counts == 0).sum() and not whole[empty].any()
    if not empty.all():
        sizes = np.full((len(masks), 2), 64)
        others = PastedMasks(masks.numpy(), completed[:, 2:].numpy()[~empty], sizes, 0.5)
        assert np.array_equal(whole[~empty], np.asarray(others))
