"""Mask R-CNN's inference on one picture with operators that ONNX has.

ONNX lacks PaddleDetection's `generate_proposals` and `distribute_fpn_proposals`, and its NMS takes boxes that
all classes share. The same steps in operators that it has give the same boxes, of equal scores in any order.
"""

import math
import types

import paddle
import paddle.nn.functional as F
from ppdet.modeling import ops
from ppdet.modeling.bbox_utils import delta2bbox, nonempty_bbox
from ppdet.modeling.heads.roi_extractor import RoIAlign

ALL = 1_000_000  # boxes; ONNX takes the limit of NMS for what comes out of it, Paddle for what goes in
NEVER = -1.0  # a score below every threshold


def with_onnx_operators(model):
    """Replaces what ONNX does not have in a `MaskRCNN`, as `without_loops` leaves it; returns it."""
    model.rpn_head._gen_proposal = types.MethodType(propose, model.rpn_head)
    model.bbox_post_process = BoxPostProcess(model.bbox_post_process)
    model.mask_head.forward_test = types.MethodType(masks_of, model.mask_head)
    for layer in model.sublayers():
        if isinstance(layer, RoIAlign):
            layer.forward = types.MethodType(pool_from_levels, layer)
    return model


def has_other_nms(model):
    """Whether a `MaskRCNN` chooses boxes in a way that these operators do not have."""
    nms = model.bbox_post_process.nms
    return type(nms).__name__ != "MultiClassNMS" or nms.nms_top_k >= 0 or nms.nms_eta != 1


def propose(head, scores, deltas, anchors, inputs):
    """The best proposals over all levels: `([boxes [R, 4]], counts [1])`."""
    levels = [
        propose_on_level(head.test_proposal, *level, inputs["im_shape"])
        for level in zip(scores, deltas, anchors)
    ]
    boxes, objectness = (paddle.concat(parts) for parts in zip(*levels))
    boxes = paddle.gather(boxes, best(objectness, head.test_proposal.post_nms_top_n))
    return [boxes], count_of(boxes)


def propose_on_level(settings, scores, deltas, anchors, im_shape):
    """Boxes `[R, 4]` and their objectness `[R]` on one level, as `generate_proposals` gives them.

    Args:
        settings: a `ProposalGenerator`.
        scores, deltas: `[1, A, H, W]` and `[1, 4A, H, W]`.
        anchors: `[H * W * A, 4]`.
    """
    scores = scores.transpose([0, 2, 3, 1]).flatten()
    deltas = deltas.transpose([0, 2, 3, 1]).reshape([-1, 4])
    first = best(scores, settings.pre_nms_top_n)
    scores, deltas, anchors = (
        paddle.gather(each, first) for each in (scores, deltas, anchors.reshape([-1, 4]))
    )
    boxes = clip(delta2bbox(deltas, anchors).reshape([-1, 4]), corners(im_shape))
    least = max(settings.min_size, 1.0)
    is_large = paddle.logical_and(boxes[:, 2] - boxes[:, 0] >= least, boxes[:, 3] - boxes[:, 1] >= least)
    objectness = F.sigmoid(scores)
    tried = paddle.where(is_large, objectness, paddle.full_like(objectness, NEVER))
    kept = suppress(boxes, tried.unsqueeze(0), 0.0, settings.nms_thresh)
    kept = paddle.gather(kept, best(paddle.gather(objectness, kept), limit_of(settings)))
    return paddle.gather(boxes, kept), paddle.gather(objectness, kept)


def limit_of(settings):
    """How many boxes of a level stay behind NMS."""
    return settings.pre_nms_top_n if settings.topk_after_collect else settings.post_nms_top_n


def suppress(boxes, scores, score_threshold, iou_threshold, normalized=True):
    """Numbers of the boxes that stay after NMS, by class, int64 `[K]`.

    Args:
        boxes: `[M, 4]`.
        scores: `[C, M]`.
        normalized: whether a box ends where its last pixel does, and not in front of it.
    """
    _, _, kept = ops.multiclass_nms(
        boxes.unsqueeze(0),
        scores.unsqueeze(0),
        score_threshold=score_threshold,
        nms_top_k=ALL,
        keep_top_k=-1,
        nms_threshold=iou_threshold,
        normalized=normalized,
        background_label=-1,
        return_index=True,
    )
    return kept.flatten().astype("int64")


def best(scores, limit):
    """Numbers of the `limit` largest scores, or of all where there are fewer or it is below 0, falling."""
    order = paddle.argsort(scores, descending=True)
    return order[:limit] if limit >= 0 else order


def count_of(boxes):
    """How many there are, int32 `[1]`."""
    return paddle.shape(boxes)[:1].astype("int32")


def corners(sizes):
    """Heights and widths `[N, 2]` as limits of the corners of boxes, `[N, 4]`."""
    return sizes.flip(1).tile([1, 2])


def clip(boxes, limits):
    """Boxes without what lies outside of a picture."""
    return paddle.maximum(paddle.minimum(boxes, limits), paddle.zeros_like(limits))


def pool_from_levels(layer, maps, boxes, counts):
    """`RoIAlign.forward`: each box from the level of its size; it is pooled from all, and one is taken."""
    boxes = boxes[0]
    sides = boxes[:, 2:] - boxes[:, :2]
    scale = paddle.sqrt(sides[:, 0] * sides[:, 1]) / layer.canonical_size
    level = layer.canconical_level + paddle.floor(paddle.log(scale + 1e-6) / math.log(2))
    level = paddle.clip(level - 2, layer.start_level, layer.end_level).reshape([-1, 1, 1, 1])
    pooled = 0.0
    for number in range(layer.start_level, layer.end_level + 1):
        found = paddle.vision.ops.roi_align(
            x=maps[number],
            boxes=boxes,
            boxes_num=counts,
            output_size=layer.resolution,
            spatial_scale=layer.spatial_scale[number],
            sampling_ratio=layer.sampling_ratio,
            aligned=layer.aligned,
        )
        pooled = pooled + found * (level == number).astype("float32")
    return pooled


def masks_of(head, maps, boxes, counts, scale_factor, feat_func=None):
    """`MaskHead.forward_test`: the mask of each box for its class, `[R, 28, 28]`, with no branch for none."""
    features = head.roi_extractor(maps, [boxes[:, 2:]], counts)
    if head.share_bbox_feat:
        features = feat_func(features)
    logits, classes = head.mask_fcn_logits(head.head(features)), boxes[:, 0].astype("int64")
    rows = paddle.arange(paddle.shape(boxes)[0], dtype="int64")
    return F.sigmoid(paddle.gather_nd(logits, paddle.stack([rows, classes], axis=1)))


class BoxPostProcess:
    """PaddleDetection's `BBoxPostProcess` for one picture."""

    def __init__(self, original):
        self.nms = original.nms
        self.num_classes = original.num_classes
        self.prior_box_var = original.prior_box_var

    def __call__(self, head_out, rois, im_shape, scale_factor):
        """Boxes in the network's input: `[R, 6]` of class, score, corners; their count; None."""
        deltas, probabilities = head_out
        boxes = delta2bbox(deltas, rois[0][0], self.prior_box_var).reshape([-1, 4])  # box by box, its classes
        boxes, scores = clip(boxes, corners(im_shape)), probabilities[:, :-1].flatten()
        classes = paddle.arange(self.num_classes, dtype="int64").unsqueeze(0)
        classes = (classes + paddle.zeros_like(probabilities[:, :-1]).astype("int64")).flatten()
        own = classes.unsqueeze(0) == paddle.arange(self.num_classes, dtype="int64").unsqueeze(1)
        scores_of_classes = paddle.where(own, scores.unsqueeze(0), paddle.full([1], NEVER))
        thresholds = self.nms.score_threshold, self.nms.nms_threshold
        kept = suppress(boxes, scores_of_classes, *thresholds, self.nms.normalized)
        kept = paddle.gather(kept, best(paddle.gather(scores, kept), self.nms.keep_top_k))
        order = paddle.gather(classes, kept) * paddle.shape(classes)[0].astype("int64") + kept  # as Paddle's
        kept = paddle.gather(kept, paddle.argsort(order))
        columns = [classes.astype("float32").unsqueeze(1), scores.unsqueeze(1), boxes]
        boxes = paddle.concat([paddle.gather(column, kept) for column in columns], axis=1)
        return boxes, count_of(boxes), None

    def get_pred(self, boxes, counts, im_shape, scale_factor):
        """The boxes in the network's input and in the original picture, and their count."""
        self.origin_shape = paddle.floor(im_shape / scale_factor + 0.5)
        found = clip(boxes[:, 2:] / corners(scale_factor), corners(self.origin_shape))
        kept = nonempty_bbox(found, return_mask=True).unsqueeze(1)
        classes = paddle.where(kept, boxes[:, :1], -paddle.ones_like(boxes[:, :1]))
        return boxes, paddle.concat([classes, boxes[:, 1:2], found], axis=1), counts

    def get_origin_shape(self):
        """Height and width of the original picture, `[1, 2]`."""
        return self.origin_shape
