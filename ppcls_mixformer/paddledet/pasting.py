"""Masks of detected objects, each pasted into its picture only when it is asked for.

PaddleDetection pastes all masks of a batch at once: with what it computes on the way, about 80 bytes for
each pixel of the picture and object, 10 GB for 100 objects in 1280×960 pixels. Its readers look at one
mask after the other.
"""

import numpy as np
import paddle
import paddle.nn.functional as F

LOWEST_THRESHOLD = 0.5  # below it a mask reaches over the border of its box


class PastedMasks:
    """A sequence of masks `[h, w]` uint8, 0 or 1; a slice is such a sequence, and pastes nothing.

    It has no method `numpy`, by which PaddleDetection would keep all masks of all pictures; `np.asarray`
    gives them as PaddleDetection has them, `[R, H, W]` int32, -1 where a picture ends before the largest.
    """

    def __init__(self, masks, boxes, sizes, threshold):
        """Keeps what is pasted.

        Args:
            masks: `[R, S, S]` float32, probabilities on the grid of the box.
            boxes: `[R, 4]` float32, corners in pixels of the picture.
            sizes: `[R, 2]` int, height and width of the object's picture.
            threshold: the probability from which on a pixel belongs to the object, at least 0.5.
        """
        self.masks, self.boxes, self.sizes, self.threshold = masks, boxes, sizes, threshold

    def __len__(self):
        return len(self.masks)

    def __getitem__(self, index):
        if isinstance(index, slice):
            return PastedMasks(self.masks[index], self.boxes[index], self.sizes[index], self.threshold)
        height, width = self.sizes[index]
        pasted = np.zeros((height, width), np.uint8)
        box = self.boxes[index]
        if not has_an_area(box):
            return pasted
        columns, rows = reach(box[0::2], width), reach(box[1::2], height)
        if columns and rows:
            mask = paddle.to_tensor(self.masks[index][None, None])
            found = F.grid_sample(mask, grid_of(box, columns, rows), align_corners=False)[0, 0]
            pasted[rows.start : rows.stop, columns.start : columns.stop] = (found >= self.threshold).numpy()
        return pasted

    def __array__(self, dtype=None, copy=None):
        height, width = self.sizes.max(0) if len(self) else (0, 0)
        whole = np.full((len(self), height, width), -1, dtype or np.int32)
        for row, (mask, (height, width)) in enumerate(zip(self, self.sizes)):
            whole[row, :height, :width] = mask
        return whole


def has_an_area(box):
    """Whether there is something in a box; `grid_sample` of coordinates that are NaN may end the process."""
    return np.isfinite(box).all() and box[0] != box[2] and box[1] != box[3]


def reach(ends, size):
    """Those of a picture's `size` pixels in a row that lie between two `ends`, and one more at each."""
    first, last = np.clip([ends.min(), ends.max()], -2, size + 2)
    return range(max(int(np.floor(first)) - 1, 0), min(int(np.ceil(last)) + 1, size))


def grid_of(box, columns, rows):
    """Where pixels lie in a box, from -1 to 1, `[1, h, w, 2]`; step by step as in PaddleDetection."""
    x0, y0, x1, y1 = paddle.to_tensor(box)
    x = (paddle.arange(columns.start, columns.stop) + 0.5 - x0) / (x1 - x0) * 2 - 1
    y = (paddle.arange(rows.start, rows.stop) + 0.5 - y0) / (y1 - y0) * 2 - 1
    shape = [len(rows), len(columns)]
    return paddle.stack([x[None].expand(shape), y[:, None].expand(shape)], axis=2)[None]


def pasting_when_asked(original):
    """Wraps `MaskPostProcess.__call__`, which goes on to paste in graphs and what is not known here.

    `origin_shape` has a row for each box. PaddleDetection takes row n for picture n of a batch, so that all
    masks get the size of the first picture; here each has that of its own.
    """

    def __call__(self, mask_out, bboxes, bbox_num, origin_shape):
        if paddle.in_dynamic_mode():
            mask_out = with_empty_masks(mask_out, bboxes)
            if can_wait(self, mask_out, bboxes, bbox_num, origin_shape):
                sizes = origin_shape.astype("int32").numpy()
                return PastedMasks(mask_out.numpy(), bboxes[:, 2:].numpy(), sizes, self.binary_thresh)
        paste = original.__get__(self)  # to_static converts the loops of methods, not of a plain function
        return paste(mask_out, bboxes, bbox_num, origin_shape)

    return __call__


def with_empty_masks(masks, boxes):
    """One mask for each box; a picture in which nothing is found has a box of score 0, and no mask."""
    found = boxes[:, 1].numpy() > 0
    if len(masks) == len(found) or found.any() and found.sum() != len(masks):
        return masks
    whole = np.zeros([len(found), *masks.shape[1:]], np.float32)
    if found.any():
        whole[found] = masks.numpy()
    return paddle.to_tensor(whole)


def can_wait(settings, masks, boxes, counts, sizes):
    """Whether masks of these shapes, pasted inside their boxes, are what PaddleDetection makes of them."""
    if settings.export_onnx or settings.assign_on_cpu or settings.binary_thresh < LOWEST_THRESHOLD:
        return False
    if (masks.ndim, boxes.ndim, sizes.ndim) != (3, 2, 2) or not masks.dtype == boxes.dtype == paddle.float32:
        return False
    columns, rows = (boxes.shape[1], sizes.shape[1]), {len(masks), len(boxes), len(sizes), int(counts.sum())}
    return columns == (6, 2) and len(rows) == 1


def stripping_arrays_alone(original):
    """Wraps `strip_mask`, which cuts off what lies outside of a picture: `PastedMasks` have none of it."""
    return lambda masks: masks if isinstance(masks, PastedMasks) else original(masks)
