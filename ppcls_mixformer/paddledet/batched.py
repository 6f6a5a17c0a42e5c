"""Mask R-CNN's inference without loops over pictures, for the exported graph.

PaddleDetection loops over the pictures of a batch. With a dynamic batch that fails in Paddle 3's graphs
(0-D tensors in tensor arrays); the same steps on all boxes at once give the same boxes. The boxes of a
batch stand one picture after the other, `[R, …]`, and `counts`, `[N]` int32, says how many each has.
"""

import contextlib
import types

import paddle
import paddle.nn.functional as F
from ppdet.modeling.bbox_utils import delta2bbox, nonempty_bbox
from ppdet.modeling.necks import fpn
from ppdet.modeling.post_process import paste_mask

from ppcls_mixformer.hosting.patches import replaced


def without_loops(model, full_masks=False):
    """Replaces the steps of a `MaskRCNN` that loop over pictures; returns it.

    Args:
        full_masks: whether it gives masks of whole pictures, and not in their boxes.
    """
    model.rpn_head._gen_proposal = types.MethodType(propose, model.rpn_head)
    model.bbox_post_process = BoxPostProcess(model.bbox_post_process)
    paste = MaskPostProcess(model.mask_post_process.binary_thresh) if full_masks else in_boxes
    model.mask_post_process = paste
    return model


@contextlib.contextmanager
def without_interpolation():
    """Lets the pyramid double its maps by `double`: oneDNN refuses interpolation on paddlepaddle 3.3."""
    functions = types.SimpleNamespace(interpolate=double, relu=F.relu, max_pool2d=F.max_pool2d)
    with replaced(fpn, "F", functions):
        yield


def double(x, scale_factor, mode):
    """Each position of a map `[N, C, H, W]` as 2×2 equal ones: `F.interpolate(x, None, 2, "nearest")`."""
    assert scale_factor == 2 and mode == "nearest"
    channels = x.shape[1]
    return F.conv2d_transpose(x, paddle.ones([channels, 1, 2, 2]), stride=2, groups=channels)


def propose(head, scores, deltas, anchors, inputs):
    """The best proposals of each picture over all levels: `([boxes [R, 4]], counts [N])`."""
    boxes, objectness, pictures = [], [], []
    for score, delta, anchor in zip(scores, deltas, anchors):
        box, best, counts, limit = head.test_proposal(score, delta, anchor, inputs["im_shape"])
        boxes.append(box)
        objectness.append(best.flatten())
        pictures.append(picture_of_each(counts, inputs["im_shape"].shape[0]))
    kept, counts = best_of_each(paddle.concat(objectness), paddle.concat(pictures), inputs["im_shape"], limit)
    return [paddle.gather(paddle.concat(boxes), kept)], counts


def picture_of_each(counts, number):
    """Which of the `number` pictures each box belongs to, `[R]` int64."""
    if counts.ndim == 0:  # as a graph of Paddle 2.6 has it
        counts = counts.reshape([-1])
    return paddle.repeat_interleave(paddle.arange(number, dtype="int64"), counts)


def best_of_each(scores, pictures, im_shape, limit):
    """Rows of each picture's `limit` best boxes, picture by picture, and how many each picture keeps."""
    order = paddle.argsort(pictures.astype("float64") * 2 - F.sigmoid(scores.astype("float64")))
    pictures = paddle.gather(pictures, order)
    numbers = paddle.arange(im_shape.shape[0], dtype="int64")
    counts = (pictures.unsqueeze(0) == numbers.unsqueeze(1)).astype("int64").sum(1)
    first = paddle.cumsum(counts) - counts
    rank = paddle.arange(pictures.shape[0], dtype="int64") - paddle.gather(first, pictures)
    kept = paddle.gather(order, paddle.nonzero(rank < limit).flatten())
    return kept, paddle.clip(counts, max=limit).astype("int32")


class BoxPostProcess:
    """PaddleDetection's `BBoxPostProcess` for all pictures at once; a picture may have no boxes."""

    def __init__(self, original):
        self.nms = original.nms
        self.num_classes = original.num_classes
        self.prior_box_var = original.decode.prior_box_var

    def __call__(self, head_out, rois, im_shape, scale_factor):
        """Boxes in the network's input: `[R, 6]` of class, score, corners; counts; rows before NMS."""
        deltas, probabilities = head_out
        boxes = delta2bbox(deltas, rois[0][0], self.prior_box_var)
        limits = paddle.repeat_interleave(im_shape.flip(1).tile([1, 2]), rois[1], axis=0).unsqueeze(1)
        boxes = paddle.maximum(paddle.minimum(boxes, limits), paddle.zeros_like(limits))
        return self.nms((boxes, rois[1]), probabilities[:, :-1], self.num_classes)

    def get_pred(self, boxes, counts, im_shape, scale_factor):
        """The boxes in the network's input and in the original pictures, and their counts."""
        self.origin_shape = paddle.floor(im_shape / scale_factor + 0.5)
        scale = paddle.repeat_interleave(scale_factor.flip(1).tile([1, 2]), counts, axis=0)
        limits = paddle.repeat_interleave(self.origin_shape.flip(1).tile([1, 2]), counts, axis=0)
        corners = paddle.maximum(paddle.minimum(boxes[:, 2:] / scale, limits), paddle.zeros_like(limits))
        kept = nonempty_bbox(corners, return_mask=True).unsqueeze(1)
        classes = paddle.where(kept, boxes[:, :1], -paddle.ones_like(boxes[:, :1]))
        return boxes, paddle.concat([classes, boxes[:, 1:2], corners], axis=1), counts

    def get_origin_shape(self):
        """Height and width of the original pictures, `[N, 2]`."""
        return self.origin_shape


class MaskPostProcess:
    """Masks `[R, 28, 28]` pasted into pictures as large as the largest of the batch, `[R, H, W]` int32."""

    def __init__(self, threshold):
        self.threshold = threshold

    def __call__(self, masks, boxes, counts, origin_shape):
        size = origin_shape.max(0).astype("int32")
        pasted = paste_mask(masks.unsqueeze(1), boxes[:, 2:], size[0], size[1])
        return (pasted >= self.threshold).astype("int32")


def in_boxes(masks, boxes, counts, origin_shape):
    """Masks as they are, probabilities on the grid of each box, `[R, 28, 28]` float32."""
    return masks
