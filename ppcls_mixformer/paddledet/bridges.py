"""Differences between PaddleDetection releases and today's Paddle, each bridged where it shows.

Nothing is changed on disk. Each function says its symptom and does nothing where it is absent.
"""

import contextlib
import functools
import inspect
import itertools
import json
import os
import re
from pathlib import Path

import lvis
import lvis.eval
import numpy as np
import paddle
import yaml
from PIL import ImageDraw
from ppdet import slim
from ppdet.core import workspace
from ppdet.data import reader
from ppdet.data.source import dataset, keypoint_coco
from ppdet.data.source.coco import COCODataSet
from ppdet.data.transform import operators
from ppdet.engine import callbacks, export_utils, trainer
from ppdet.metrics import coco_utils, json_results, metrics
from ppdet.modeling import ops, post_process
from ppdet.modeling.heads import mask_head
from ppdet.modeling.heads.roi_extractor import RoIAlign
from ppdet.modeling.proposal_generator import rpn_head, target
from ppdet.utils import checkpoint, cli, visualizer
from pycocotools.coco import COCO

from ppcls_mixformer.hosting import archives, expressions, paddle_bridges, safe_yaml
from ppcls_mixformer.hosting.errors import UserError
from ppcls_mixformer.hosting.patches import replace_once, replaced, shadow_module
from ppcls_mixformer.hosting.whole import open_whole, saves_whole
from ppcls_mixformer.paddledet import annotations, boxes, cropping, held, masks, pasting, reading
from ppcls_mixformer.paddledet.checkpoints import BestScore
from ppcls_mixformer.paddledet.lvis_metric import LVISMetric
from ppcls_mixformer.weights import pickles

best_score = BestScore()


def apply():
    """Applies every bridge; applying them again changes nothing."""
    paddle_bridges.apply()
    for bridge in (
        checkpoints_that_run_nothing,
        configs_that_run_nothing,
        archives.guard,
        scalars_in_concat,
        scaler_of_groups,
        aligned_roi_align,
        nms_in_graphs,
        inputs_of_exports,
        names_of_classes,
        numpy_float_in_lvis,
        numbers_of_pictures,
        size_of_drawn_text,
        pictures_without_annotations,
        font_of_the_tree,
        score_of_the_best_model,
        folders_of_checkpoints,
        whole_checkpoints,
        whole_results,
        epochs_without_a_step,
        repaired_annotations,
        boxes_of_any_detector,
        pictures_of_saved_results,
        curves_beside_results,
        outlines_of_masks,
        crops_of_masks,
        masks_one_by_one,
        reading.apply,
    ):
        bridge()


def checkpoints_that_run_nothing():
    """All releases: `paddle.load`, and the cache of decoded pictures, run whatever a pickle asks for."""
    pickles.guard(operators)


def configs_that_run_nothing():
    """All releases: a YAML's tags make any object, `!Callable` too; a few modules call `eval`."""
    for module in (workspace, slim, cli):
        shadow_module(module, "yaml", load=load_yaml)
    expressions.guard("ppdet")


def load_yaml(stream, Loader=None):  # noqa: N803, stands in for yaml.load
    """What the YAML in `stream` holds, tags of PaddleDetection's own classes being known."""
    known = yaml.Loader.yaml_constructors.items()  # PaddleDetection adds those of its classes to them
    own = {tag: make for tag, make in known if str(tag).startswith("!") and tag != "!Callable"}
    return safe_yaml.load(stream, tags=own)


def scalars_in_concat():
    """All releases: `paddle.concat` of `paddle.shape(x)[0]` refuses 0-D tensors since Paddle 2.5."""
    for module in (rpn_head, target, post_process, mask_head):
        shadow_module(module, "paddle", concat=_concat_of_scalars)


def _concat_of_scalars(x, axis=0, name=None):
    return paddle.concat([item.reshape([1]) if item.ndim == 0 else item for item in x], axis, name)


def scaler_of_groups():
    """All releases: `--amp` with groups of parameters is a TypeError, "but got dict"."""
    if "scaler.minimize" in inspect.getsource(trainer.Trainer.train):
        shadow_module(trainer, "paddle")
        shadow_module(trainer.paddle, "amp", GradScaler=paddle_bridges.SteppingScaler)


def aligned_roi_align():
    """develop: `RoIAlign` ignores `aligned: true`; a trained network then finds less, above all of masks."""
    if not RoIAlign(aligned=True).aligned:
        replace_once(RoIAlign, "__init__", _keeping_aligned)


def _keeping_aligned(original):
    # functools.wraps keeps the signature, from which PaddleDetection reads what a config may set.
    @functools.wraps(original)
    def __init__(self, *args, **kwargs):
        original(self, *args, **kwargs)
        self.aligned = inspect.signature(original).bind(self, *args, **kwargs).arguments.get("aligned", False)

    return __init__


@contextlib.contextmanager
def whole_graphs():
    """2.6: exporting fails since Paddle 2.6, `Can't call main_program when full_graph=False`."""
    to_static = functools.partial(paddle.jit.to_static, full_graph=True)
    with replaced(paddle.jit, "to_static", to_static):
        yield


def nms_in_graphs():
    """2.6: in a graph of Paddle 3 `multiclass_nms` refuses its boxes (`should be one of [… Variable]`)."""
    replace_once(ops, "multiclass_nms", _nms_of_paddle_3)


def _nms_of_paddle_3(original):
    def multiclass_nms(
        bboxes,
        scores,
        score_threshold,
        nms_top_k,
        keep_top_k,
        nms_threshold=0.3,
        normalized=True,
        nms_eta=1.0,
        background_label=-1,
        return_index=False,
        return_rois_num=True,
        rois_num=None,
        name=None,
    ):
        settings = (score_threshold, nms_top_k, keep_top_k, nms_threshold, normalized, nms_eta)
        if paddle.in_dynamic_mode() or not paddle.framework.in_dynamic_or_pir_mode():
            flags = (background_label, return_index, return_rois_num, rois_num)
            return original(bboxes, scores, *settings, *flags)
        boxes, index, counts = paddle._C_ops.multiclass_nms3(
            bboxes, scores, rois_num, *settings, background_label
        )
        return boxes, counts, index if return_index else None

    return multiclass_nms


def inputs_of_exports():
    """2.6: finds unused inputs by a program's `_prune`, which Paddle 3's programs do not have."""
    replace_once(trainer, "_prune_input_spec", _inputs_in_use)


def _inputs_in_use(original):
    def prune(input_spec, program, targets):
        if isinstance(program, paddle.base.framework.Program):
            return original(input_spec, program, targets)
        inputs = (op for op in program.global_block().ops if op.name() == "pd_op.data")
        used = {op.attrs()["name"] for op in inputs if not op.result(0).use_empty()}
        return [{name: spec for name, spec in input_spec[0].items() if name in used}]

    return prune


def names_of_classes():
    """All releases: names are of any file that is there, in its order; `metric: LVIS` is refused."""
    for module in (trainer, export_utils, metrics):
        replace_once(module, "get_categories", _of_the_config)


def _of_the_config(original):
    def get_categories(metric_type, anno_file=None, arch=None):
        if metric_type not in ("COCO", "LVIS") or arch == "keypoint_arch":
            return original(metric_type, anno_file, arch)
        classes = held.classes_of(anno_file) if anno_file else None
        if classes is None:
            return original("COCO", anno_file, arch)
        ids = [category["id"] for category in classes]
        return dict(enumerate(ids)), dict(zip(ids, annotations.names({"categories": classes})))

    return get_categories


def numpy_float_in_lvis():
    """lvis 0.5.3: calls `np.float`, gone since numpy 1.24."""
    if not hasattr(lvis.eval.np, "float"):
        shadow_module(lvis.eval, "np", float=float)


def numbers_of_pictures():
    """All releases: `int()` of a picture's number, an array with one element, fails since numpy 2.4."""
    for module in (trainer, metrics):
        module.int = _int


def _int(value):
    return int(value.item() if isinstance(value, np.ndarray) else value)


def size_of_drawn_text():
    """All releases: drawing asks for `ImageDraw.textsize`, gone since Pillow 10."""
    if not hasattr(ImageDraw.ImageDraw, "textsize"):
        ImageDraw.ImageDraw.textsize = lambda self, text: self.textbbox((0, 0), text)[2:]


def pictures_without_annotations():
    """develop: inference reads the annotations, which it does not need, and fails on a list of names."""
    if hasattr(dataset, "COCO"):
        replace_once(dataset.ImageFolder, "_load_images", _reading_no_annotations)


def _reading_no_annotations(original):
    def _load_images(self, do_eval=False):
        if do_eval:
            return original(self, do_eval)
        with replaced(dataset, "COCO", lambda path: None):
            return original(self)

    return _load_images


def font_of_the_tree():
    """develop: drawing downloads a font that lies in its own tree, and fails without a network."""
    if hasattr(visualizer, "get_path"):
        replace_once(visualizer, "get_path", _found_beside_the_module)


def _found_beside_the_module(original):
    def get_path(url, *args, **kwargs):
        own = Path(visualizer.__file__).with_name(url.rpartition("/")[2])
        return (str(own), True) if own.is_file() else original(url, *args, **kwargs)

    return get_path


def repaired_annotations():
    """All releases: every part reads the annotation file anew, and none as this package repaired it."""
    replace_once(COCO, "__init__", _of_what_is_held)
    replace_once(lvis.LVIS, "_load_json", _loading_what_is_held)


def _of_what_is_held(original):
    def __init__(self, annotation_file=None):
        content = held.content_of(annotation_file) if annotation_file else None
        original(self, None if content else annotation_file)
        if content:
            self.dataset = content
            self.createIndex()

    return __init__


def _loading_what_is_held(original):
    return lambda self, path: held.content_of(path) or original(self, path)


def boxes_of_any_detector():
    """All releases: of a `bbox_file` category 1 alone counts, and a picture's name is its id."""
    shadow_module(keypoint_coco, "json", load=_load_boxes)


def _load_boxes(file):
    held = boxes.held(file.name)
    return json.load(file) if held is None else held


def pictures_of_saved_results():
    """All releases: `--save_results` numbers pictures from 0, and does not say which is which."""
    for metric in (metrics.COCOMetric, LVISMetric):
        replace_once(metric, "accumulate", _naming_pictures)


def _naming_pictures(original):
    def accumulate(self):
        paths = getattr(self, "paths", None) or {}
        for result in itertools.chain(*self.results.values()):
            if result["image_id"] in paths:
                result["filename"] = os.path.basename(paths[result["image_id"]])
        original(self)

    return accumulate


def curves_beside_results():
    """All releases: `--classwise` draws into the folder of the call, and fails for a class named `a/b`."""
    replace_once(metrics, "cocoapi_eval", _drawing_beside_results)


def _drawing_beside_results(original):
    @functools.wraps(original)
    def cocoapi_eval(jsonfile, *args, **kwargs):
        folder, draw_curve = os.path.dirname(jsonfile), coco_utils.draw_pr_curve

        def draw(precision, recall, out_dir, file_name):
            out_dir = os.path.join(folder, out_dir)
            draw_curve(precision, recall, out_dir=out_dir, file_name=re.sub(r"[/\\]", "_", file_name))

        with replaced(coco_utils, "draw_pr_curve", draw):
            return original(jsonfile, *args, **kwargs)

    return cocoapi_eval


def outlines_of_masks():
    """All releases: a run-length encoded mask of a single object ends training (`float: 'size'`)."""
    replace_once(COCODataSet, "parse_dataset", _with_polygons)


def _with_polygons(original):
    @functools.wraps(original)
    def parse_dataset(self):
        original(self)
        for record in self.roidbs:
            if "gt_poly" in record:
                record["gt_poly"] = [masks.as_polygons(mask) for mask in record["gt_poly"]]

    return parse_dataset


def crops_of_masks():
    """All releases: `is_mask_crop`, as in the 3x schedule, needs shapely, which nothing brings."""
    replace_once(operators.RandomCrop, "crop_segms", cropping.cutting_polygons)


def masks_one_by_one():
    """All releases: the masks of a batch are pasted at once; 100 of 12 megapixels are a MemoryError."""
    known = ["self", "mask_out", "bboxes", "bbox_num", "origin_shape"]
    call = post_process.MaskPostProcess.__call__
    if list(inspect.signature(call).parameters) == known and hasattr(json_results, "strip_mask"):
        replace_once(post_process.MaskPostProcess, "__call__", pasting.pasting_when_asked)
        replace_once(json_results, "strip_mask", pasting.stripping_arrays_alone)


def score_of_the_best_model():
    """All releases: a resumed run forgets the best AP, and a worse model replaces `best_model`."""
    replace_once(callbacks.Checkpointer, "on_epoch_end", best_score.watching)
    replace_once(checkpoint, "save_model", best_score.saving)


def folders_of_checkpoints():
    """develop: configs that share a `save_dir` replace each other's checkpoints, which lie side by side."""
    replace_once(callbacks.Checkpointer, "__init__", _in_a_folder_of_the_config)


def _in_a_folder_of_the_config(original):
    @functools.wraps(original)
    def __init__(self, model):
        original(self, model)
        if not getattr(self, "uniform_output_enabled", False):  # that is for PaddleX, with folders of its own
            self.save_dir = os.path.join(model.cfg.save_dir, model.cfg.filename)

    return __init__


def whole_checkpoints():
    """All releases: a job that dies while saving leaves a half-written checkpoint over a good one."""
    replace_once(checkpoint, "save_model", saves_whole)
    callbacks.save_model = checkpoint.save_model


def whole_results():
    """All releases: an evaluation that dies while it writes `bbox.json` leaves half of it over a good one."""
    metrics.open = open_whole


def epochs_without_a_step():
    """All releases: of fewer samples than a batch none is trained on; the network is saved as it was."""
    replace_once(reader, "DistributedBatchSampler", _with_a_batch)


def _with_a_batch(original):
    class Batches(original):
        def __init__(self, dataset, batch_size, *args, **kwargs):
            super().__init__(dataset, batch_size, *args, **kwargs)
            if self.drop_last and not len(self):
                shared = f" for {self.nranks} processes" if self.nranks > 1 else ""
                raise UserError(
                    f"TrainReader.batch_size: it is {batch_size}, but there are {len(dataset)} samples to "
                    f"train on{shared}, not one whole batch: set -o TrainReader.batch_size to fewer, or "
                    "TrainReader.drop_last=false"
                )

    return Batches
