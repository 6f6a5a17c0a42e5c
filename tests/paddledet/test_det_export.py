"""An export, read by Paddle inference in a process of its own, finds what the trained network finds."""

import sys

import numpy as np
import paddle
import pytest
import yaml
from commands import HAS_ONNX, run
from det_tools import DETECTOR, KEYPOINTS, command_line, forget_config, tool

from ppcls_mixformer.hosting import onnx
from ppcls_mixformer.hosting.inference import find_program, predictor
from ppcls_mixformer.paddledet import commands
from ppcls_mixformer.paddledet.pasting import PastedMasks

pytestmark = pytest.mark.slow

BATCHES = {DETECTOR: (1, 2), KEYPOINTS: (1, 3)}


def outputs_of(model, data):
    """What the trained `model` gives for a batch, in the order in which an export gives it."""
    with paddle.no_grad():
        if hasattr(model, "mask_head"):
            outputs = model(data)
            return [np.asarray(outputs[name]) for name in ("bbox", "bbox_num", "mask")]
        return [model.final_conv(model.backbone(data)[0]).numpy()]


def run_trained(arguments, pictures, batches):
    """Inputs and outputs of a trained network on `pictures`, as `det_run_export.py` reads them."""
    _, config = commands.prepare(arguments, "export")
    from ppdet.core.workspace import create

    trainer = commands.load_trainer(config, "test")
    trainer.model.eval()
    arrays = {}
    for batch in batches:
        config["TestReader"]["batch_size"] = batch
        trainer.dataset.set_images(pictures)
        for number, data in enumerate(create("TestReader")(trainer.dataset, 0)):
            case = f"batch {batch}, {number}"
            outputs = enumerate(outputs_of(trainer.model, data))
            arrays.update({f"{case}/in/{name}": value.numpy() for name, value in data.items()})
            arrays.update({f"{case}/out/{index}": value for index, value in outputs})
    return arrays


@pytest.fixture(scope="module")
def exported(scenes, trained, sections, tmp_path_factory):
    """Of a config's name: folder of its export, file of what the trained network gives at some batches."""
    exports = {}

    def get(config):
        if config not in exports:
            folder = tmp_path_factory.mktemp("exported")
            weights = f"weights={trained(config)[0]}"
            more = ["--full-masks"] if config == DETECTOR else ["--onnx"] * HAS_ONNX
            flags = ["--output_dir", folder, *more]
            log = tool("export", scenes, config, weights, flags=flags)
            assert "was not written" not in log, log[-3000:]
            assert f"{folder / config}/model.pdiparams" in log
            forget_config(sections)
            pictures = sorted(str(path) for path in (scenes / "val2017").glob("*.jpg"))
            arrays = run_trained(command_line(scenes, config, weights), pictures, BATCHES[config])
            np.savez(folder / "expected.npz", **arrays)
            exports[config] = folder / config, folder / "expected.npz"
        return exports[config]

    return get


def read_back(export, path, mode):
    """`(case, expected outputs, outputs of the export in a fresh process)`, case by case."""
    folder, expected = export
    program = find_program(folder, "model")
    run(sys.executable, "tests/scripts/det_run_export.py", program, expected, path, mode)
    arrays = [np.load(expected), np.load(path)]
    for case in sorted({name.split("/")[0] for name in arrays[0]}):
        names = sorted(name for name in arrays[0] if name.startswith(f"{case}/out"))
        yield case, arrays[0], [[group[name] for name in names] for group in arrays]


def split(outputs):
    """Boxes `[R, 6]` and masks `[R, H, W]` of each picture in the outputs of a batch."""
    boxes, counts, masks = outputs
    ends = np.cumsum(counts)[:-1]
    return list(zip(np.split(boxes, ends), np.split(masks, ends)))


@pytest.mark.parametrize("mode", ["plain", "oneDNN"])
def test_exported_detector_finds_the_same(exported, tmp_path, mode):
    sizes, batches = set(), set()
    for case, arrays, (expected, found) in read_back(exported(DETECTOR), tmp_path / "found.npz", mode):
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
    assert len(sizes) > 1 and batches == set(BATCHES[DETECTOR])


@pytest.mark.parametrize("mode", ["plain", "oneDNN"])
def test_exported_keypoints_have_the_same_heat_maps(exported, tmp_path, mode):
    shapes = set()
    for case, _, ((expected,), (found,)) in read_back(exported(KEYPOINTS), tmp_path / "found.npz", mode):
        shapes.add(expected.shape)
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4, err_msg=case)
    assert shapes == {(batch, 17, 32, 24) for batch in BATCHES[KEYPOINTS]}


@pytest.mark.skipif(not HAS_ONNX, reason="there is no paddle2onnx")
def test_onnx_runtime_gives_the_same_heat_maps(exported):
    folder, path = exported(KEYPOINTS)
    runtime, arrays, batches = onnx.session(folder / "model.onnx"), np.load(path), set()
    for case in sorted({name.split("/")[0] for name in arrays}):
        maps, places = runtime.run(None, {"image": arrays[f"{case}/in/image"]})
        expected = arrays[f"{case}/out/0"]
        np.testing.assert_allclose(maps, expected, rtol=0, atol=1e-5, err_msg=case)
        assert (maps.reshape(*places.shape, -1).argmax(2) == places).all()
        batches.add(len(maps))
    assert batches == set(BATCHES[KEYPOINTS])


def test_masks_in_boxes_are_pasted_to_the_whole_ones(exported, scenes, trained, sections, tmp_path):
    (folder, path), weights = exported(DETECTOR), f"weights={trained(DETECTOR)[0]}"
    from ppdet.engine.export_utils import TRT_MIN_SUBGRAPH

    forget_config(sections)
    flags = ["--output_dir", tmp_path, *["--onnx"] * HAS_ONNX]
    commands.export(command_line(scenes, DETECTOR, weights, flags=flags))
    whole, small = (
        predictor(find_program(each, "model"), onednn=False) for each in (folder, tmp_path / DETECTOR)
    )
    arrays, names = np.load(path), ("image", "im_shape", "scale_factor")
    inputs = {name: arrays[f"batch 2, 0/in/{name}"] for name in names}
    (expected, counts, masks), (boxes, found_counts, small_masks) = whole(**inputs), small(**inputs)
    assert small_masks.shape == (len(boxes), 28, 28) and (counts == found_counts).all()
    np.testing.assert_allclose(boxes, expected, rtol=0, atol=1e-4)
    sizes = np.floor(inputs["im_shape"] / inputs["scale_factor"] + 0.5).astype(int)
    settings = yaml.safe_load((tmp_path / DETECTOR / "infer_cfg.yml").read_text())
    assert settings["mask_in_box"] and not any(known in settings["arch"] for known in TRT_MIN_SUBGRAPH)
    pasted = PastedMasks(small_masks, boxes[:, 2:], sizes.repeat(counts, 0), settings["mask_threshold"])
    found = np.asarray(pasted)
    assert found.shape == masks.shape and (found == 1).any()
    assert (found != masks)[found >= 0].mean() < 1e-5
    if HAS_ONNX:
        runtime = onnx.session(tmp_path / DETECTOR / "model.onnx")
        with pytest.raises(Exception, match="invalid dimensions"):  # it takes one picture at a time
            runtime.run(None, inputs)
        for number in range(2):
            inputs = {name: arrays[f"batch 1, {number}/in/{name}"] for name in names}
            (boxes, counts, masks), (expected, _, small_masks) = runtime.run(None, inputs), small(**inputs)
            assert counts == len(boxes) == len(expected) > 5
            gaps = (np.abs(boxes[:, None] - expected) / [1e-6, 1e-4, *[1e-3] * 4]).max(2)
            assert gaps.min(1).max() < 1 and gaps.min(0).max() < 1
            np.testing.assert_allclose(masks, small_masks[gaps.argmin(1)], rtol=0, atol=1e-3)


def test_an_export_says_how_to_prepare_pictures(exported):
    settings = yaml.safe_load((exported(DETECTOR)[0] / "infer_cfg.yml").read_text())
    assert settings["arch"] in ("MaskRCNN", "RCNN")
    assert settings["Preprocess"][0]["type"] == "Resize" and len(settings["label_list"]) == 11
