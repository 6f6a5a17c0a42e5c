"""PaddleDetection as the host, for real: its trainer on the composed scenes, each tool in its own process."""

import json
import math
import re
import shutil
import sys

import numpy as np
import paddle
import pytest
import yaml
from commands import ROOT, error_line, run
from PIL import Image
from pycocotools.coco import COCO

from ppcls_mixformer import VARIANTS, MixFormer_B0, MixFormer_B1

DETECTOR, LVIS = "mask_rcnn_mixformer_b0", "mask_rcnn_mixformer_b0_lvis"
KEYPOINTS = "simple_baseline_mixformer_b0"


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    """Folder of a few scenes in the layouts of COCO and LVIS, of 11 classes."""
    folder = tmp_path_factory.mktemp("detection") / "scenes"
    run(sys.executable, "tools/prepare_scenes.py", "--output", folder, "--train", 8, "--val", 4)
    return folder / "coco"


@pytest.fixture(scope="module")
def classifier(tmp_path_factory):
    """Checkpoint of a classifier of ten classes."""
    path = tmp_path_factory.mktemp("classifier") / "b0.pdparams"
    paddle.save(MixFormer_B0(class_num=10).state_dict(), str(path))
    return path


def command_line(scenes, config, *overrides, flags=()):
    """What follows the name of a tool, on the data in `scenes`; overrides of `overrides` win."""
    path = config if "/" in config else f"configs/scenes/{config}.yml"
    settings = [f"{split}Dataset.dataset_dir={scenes}" for split in ("Train", "Eval")]
    settings += ["MixFormer.pretrained=null"]
    if "mask_rcnn" in config:  # boxes from a network that has hardly learnt, but not too many
        nms = "BBoxPostProcess.nms"
        settings += [
            f"TestDataset.dataset_dir={scenes}",
            f"{nms}.score_threshold=0.01",
            f"{nms}.keep_top_k=40",
        ]
    return [str(part) for part in ("-c", path, *flags, "-o", *settings, *overrides)]


def tool(name, *arguments, **options):
    """Runs `tools/det/NAME.py` in a process of its own."""
    return run(sys.executable, f"tools/det/{name}.py", *command_line(*arguments, **options))


def train(scenes, classifier, folder, config, *overrides, flags):
    settings = ["epoch=1", "snapshot_epoch=1", "log_iter=1", f"MixFormer.pretrained={classifier}"]
    settings += [f"save_dir={folder}", f"output_eval={folder}"]
    return tool("train", scenes, config, *settings, *overrides, flags=[*flags, "--seed", 0])


@pytest.fixture(scope="module")
def trained(scenes, classifier, tmp_path_factory):
    """Of a config's name, the checkpoint after one short epoch and the log."""
    runs = {}

    def get(config):
        if config not in runs:
            folder = tmp_path_factory.mktemp(config)
            log = train(scenes, classifier, folder, config, flags=["--eval"])
            runs[config] = folder / config / "model_final.pdparams", log
        return runs[config]

    return get


FORKS = """
import os, sys
from ppcls_mixformer.paddledet import register
register()
from ppcls_mixformer.paddledet import commands, config, preflight, trainer
for path in sys.argv[1:]:
    child = os.fork()
    if not child:
        log = os.open(path + ".log", os.O_WRONLY | os.O_CREAT)
        os.dup2(log, 1), os.dup2(log, 2)
        try:
            exec(compile(open(path).read(), path, "exec"), {"__name__": "__main__"})
        except SystemExit as end:
            print(end.code or "")
        except BaseException:
            sys.excepthook(*sys.exc_info())
        sys.stdout.flush()
        os._exit(0)  # tidying up would take a second
    os.waitpid(child, 0)
"""


def in_forks(folder, scripts):
    """What each of `{name: script}` prints in a fork of one process that has imported PaddleDetection."""
    paths = [folder / f"{name}.py" for name in scripts]
    for path, script in zip(paths, scripts.values()):
        path.write_text(script)
    run(sys.executable, "-c", FORKS, *paths)
    return {path.stem: path.with_name(f"{path.name}.log").read_text() for path in paths}


# Training, evaluation, inference

LOSSES = {"loss", "loss_mask", "loss_rpn_cls", "loss_rpn_reg", "loss_bbox_cls", "loss_bbox_reg"}


def steps(log):
    """`(epoch, {name: loss})` of every training step that a log shows, in order."""
    lines = re.findall(r"Epoch: \[(\d+)\] \[\d+/\d+\] (.*)", log)
    losses = [re.findall(r"(loss\w*): (\S+)", line) for _, line in lines]
    return [(int(epoch), {k: float(v) for k, v in step}) for (epoch, _), step in zip(lines, losses)]


def precisions(log):
    """The lines of a log that show AP or AR."""
    return re.findall(r"Average (?:Precision|Recall) .*|(?:bbox|segm): AP.*", log)


@pytest.mark.parametrize(
    "config, losses, count, lines",
    [(DETECTOR, LOSSES, 2, 24), (LVIS, LOSSES, 2, 2), (KEYPOINTS, {"loss"}, 1, 10)],
)
def test_trains_and_evaluates(scenes, trained, tmp_path, config, losses, count, lines):
    weights, log = trained(config)
    assert [epoch for epoch, _ in steps(log)] == [0] * count
    for _, step in steps(log):
        assert set(step) == losses and all(map(math.isfinite, step.values())) and step["loss"] > 0
    assert "warning: " not in log and "used the 820 entries of patch_embed and layers" in log
    files = {path.name for path in weights.parent.iterdir()}
    assert {"model_final.pdparams", "model_final.pdopt", "best_model.pdparams"} <= files
    assert not list(weights.parent.rglob("*.part"))

    settings = [f"weights={weights}", f"save_dir={tmp_path}"]
    again = tool("eval", scenes, config, *settings, flags=["--output_eval", tmp_path])
    assert precisions(again) == precisions(log) and len(precisions(log)) == lines
    found = {path.name: json.loads(path.read_text()) for path in tmp_path.glob("*.json")}
    assert set(found) == ({"keypoints_results.json"} if config == KEYPOINTS else {"bbox.json", "mask.json"})
    assert all(found.values())


def test_resumes_at_the_next_epoch_with_the_optimizer(scenes, classifier, trained, tmp_path):
    weights, _ = trained(DETECTOR)
    log = train(scenes, classifier, tmp_path, DETECTOR, "epoch=2", flags=["-r", weights])
    assert [epoch for epoch, _ in steps(log)] == [1, 1]
    before, after = (
        paddle.load(str(folder / "model_final.pdopt")) for folder in (weights.parent, tmp_path / DETECTOR)
    )
    assert (before["last_epoch"], after["last_epoch"]) == (1, 2)
    power = next(name for name in after if name.endswith("_beta1_pow_acc_0"))
    assert float(before[power]) == pytest.approx(0.9**3) and float(after[power]) == pytest.approx(0.9**5)
    assert after["LR_Scheduler"]["last_epoch"] == before["LR_Scheduler"]["last_epoch"] + 2


def test_keypoints_in_the_boxes_of_a_detector(scenes, trained, tmp_path):
    settings = [f"weights={trained(KEYPOINTS)[0]}", f"save_dir={tmp_path}", "EvalDataset.use_gt_bbox=False"]
    log = tool("eval", scenes, KEYPOINTS, *settings)
    boxes = json.loads((scenes / "annotations/person_detection_results_val2017.json").read_text())
    assert f"Total sample number: {len(boxes)}," in log and len(precisions(log)) == 10


@pytest.fixture
def pictures(scenes, tmp_path):
    """A folder of two of the held-out pictures, the first with a person."""
    persons = COCO(scenes / "annotations/person_keypoints_val2017.json")
    with_person = {thing["image_id"] for thing in persons.anns.values()}
    names = sorted(persons.imgs, key=lambda number: number not in with_person)[:2]
    (tmp_path / "pictures").mkdir()
    for name in names:
        shutil.copy(scenes / f"val2017/{name:012d}.jpg", tmp_path / "pictures")
    return tmp_path / "pictures"


def changes(pictures, drawn):
    """Of each picture in a folder, by how much that in the folder `drawn` differs at most."""
    assert [path.name for path in sorted(drawn.glob("*.jpg"))] == [p.name for p in sorted(pictures.iterdir())]
    pairs = [(path, drawn / path.name) for path in sorted(pictures.iterdir())]
    read = [[np.asarray(Image.open(path).convert("RGB"), int) for path in pair] for pair in pairs]
    return [np.abs(before - after).max() for before, after in read]


@pytest.mark.parametrize("config", [DETECTOR, LVIS])
def test_infer_draws_boxes_and_masks(scenes, trained, pictures, tmp_path, config):
    flags = ["--infer_dir", pictures, "--output_dir", tmp_path / "drawn", "--draw_threshold", 0]
    tool("infer", scenes, config, f"weights={trained(config)[0]}", flags=[*flags, "--save_results"])
    assert min(changes(pictures, tmp_path / "drawn")) > 60
    known = {c["id"] for c in json.loads((scenes / annotations_of(config)).read_text())["categories"]}
    for name in ("bbox.json", "mask.json"):
        results = json.loads((tmp_path / "drawn" / name).read_text())
        assert len(results) > 2 and {result["category_id"] for result in results} <= known


def annotations_of(config):
    return (
        f"annotations/{'lvis_v1' if config == LVIS else 'instances'}_val{'' if config == LVIS else 2017}.json"
    )


def test_infer_draws_skeletons(scenes, trained, pictures, tmp_path):
    state = paddle.load(str(trained(KEYPOINTS)[0]))
    state["final_conv.bias"] = paddle.ones_like(state["final_conv.bias"])  # it is sure of every point
    paddle.save(state, str(tmp_path / "sure.pdparams"))
    flags = ["--infer_dir", pictures, "--output_dir", tmp_path / "drawn"]
    flags += ["--bbox_file", scenes / "annotations/person_detection_results_val2017.json"]
    log = tool("infer", scenes, KEYPOINTS, f"weights={tmp_path}/sure", flags=flags)
    counts = [int(count) for count in re.findall(r": (\d+) persons", log)]
    assert len(counts) == 2 and max(counts) > 0
    for count, change in zip(counts, changes(pictures, tmp_path / "drawn")):
        assert (change > 60) == (count > 0)


# Exports

EXPECT = """
import glob, sys
path, folder, batches = sys.argv[1:4]
del sys.argv[1:4]
import numpy as np, paddle
from ppcls_mixformer.paddledet import commands as runner
_, settings = runner.load(lambda parser: None, "export")
from ppdet.core.workspace import create
from ppcls_mixformer.paddledet.trainer import Trainer
trainer = Trainer(settings, mode="test")
trainer.load_weights(settings.weights)
model = trainer.model
model.eval()
arrays = {}
for batch in map(int, batches.split(",")):
    settings["TestReader"]["batch_size"] = batch
    trainer.dataset.set_images(sorted(glob.glob(folder + "/*.jpg")))
    for number, data in enumerate(create("TestReader")(trainer.dataset, 0)):
        with paddle.no_grad():
            if settings.architecture == "MaskRCNN":
                outputs = [model(data)[name] for name in ("bbox", "bbox_num", "mask")]
            else:
                outputs = [model.final_conv(model.backbone(data)[0])]
        case = f"batch {batch}, {number}"
        arrays.update({f"{case}/in/{name}": value.numpy() for name, value in data.items()})
        arrays.update({f"{case}/out/{i}": value.numpy() for i, value in enumerate(outputs)})
np.savez(path, **arrays)
"""
READ = """
import sys, numpy as np, paddle, paddle.inference as inference
folder, expected, path, onednn = sys.argv[1:]
kind = "pdmodel" if paddle.__version__.startswith("2.") else "json"
config = inference.Config(f"{folder}/model.{kind}", f"{folder}/model.pdiparams")
config.disable_gpu()
config.disable_glog_info()
if onednn == "True":
    config.enable_mkldnn()
elif hasattr(config, "disable_mkldnn"):
    config.disable_mkldnn()
predictor = inference.create_predictor(config)
data, arrays = np.load(expected), {}
for case in sorted({name.split("/")[0] for name in data}):
    for name in predictor.get_input_names():
        predictor.get_input_handle(name).copy_from_cpu(data[f"{case}/in/{name}"])
    predictor.run()
    outputs = [predictor.get_output_handle(name).copy_to_cpu() for name in predictor.get_output_names()]
    arrays.update({f"{case}/out/{i}": output for i, output in enumerate(outputs)})
np.savez(path, **arrays)
"""


@pytest.fixture(scope="module")
def exported(scenes, trained, tmp_path_factory):
    """Of a config's name: folder of its export, file of what the trained network gives at some batches."""
    exports = {}

    def get(config, batches):
        if config not in exports:
            folder = tmp_path_factory.mktemp("exported")
            weights = f"weights={trained(config)[0]}"
            log = tool("export", scenes, config, weights, flags=["--output_dir", folder])
            assert f"{folder / config}/model.pdiparams" in log
            refused = config == DETECTOR and paddle.__version__.startswith("3.3.")
            assert ("read it with Config.disable_mkldnn()" in log) == refused
            arguments = [folder / "expected.npz", scenes / "val2017", batches]
            run(sys.executable, "-c", EXPECT, *arguments, *command_line(scenes, config, weights))
            exports[config] = folder / config, folder / "expected.npz"
        return exports[config]

    return get


def read_back(export, path, onednn):
    """`(case, expected outputs, outputs of the export in a fresh process)`, case by case."""
    folder, expected = export
    run(sys.executable, "-c", READ, folder, expected, path, onednn)
    arrays = [np.load(expected), np.load(path)]
    for case in sorted({name.split("/")[0] for name in arrays[0]}):
        names = sorted(name for name in arrays[0] if name.startswith(f"{case}/out"))
        yield case, arrays[0], [[group[name] for name in names] for group in arrays]


def split(outputs):
    """Boxes `[R, 6]` and masks `[R, H, W]` of each picture in the outputs of a batch."""
    boxes, counts, masks = outputs
    ends = np.cumsum(counts)[:-1]
    return list(zip(np.split(boxes, ends), np.split(masks, ends)))


@pytest.mark.parametrize("onednn", [False, True], ids=["plain", "oneDNN"])
def test_exported_detector_finds_the_same(exported, tmp_path, onednn):
    if onednn and paddle.__version__.startswith("3.3."):
        pytest.skip("paddlepaddle 3.3 refuses every interpolation with oneDNN on, and the tool says so")
    sizes, batches = set(), set()
    for case, arrays, (expected, found) in read_back(
        exported(DETECTOR, "1,2"), tmp_path / "found.npz", onednn
    ):
        batch, _, *size = arrays[f"{case}/in/image"].shape
        sizes.add(tuple(size)), batches.add(batch)
        assert (expected[1] == found[1]).all() and expected[1].min() > 5, case
        for (boxes, masks), (other_boxes, other_masks) in zip(split(expected), split(found)):
            # Class, score and corners; the order of equal scores is free.
            gaps = (np.abs(boxes[:, None] - other_boxes) / [1e-6, 1e-4, *[1e-3] * 4]).max(2)
            assert gaps.min(1).max() < 1 and gaps.min(0).max() < 1, case
            inside = masks >= 0  # -1 is outside of a picture that is smaller than the largest of its batch
            assert masks.shape == other_masks.shape and (masks > 0).any()
            assert (masks != other_masks[gaps.argmin(1)])[inside].mean() < 1e-5, case
    assert len(sizes) > 1 and batches == {1, 2}


@pytest.mark.parametrize("onednn", [False, True], ids=["plain", "oneDNN"])
def test_exported_keypoints_have_the_same_heat_maps(exported, tmp_path, onednn):
    shapes = set()
    export = exported(KEYPOINTS, "1,3")
    for case, _, ((expected,), (found,)) in read_back(export, tmp_path / "found.npz", onednn):
        shapes.add(expected.shape)
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4, err_msg=case)
    assert shapes == {(1, 17, 32, 24), (3, 17, 32, 24)}


def test_an_export_says_how_to_prepare_pictures(exported):
    settings = yaml.safe_load((exported(DETECTOR, "1,2")[0] / "infer_cfg.yml").read_text())
    assert settings["arch"] == "MaskRCNN" or settings["arch"] == "RCNN"
    assert [step["type"] for step in settings["Preprocess"]][0] == "Resize" and len(
        settings["label_list"]
    ) == 11


# LVIS


@pytest.fixture(scope="module")
def lvis():
    """The module, PaddleDetection being registered in this process."""
    from ppcls_mixformer.paddledet import register

    register()
    from ppcls_mixformer.paddledet import lvis_data as lvis

    return lvis


def test_repeat_factors_by_hand(lvis):
    pictures = [{0}, {0, 1}, {0}, {0, 2}, {0, 2}, set(), {0}, {0}]
    # Shares 7/8, 1/8 and 2/8: the rarest wants sqrt(0.5 / 0.125) = 2, the next one sqrt(2).
    assert lvis.repeat_factors(pictures, 0.5) == pytest.approx([1, 2, 1, 2**0.5, 2**0.5, 1, 1, 1])
    assert lvis.repeat_factors(pictures, 0.1) == [1.0] * 8


def test_rounding_keeps_the_total_and_the_expectations(lvis):
    factors = [1.0, 2.0, 1.0, 2**0.5, 2**0.5, 1.0, 3.3]
    drawn = np.array([lvis.round_fairly(factors, seed) for seed in range(4000)])
    assert set(drawn.sum(1)) == {11}
    expected = np.array(factors) * 11 / sum(factors)
    np.testing.assert_allclose(drawn.mean(0), expected, atol=0.03)
    assert (np.abs(drawn - expected) < 1).all()


def test_lvis_finds_its_pictures_in_both_folders(lvis, scenes):
    fields = ["image", "gt_bbox", "gt_class", "gt_poly", "is_crowd"]
    dataset = lvis.LVISDataSet(str(scenes), anno_path="annotations/lvis_v1_val.json", data_fields=fields)
    dataset.parse_dataset()
    files = [scenes.parent / record["im_file"] for record in dataset.roidbs]
    assert len(files) == 5 and all(path.is_file() for path in files)
    assert {path.parent.name for path in files} == {"train2017", "val2017"}
    for record in dataset.roidbs:
        assert record["gt_bbox"].shape == (len(record["gt_class"]), 4) and len(record["gt_poly"])
        assert record["gt_class"].max() < 11


def test_lvis_repeats_the_pictures_of_rare_classes(lvis, scenes):
    dataset = lvis.LVISDataSet(
        str(scenes.parent),
        scenes.name,
        f"{scenes.name}/annotations/lvis_v1_train.json",
        data_fields=["image", "gt_class"],
        repeat_threshold=2.0,
    )
    dataset.parse_dataset()
    epochs = []
    for epoch in range(20):
        dataset.set_epoch(epoch)
        epochs.append([int(record["im_id"][0]) for record in dataset.roidbs])
    factors = lvis.repeat_factors([set(r["gt_class"].flatten().tolist()) for r in dataset.records], 2.0)
    assert all((scenes.parent.parent / record["im_file"]).is_file() for record in dataset.records)
    assert {len(epoch) for epoch in epochs} == {int(sum(factors))} and len(set(map(tuple, epochs))) > 1
    assert all(set(epoch) == set(range(1, 9)) for epoch in epochs)


@pytest.mark.parametrize("kind", ["bbox", "segm"])
def test_perfect_predictions_have_ap_1(lvis, scenes, kind):
    path = scenes / "annotations/lvis_v1_val.json"
    truth = COCO(path)
    results = []
    for thing in truth.anns.values():
        found = {"bbox": thing["bbox"]} if kind == "bbox" else {"segmentation": truth.annToRLE(thing)}
        results.append(
            {"image_id": thing["image_id"], "category_id": thing["category_id"], "score": 0.9, **found}
        )
    precisions = dict(zip(["AP", "AP50", "AP75"], lvis.evaluate(str(path), results, kind)))
    assert precisions == {"AP": 1.0, "AP50": 1.0, "AP75": 1.0}
    assert lvis.evaluate(str(path), [], kind) == [0.0] * 9


# Bridges

NOT_NEEDED = """
def needed(call, *errors):
    try:
        call()
    except errors:
        return
    raise SystemExit("not needed here")
"""
BRIDGES = {
    "scalars_in_concat": """
import paddle
from ppdet.modeling import post_process
from ppdet.modeling.heads import mask_head
from ppdet.modeling.proposal_generator import rpn_head, target
scalars = [paddle.to_tensor(3), paddle.to_tensor(4)]
for module in (post_process, mask_head, rpn_head, target):
    assert module.paddle.concat(scalars).tolist() == [3, 4]
    assert module.paddle.concat([paddle.ones([2]), paddle.zeros([1])]).tolist() == [1, 1, 0]
    assert module.paddle.zeros is paddle.zeros
needed(lambda: paddle.concat(scalars), ValueError, TypeError)
""",
    "aligned_roi_align": """
import inspect
from ppcls_mixformer.paddledet.bridges import _keeping_aligned
from ppdet.modeling.heads.roi_extractor import RoIAlign
class AsInDevelop:
    def __init__(self, resolution=14, aligned=False):
        self.aligned = False
assert not AsInDevelop(aligned=True).aligned
names = list(inspect.signature(AsInDevelop.__init__).parameters)
AsInDevelop.__init__ = _keeping_aligned(AsInDevelop.__init__)
assert AsInDevelop(aligned=True).aligned and AsInDevelop(7, True).aligned and not AsInDevelop().aligned
assert list(inspect.signature(AsInDevelop.__init__).parameters) == names
assert RoIAlign(aligned=True).aligned and not RoIAlign(aligned=False).aligned
""",
    "whole_graphs": """
import paddle
from ppcls_mixformer.paddledet.bridges import whole_graphs
layer = paddle.nn.Linear(3, 2)
def program():
    spec = [paddle.static.InputSpec([None, 3])]
    return paddle.jit.to_static(layer, input_spec=spec).forward.main_program
with whole_graphs():
    assert program() is not None
needed(program, AssertionError, RuntimeError, AttributeError)
""",
    "nms_in_graphs": """
import paddle
from ppdet.modeling import ops
boxes = paddle.to_tensor([[[0.0, 0, 10, 10], [1, 1, 10, 10], [20, 20, 30, 30]]])
scores = paddle.to_tensor([[[0.9, 0.8, 0.7]]])
def bridged(boxes, scores):
    return ops.multiclass_nms(boxes, scores, 0.1, 100, 100, 0.5)[:2]
def stock(boxes, scores):
    return ops.multiclass_nms.bridged(boxes, scores, 0.1, 100, 100, 0.5)[:2]
def find(network):
    specs = [paddle.static.InputSpec([1, 3, 4]), paddle.static.InputSpec([1, 1, 3])]
    return paddle.jit.to_static(network, input_spec=specs, full_graph=True)(boxes, scores)
expected = ops.multiclass_nms(boxes, scores, 0.1, 100, 100, 0.5)[:2]
assert [value.tolist() for value in find(bridged)] == [value.tolist() for value in expected]
assert expected[1].tolist() == [2]
needed(lambda: find(stock), TypeError, ValueError, RuntimeError)
""",
    "inputs_of_exports": """
import paddle
from ppdet.engine import trainer
def network(inputs):
    return inputs["image"] * 2
specs = [{n: paddle.static.InputSpec([None, 3], name=n) for n in ("image", "im_shape")}]
static = paddle.jit.to_static(network, input_spec=specs, full_graph=True)
program, targets = static.main_program, static.outputs
assert list(trainer._prune_input_spec(specs, program, targets)[0]) == ["image"]
def stock():
    (kept,) = trainer._prune_input_spec.bridged(specs, program, targets)
    assert list(kept) == ["image"]
needed(stock, AssertionError, AttributeError)
""",
    "categories_of_lvis": """
from ppdet.engine import export_utils, trainer
path = "SCENES/annotations/lvis_v1_val.json"
for module in (export_utils, trainer):
    classes, names = module.get_categories("LVIS", path)
    assert len(names) == 11 and names[classes[0]] == "zero"
needed(lambda: trainer.get_categories.bridged("LVIS", path), ValueError)
""",
    "numpy_float_in_lvis": """
import lvis.eval, numpy
assert lvis.eval.np.float is float and lvis.eval.np.zeros is numpy.zeros
needed(lambda: numpy.float, AttributeError)
""",
    "size_of_drawn_text": """
import numpy as np
from PIL import Image, ImageDraw
from ppdet.utils.visualizer import draw_bbox
def draw():
    box = {"image_id": 1, "category_id": 1, "bbox": [20, 20, 30, 30], "score": 0.9}
    return np.asarray(draw_bbox(Image.new("RGB", (80, 80)), 1, {1: "zero"}, [box], 0.5))
assert draw()[12:18, 22:40].any()
if "ppcls_mixformer" not in ImageDraw.ImageDraw.textsize.__module__:
    raise SystemExit("not needed here")
del ImageDraw.ImageDraw.textsize
needed(draw, AttributeError)
""",
    "whole_checkpoints": """
import os, tempfile, paddle
from ppdet.engine import callbacks
from ppdet.utils import checkpoint
assert callbacks.save_model is checkpoint.save_model
class Optimizer:
    def state_dict(self):
        raise KeyboardInterrupt
def kept(save):
    with tempfile.TemporaryDirectory() as folder:
        paddle.save({"a": paddle.ones([1])}, folder + "/x.pdparams")
        try:
            save({"a": paddle.zeros([1])}, Optimizer(), folder, "x", 3)
        except KeyboardInterrupt:
            pass
        assert os.listdir(folder) == ["x.pdparams"]
        return paddle.load(folder + "/x.pdparams")["a"].item() == 1
assert kept(checkpoint.save_model)
assert not kept(checkpoint.save_model.bridged)
""",
    "applied_once": """
from ppcls_mixformer.paddledet import bridges
from ppdet.engine import trainer
from ppdet.modeling import ops, post_process
from ppdet.utils import checkpoint
places = [(trainer, "get_categories"), (ops, "multiclass_nms"), (post_process, "paddle")]
places += [(checkpoint, "save_model")]
before = [getattr(*place) for place in places]
bridges.apply()
assert [getattr(*place) for place in places] == before
assert not hasattr(before[0].bridged, "bridged")
""",
}


@pytest.fixture(scope="module")
def bridge_logs(scenes, tmp_path_factory):
    scripts = {name: NOT_NEEDED + script + "\nprint('done')\n" for name, script in BRIDGES.items()}
    scripts = {name: script.replace("SCENES", str(scenes)) for name, script in scripts.items()}
    return in_forks(tmp_path_factory.mktemp("bridges"), scripts)


@pytest.mark.parametrize("name", BRIDGES)
def test_bridge(bridge_logs, name):
    if bridge_logs[name].strip().endswith("not needed here"):
        pytest.skip(f"paddle {paddle.__version__} and what is installed do not have what {name} mends")
    assert bridge_logs[name].strip().endswith("done"), bridge_logs[name]


def test_every_bridge_has_a_test(lvis):
    source = (ROOT / "ppcls_mixformer/paddledet/bridges.py").read_text()
    assert set(re.findall(r"^def ([a-z]\w+)\(", source, re.M)) - {"apply"} == set(BRIDGES) - {"applied_once"}


# Errors

REFUSALS = {
    "no config": ("train", "configs/none.yml", [], [], "config file not found: configs/none.yml"),
    "config of another host": (
        "train",
        "configs/scenes/upernet_mixformer_b0.yml",
        [],
        [],
        "is not a PaddleDetection config: it has no architecture, TrainReader, metric",
    ),
    "no GPU": ("train", DETECTOR, ["use_gpu=true"], [], "use_gpu is true, but this machine"),
    "no data": (
        "train",
        DETECTOR,
        ["TrainDataset.dataset_dir=nowhere"],
        [],
        "TrainDataset.dataset_dir: there is no folder nowhere",
    ),
    "no pictures": (
        "train",
        DETECTOR,
        ["TrainDataset.image_dir=none"],
        [],
        "TrainDataset.image_dir: there is no",
    ),
    "no data to evaluate": (
        "train",
        DETECTOR,
        ["EvalDataset.dataset_dir=nowhere"],
        ["--eval"],
        "EvalDataset.dataset_dir: there is no folder nowhere",
    ),
    "no annotations": (
        "train",
        DETECTOR,
        ["TrainDataset.anno_path=annotations/none.json"],
        [],
        "TrainDataset.anno_path: there is no file",
    ),
    "keypoints for instances": (
        "train",
        DETECTOR,
        ["TrainDataset.anno_path=annotations/person_keypoints_train2017.json"],
        [],
        "has 1 classes, num_classes is 11",
    ),
    "no boxes of a detector": (
        "train",
        KEYPOINTS,
        ["EvalDataset.use_gt_bbox=False", "EvalDataset.bbox_file=none.json"],
        ["--eval"],
        "EvalDataset.bbox_file: there is no file",
    ),
    "instances for keypoints": (
        "train",
        KEYPOINTS,
        ["TrainDataset.anno_path=annotations/instances_train2017.json"],
        [],
        "is not a file of COCO keypoints: its annotations have no keypoints",
    ),
    "COCO for LVIS": (
        "train",
        LVIS,
        ["TrainDataset.anno_path=annotations/instances_train2017.json"],
        [],
        "is not a file of LVIS v1: its categories have no frequency",
    ),
    "other classes": ("train", DETECTOR, ["num_classes=80"], [], "has 11 classes, num_classes is 80"),
    "no weights": ("eval", DETECTOR, ["weights=FILES/none"], [], "weights: checkpoint not found: FILES/none"),
    "damaged weights": (
        "eval",
        DETECTOR,
        ["weights=FILES/damaged"],
        [],
        "weights: FILES/damaged.pdparams: not a whole",
    ),
    "weights of another variant": (
        "export",
        DETECTOR,
        ["weights=FILES/b1"],
        [],
        "weights: FILES/b1 is of another variant: it has embed_dim 32",
    ),
    "weights of a classifier": ("infer", DETECTOR, ["weights=CLASSIFIER"], [], "is of a classifier alone"),
    "weights of other classes": (
        "eval",
        DETECTOR,
        ["weights=FILES/three"],
        [],
        "weights: FILES/three was trained for 3 classes, num_classes is 11",
    ),
    "nothing to resume": (
        "train",
        DETECTOR,
        [],
        ["-r", "FILES/none"],
        "--resume: checkpoint not found: FILES/none",
    ),
    "damaged to resume": (
        "train",
        DETECTOR,
        [],
        ["-r", "FILES/damaged"],
        "--resume: FILES/damaged.pdparams: not a whole",
    ),
    "another variant to resume": (
        "train",
        DETECTOR,
        [],
        ["-r", "FILES/b1"],
        "--resume: FILES/b1 is of another variant",
    ),
    "no optimizer to resume": (
        "train",
        DETECTOR,
        [],
        ["-r", "FILES/b0"],
        "there is no FILES/b0.pdopt, which resuming needs",
    ),
    "no classifier": (
        "train",
        DETECTOR,
        ["MixFormer.pretrained=FILES/none"],
        [],
        "checkpoint not found: FILES/none",
    ),
    "damaged classifier": (
        "train",
        DETECTOR,
        ["MixFormer.pretrained=FILES/damaged"],
        [],
        "FILES/damaged.pdparams: not a whole Paddle checkpoint",
    ),
    "classifier of another variant": (
        "train",
        DETECTOR,
        ["MixFormer.pretrained=CLASSIFIER", "MixFormer.arch=MixFormer_B1"],
        [],
        "CLASSIFIER is not a checkpoint of this MixFormer (embed_dim 32",
    ),
    "unpublished weights": (
        "train",
        DETECTOR,
        ["MixFormer.pretrained=true"],
        [],
        "no weights were ever published for MixFormer_B0",
    ),
    "unknown argument": (
        "train",
        DETECTOR,
        ["MixFormer.droppath=0.1"],
        [],
        "MixFormer.droppath is not an argument; they are arch, out_indices",
    ),
    "unknown variant": (
        "train",
        DETECTOR,
        ["MixFormer.arch=MixFormer_B9"],
        [],
        "MixFormer_B9 is not a variant",
    ),
    "impossible stages": (
        "train",
        DETECTOR,
        ["MixFormer.out_indices=[3, 4]"],
        [],
        "MixFormer: out_indices must be",
    ),
    "no picture": (
        "infer",
        DETECTOR,
        ["weights=FILES/b0"],
        ["--infer_img", "none.jpg"],
        "--infer_img: there is no file none.jpg",
    ),
    "no folder of pictures": (
        "infer",
        DETECTOR,
        ["weights=FILES/b0"],
        ["--infer_dir", "nowhere"],
        "--infer_dir: there is no folder nowhere",
    ),
    "no value": ("train", DETECTOR, ["epoch"], [], "-o epoch: an override is written key=value"),
    "no YAML": ("train", DETECTOR, ["epoch=[1"], [], "-o epoch=[1: the value is not valid YAML"),
    "misspelt key": (
        "infer",
        DETECTOR,
        ["weights=FILES/b0", "TestReader.batch_sise=2"],
        ["--infer_img", "none.jpg"],
        "--infer_img: there is no file none.jpg",
    ),
}


@pytest.fixture(scope="module")
def refusal_logs(scenes, classifier, tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    trunks = {"b0": paddle.load(str(classifier)), "b1": MixFormer_B1().state_dict()}
    detectors = {k: {f"backbone.{n}": v for n, v in trunk.items()} for k, trunk in trunks.items()}
    detectors["three"] = {**detectors["b0"], "bbox_head.bbox_score.bias": paddle.zeros([4])}
    for name, state in detectors.items():
        paddle.save(state, str(folder / f"{name}.pdparams"))
    (folder / "damaged.pdparams").write_bytes(classifier.read_bytes()[:1000])

    def script(name, config, overrides, flags, _):
        arguments = command_line(scenes, config, *overrides, flags=flags)
        arguments = [fill(argument, folder, classifier) for argument in arguments]
        run_it = f"runpy.run_path('tools/det/{name}.py', run_name='__main__')"
        return f"import runpy, sys\nsys.argv[1:] = {arguments}\n{run_it}\n"

    logs = in_forks(folder, {name: script(*case) for name, case in REFUSALS.items()})
    return {name: (log, fill(REFUSALS[name][4], folder, classifier)) for name, log in logs.items()}


def fill(text, folder, classifier):
    return text.replace("FILES", str(folder)).replace("CLASSIFIER", str(classifier))


@pytest.mark.parametrize("name", REFUSALS)
def test_refused_in_one_line(refusal_logs, name):
    log, expected = refusal_logs[name]
    assert expected in error_line(log)
    assert ("warning: " in log) == (name in ("misspelt key", "unknown argument"))


def test_a_misspelt_key_is_named_with_the_nearest_one(refusal_logs):
    lines = re.findall("^warning: .*", refusal_logs["misspelt key"][0], re.M)
    assert len(lines) == 1 and lines[0].startswith("warning: -o TestReader.batch_sise: ")
    assert lines[0].endswith("the nearest one is TestReader.batch_size")


def test_overrides_of_three_keys_and_of_several_flags_all_count(lvis):
    from ppcls_mixformer.paddledet import config

    flags = config.common_flags().parse_args(["-c", "x", "-o", "a.b.c=1", "-o", "a.b.d=[2]", "a.e=x"])
    assert config.nested(flags.opt) == {"a": {"b": {"c": 1, "d": [2]}, "e": "x"}}


# Configs

CONFIGS = sorted([*ROOT.glob("configs/COCO/*.yml"), *ROOT.glob("configs/LVIS/*.yml")])
# Published: parameters in M, multiply-adds in G.
PUBLISHED = {"b1": (26, 183), "b2": (28, 187), "b3": (35, 207), "b4": (53, 243)}
BUILD = """
import json, sys, paddle
from types import SimpleNamespace
from benchmarks.flops import multiply_adds
from ppcls_mixformer.paddledet import config, preflight
from ppdet.core.workspace import create
settings = config.load(SimpleNamespace(config=CONFIG, opt=["MixFormer.pretrained=null", "use_gpu=false"]))
preflight.check_backbone()
model = create(settings.architecture)
model.eval()
schedule = create("LearningRate")(100)
create("OptimizerBuilder")(schedule, model)
for reader in ("TrainReader", "EvalReader", "TestReader"):
    create(reader)
found = {"parameters": sum(p.size for p in model.parameters() if not p.stop_gradient)}
def count(layer, channels, height=1, width=1):
    return multiply_adds(paddle.nn.Sequential(layer), paddle.zeros([1, channels, height, width]))
if "1x_coco" in CONFIG:
    neck, rpn, box, mask = model.neck, model.rpn_head, model.bbox_head, model.mask_head
    sizes = [(200, 320), (100, 160), (50, 80), (25, 40), (13, 20)]
    positions = [height * width for height, width in sizes]
    total = multiply_adds(model.backbone, {"image": paddle.zeros([1, 3, 800, 1280])})
    for at, channels, *layers in zip(positions, model.backbone.out_dims, neck.lateral_convs, neck.fpn_convs):
        total += at * (count(layers[0], channels) + count(layers[1], 256))
    layers = rpn.rpn_feat.rpn_conv, rpn.rpn_rois_score, rpn.rpn_rois_delta
    total += sum(positions) * sum(count(layer, 256) for layer in layers)
    total += 1000 * (count(box.head, 256, 7, 7) + 1024 * (81 + 320))  # its two last linear layers
    total += 100 * (count(mask.head, 256, 14, 14) + count(mask.mask_fcn_logits, 256, 28, 28))
    found["multiply_adds"] = total
print("found", json.dumps(found))
"""


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """What BUILD finds in each config."""
    scripts = {path.stem: f"CONFIG = {str(path)!r}\n{BUILD}" for path in CONFIGS}
    logs = in_forks(tmp_path_factory.mktemp("configs"), scripts)
    assert all("\nfound {" in f"\n{log}" for log in logs.values()), logs
    return {name: json.loads(log.split("found ")[-1]) for name, log in logs.items()}


def test_every_config_builds(built):
    assert len(built) == 10 and all(found["parameters"] > 20e6 for found in built.values())


@pytest.mark.parametrize("variant", PUBLISHED)
def test_published_size_of_mask_rcnn(built, variant):
    """Trainable parameters, without running statistics and tables of positions. Multiply-adds of one picture
    of 800×1280 in convolutions, transposed ones as well, linear layers and the products of attention, with
    1000 proposals in the box head and 100 boxes in the mask head."""
    found = built[f"mask_rcnn_mixformer_{variant}_1x_coco"]
    assert found["parameters"] / 1e6 == pytest.approx(PUBLISHED[variant][0], abs=0.6)
    assert found["multiply_adds"] / 1e9 == pytest.approx(PUBLISHED[variant][1], abs=1.5)


@pytest.mark.parametrize("schedule", ["1x", "3x"])
@pytest.mark.parametrize("variant", PUBLISHED)
def test_mask_rcnn_configs_differ_in_variant_and_schedule(variant, schedule):
    name = f"mask_rcnn_mixformer_{variant}_{schedule}_coco"
    config = yaml.safe_load((ROOT / f"configs/COCO/{name}.yml").read_text())
    arch = f"MixFormer_{variant.upper()}"
    bases = [
        "runtime",
        "coco_instance",
        "mask_rcnn_mixformer_fpn",
        "reader",
        "optimizer",
        f"schedule_{schedule}",
    ]
    if schedule == "3x":
        bases.insert(4, "multi_scale_reader")
    rate = min(VARIANTS[arch].drop_path_rate, {"1x": 0.1, "3x": 0.2}[schedule])  # Swin-T's
    assert config == {
        "_BASE_": [f"_base_/{base}.yml" for base in bases],
        "weights": f"output/{name}/model_final",
        "MixFormer": {"arch": arch, "drop_path_rate": rate, "pretrained": True},
    }
