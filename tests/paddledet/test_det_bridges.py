"""Every bridge to PaddleDetection does its work, and without it this Paddle would fail."""

import inspect
import json
import os
import sys
import types
import warnings

import numpy as np
import paddle
import pytest
from crashes import states
from PIL import Image, ImageDraw

from ppcls_mixformer.hosting import whole
from ppcls_mixformer.hosting.errors import UserError
from ppcls_mixformer.weights.checkpoint import read_file

pytestmark = pytest.mark.usefixtures("host")

BOXES = [[[0.0, 0, 10, 10], [1, 1, 10, 10], [20, 20, 30, 30]]]
SCORES = [[[0.9, 0.8, 0.7]]]
NMS = (0.1, 100, 100, 0.5)


def skip_unless_it_fails(call, *errors):
    """Skips the rest of a test where `call`, which does without the bridge, ends well."""
    try:
        call()
    except errors:
        return
    pytest.skip(f"paddle {paddle.__version__} and what is installed do well without the bridge")


def test_scalars_are_concatenated():
    from ppdet.modeling import post_process
    from ppdet.modeling.heads import mask_head
    from ppdet.modeling.proposal_generator import rpn_head, target

    scalars = [paddle.to_tensor(3), paddle.to_tensor(4)]
    for module in (post_process, mask_head, rpn_head, target):
        assert module.paddle.concat(scalars).tolist() == [3, 4]
        assert module.paddle.concat([paddle.ones([2]), paddle.zeros([1])]).tolist() == [1, 1, 0]
        assert module.paddle.zeros is paddle.zeros
    skip_unless_it_fails(lambda: paddle.concat(scalars), ValueError, TypeError)


def test_the_scaler_steps_groups_of_parameters():
    from ppdet.engine import trainer

    weight = paddle.create_parameter([1], "float32", default_initializer=paddle.nn.initializer.Constant(1.0))

    def step(scaler):
        optimizer = paddle.optimizer.AdamW(0.1, parameters=[{"params": [weight]}])
        loss = scaler.scale((2 * weight).sum())
        loss.backward()
        scaler.minimize(optimizer, loss)

    step(trainer.paddle.amp.GradScaler(enable=False))
    assert float(weight) < 1.0
    skip_unless_it_fails(lambda: step(paddle.amp.GradScaler(enable=False)), ValueError, TypeError)


def test_roi_align_is_aligned_where_the_config_says_so(monkeypatch):
    from ppdet.modeling.heads.roi_extractor import RoIAlign

    from ppcls_mixformer.paddledet import bridges

    class AsInDevelop:
        def __init__(self, resolution=14, aligned=False):
            self.aligned = False

    assert RoIAlign(aligned=True).aligned and not RoIAlign(aligned=False).aligned
    names = list(inspect.signature(AsInDevelop).parameters)
    assert not AsInDevelop(aligned=True).aligned
    monkeypatch.setattr(bridges, "RoIAlign", AsInDevelop)
    bridges.aligned_roi_align()
    assert AsInDevelop(aligned=True).aligned and AsInDevelop(7, True).aligned and not AsInDevelop().aligned
    assert list(inspect.signature(AsInDevelop).parameters) == names


def test_exports_are_whole_graphs():
    from ppcls_mixformer.paddledet.bridges import whole_graphs

    layer = paddle.nn.Linear(3, 2)

    def program():
        spec = [paddle.static.InputSpec([None, 3])]
        return paddle.jit.to_static(layer, input_spec=spec).forward.main_program

    with whole_graphs():
        assert program() is not None
    skip_unless_it_fails(program, AssertionError, RuntimeError, AttributeError)


def bridged_nms(boxes, scores):
    from ppdet.modeling import ops

    return ops.multiclass_nms(boxes, scores, *NMS)[:2]


def stock_nms(boxes, scores):
    from ppdet.modeling import ops

    return ops.multiclass_nms.bridged(boxes, scores, *NMS)[:2]


def test_nms_in_a_graph_keeps_the_same_boxes():
    tensors = paddle.to_tensor(BOXES), paddle.to_tensor(SCORES)

    def in_graph(nms):
        specs = [paddle.static.InputSpec(tensor.shape) for tensor in tensors]
        return paddle.jit.to_static(nms, input_spec=specs, full_graph=True)(*tensors)

    kept, counts = bridged_nms(*tensors)
    assert counts.tolist() == [2]
    assert [value.tolist() for value in in_graph(bridged_nms)] == [kept.tolist(), [2]]
    skip_unless_it_fails(lambda: in_graph(stock_nms), TypeError, ValueError, RuntimeError)


def doubled(inputs):
    return inputs["image"] * 2


def test_an_export_has_only_the_inputs_that_it_uses():
    from ppdet.engine import trainer

    specs = [{n: paddle.static.InputSpec([None, 3], name=n) for n in ("image", "im_shape")}]
    static = paddle.jit.to_static(doubled, input_spec=specs, full_graph=True)
    program, targets = static.main_program, static.outputs

    def check(prune):
        assert list(prune(specs, program, targets)[0]) == ["image"]

    check(trainer._prune_input_spec)
    skip_unless_it_fails(
        lambda: check(trainer._prune_input_spec.bridged), AssertionError, AttributeError, TypeError
    )


def test_categories_of_lvis_are_read(scenes):
    from ppdet.engine import export_utils, trainer

    path = str(scenes / "annotations/lvis_v1_val.json")
    for module in (export_utils, trainer):
        classes, names = module.get_categories("LVIS", path)
        assert len(names) == 11 and names[classes[0]] == "zero"
    skip_unless_it_fails(lambda: trainer.get_categories.bridged("LVIS", path), ValueError)


def test_lvis_finds_float():
    import lvis.eval

    assert lvis.eval.np.float is float and lvis.eval.np.zeros is np.zeros
    skip_unless_it_fails(lambda: np.float, AttributeError)


def test_text_is_drawn(monkeypatch):
    from ppdet.utils.visualizer import draw_bbox

    def draw():
        box = {"image_id": 1, "category_id": 1, "bbox": [20, 20, 30, 30], "score": 0.9}
        return np.asarray(draw_bbox(Image.new("RGB", (80, 80)), 1, {1: "zero"}, [box], 0.5))

    assert draw()[12:18, 22:40].any()
    if ImageDraw.ImageDraw.textsize.__module__.startswith("ppcls_mixformer"):
        monkeypatch.delattr(ImageDraw.ImageDraw, "textsize")
    skip_unless_it_fails(draw, AttributeError)


class Interrupting:
    """An optimizer with which saving ends halfway."""

    def state_dict(self):
        raise KeyboardInterrupt


def test_a_checkpoint_is_whole_or_the_old_one(tmp_path):
    from ppdet.engine import callbacks
    from ppdet.utils import checkpoint

    def old_one_is_there_after(save):
        paddle.save({"a": paddle.ones([1])}, str(tmp_path / "x.pdparams"))
        with pytest.raises(KeyboardInterrupt):
            save({"a": paddle.zeros([1])}, Interrupting(), str(tmp_path), "x", 3)
        assert os.listdir(tmp_path) == ["x.pdparams"]
        return paddle.load(str(tmp_path / "x.pdparams"))["a"].item() == 1

    assert callbacks.save_model is checkpoint.save_model
    assert old_one_is_there_after(checkpoint.save_model)
    assert not old_one_is_there_after(checkpoint.save_model.bridged)


class Optimizer:
    """What is saved of an optimizer."""

    def state_dict(self):
        return {}


@pytest.mark.skipif(whole.fcntl is None, reason="this system has no file locks")
def test_a_checkpoint_is_of_one_epoch_whenever_the_trainer_is_killed(tmp_path):
    from ppdet.utils import checkpoint

    output, seen = tmp_path / "output", set()

    def save(epoch):
        weights, average = ({"a": paddle.full([1], epoch)} for _ in range(2))
        checkpoint.save_model(weights, Optimizer(), str(output), "x", epoch, average)

    save(1)
    for state in states(output, lambda: save(2), tmp_path / "copies"):
        weights = read_file(state / "x.pdparams")  # which settles
        epochs = {int(weights["a"].item()), int(read_file(state / "x.pdema")["a"].item())}
        epochs.add(read_file(state / "x.pdopt")["last_epoch"])
        assert len(epochs) == 1 and len(os.listdir(state)) == 3
        seen |= epochs
    assert seen == {1, 2}


@pytest.mark.parametrize("name", ["COCOMetric", "LVISMetric"])
def test_results_are_whole_whenever_an_evaluation_is_killed(tmp_path, name):
    from ppdet.metrics import metrics

    from ppcls_mixformer.paddledet import lvis_metric

    output, seen = tmp_path / "output", set()
    output.mkdir()
    kind = {"COCOMetric": metrics.COCOMetric, "LVISMetric": lvis_metric.LVISMetric}[name]
    metric = kind("", clsid2catid={0: 1}, output_eval=str(output), save_prediction_only=True)
    for value in (1, 2):
        metric.results["bbox"] = [{"image_id": 1, "score": value}] * 1000
        for state in states(output, metric.accumulate, tmp_path / f"copies{value}"):
            if (state / "bbox.json").exists():
                found = json.loads((state / "bbox.json").read_text())
                assert len(found) == 1000
                seen.add(found[0]["score"])
    assert seen == {1, 2}


def test_pictures_are_whole_whenever_inference_is_killed(tmp_path, monkeypatch):
    import ppdet.engine

    from ppcls_mixformer.paddledet.trainer import Trainer

    def predict(self, images, *flags):
        picture.save(str(output / images[0]), *flags)

    noise, output = np.random.RandomState(0).randint(0, 256, [64, 64, 3], "uint8"), tmp_path / "output"
    picture = Image.fromarray(noise)
    output.mkdir()
    monkeypatch.setattr(ppdet.engine.Trainer, "predict", predict)
    trainer, found = object.__new__(Trainer), []
    for state in states(output, lambda: trainer.predict(["a.png"]), tmp_path / "copies"):
        for path in state.glob("*.png"):
            found.append(np.array(Image.open(path)))
    assert found and all(np.array_equal(pixels, noise) for pixels in found)


def test_applying_the_bridges_again_changes_nothing():
    from ppdet.engine import trainer
    from ppdet.modeling import ops, post_process
    from ppdet.utils import checkpoint

    from ppcls_mixformer.paddledet import bridges

    places = [(trainer, "get_categories"), (ops, "multiclass_nms"), (post_process, "paddle")]
    places += [(checkpoint, "save_model")]
    before = [getattr(*place) for place in places]
    bridges.apply()
    assert [getattr(*place) for place in places] == before
    assert not hasattr(before[0].bridged, "bridged")


def test_the_number_of_a_picture_may_be_an_array():
    from ppdet.engine import trainer
    from ppdet.metrics import metrics

    for module in (trainer, metrics):
        assert [module.int(value) for value in (np.array([7]), np.array(7), np.int64(7), "7")] == [7, 7, 7, 7]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # numpy before 2.4 only warns
        skip_unless_it_fails(lambda: int(np.array([7])), TypeError)


def test_saved_results_name_their_pictures(host, tmp_path):
    from ppdet.metrics import COCOMetric

    metric = COCOMetric("none", clsid2catid={0: 1}, output_eval=str(tmp_path), save_prediction_only=True)
    metric.paths = {0: "pictures/boat.jpg"}
    boxes = {"bbox": np.array([[0, 0.9, 1, 2, 3, 4]]), "bbox_num": np.array([1])}
    metric.update({"im_id": np.array([[0]])}, boxes)
    metric.accumulate()
    (result,) = json.loads((tmp_path / "bbox.json").read_text())
    assert (result["image_id"], result["filename"]) == (0, "boat.jpg")


def test_curves_of_classes_are_beside_the_results(host, tmp_path, monkeypatch):
    from ppdet.metrics import metrics

    box = {"image_id": 1, "category_id": 1, "bbox": [1, 1, 9, 9]}
    truth = {
        "images": [{"id": 1, "width": 20, "height": 20, "file_name": "1.jpg"}],
        "annotations": [{"id": 1, "area": 81, "iscrowd": 0, **box}],
        "categories": [{"id": 1, "name": "a/b"}],
    }
    for name, content in (("truth.json", truth), ("results/bbox.json", [{**box, "score": 0.9}])):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(json.dumps(content))
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setitem(sys.modules, "terminaltables", types.SimpleNamespace(AsciiTable=Table))
    results, truth = (str(tmp_path / name) for name in ("results/bbox.json", "truth.json"))
    assert metrics.cocoapi_eval(results, "bbox", anno_file=truth, classwise=True)[0] == pytest.approx(1)
    assert (tmp_path / "results/bbox_pr_curve/a_b_precision_recall_curve.jpg").is_file()
    assert not list((tmp_path / "here").iterdir())


class Table:
    """What PaddleDetection asks of the package terminaltables, which is not installed."""

    def __init__(self, rows):
        self.table = str(rows)


def test_packages_for_lanes_need_not_be_there(monkeypatch):
    from ppcls_mixformer.paddledet import lanes

    monkeypatch.setattr(lanes, "PACKAGES", ("no_such_package", "numpy"))
    with lanes.packages_stood_in_for():
        import no_such_package.lines as lines
        from no_such_package.lines.deep import LineString
    for part in (LineString, lines.Polygon):
        with pytest.raises(UserError, match="need no_such_package, which is not installed"):
            part([0, 1])
    assert not [name for name in sys.modules if name.startswith("no_such_package")]
    with pytest.raises(ModuleNotFoundError):
        import no_such_package  # noqa: F401
    assert np.zeros(1).tolist() == [0]


def test_a_font_of_the_tree_is_not_downloaded(monkeypatch, tmp_path):
    from ppdet.utils import visualizer

    from ppcls_mixformer.paddledet import bridges

    monkeypatch.setattr(visualizer, "get_path", lambda url, folder: ("downloaded", False), raising=False)
    monkeypatch.setattr(visualizer, "__file__", str(tmp_path / "visualizer.py"))
    (tmp_path / "own.ttf").touch()
    bridges.font_of_the_tree()
    assert visualizer.get_path("https://example.com/own.ttf", "~") == (str(tmp_path / "own.ttf"), True)
    assert visualizer.get_path("https://example.com/other.ttf", "~") == ("downloaded", False)


def test_inference_reads_no_annotations(monkeypatch):
    from ppdet.data.source import dataset

    from ppcls_mixformer.paddledet import bridges

    class AsInDevelop:
        def _load_images(self, do_eval=False):
            return dataset.COCO("names.txt"), do_eval

    monkeypatch.setattr(dataset, "COCO", lambda path: f"annotations in {path}", raising=False)
    monkeypatch.setattr(dataset, "ImageFolder", AsInDevelop)
    bridges.pictures_without_annotations()
    assert AsInDevelop()._load_images() == (None, False)
    assert AsInDevelop()._load_images(do_eval=True) == ("annotations in names.txt", True)


def test_keypoints_have_the_name_of_each_release(monkeypatch):
    from ppcls_mixformer.paddledet import skeletons

    def transform(record):
        assert record["joints"] is record["gt_joints"]
        return {**record, "image": np.zeros([8, 4, 3], "float32")}

    class Model:
        def __call__(self, inputs):
            assert inputs["image"].shape == [1, 3, 8, 4]
            return {"keypoint": [[["found"]]]}

    config = types.SimpleNamespace(
        trainsize=[4, 8], pixel_std=200, num_joints=3, global_mean=[0.5] * 3, global_std=[0.5] * 3
    )
    monkeypatch.setattr(skeletons, "TopDownAffine", lambda size: transform)
    picture = np.zeros([20, 20, 3], "uint8")
    assert skeletons.find_keypoints(Model(), config, picture, (0, 0, 9, 9)) == "found"
