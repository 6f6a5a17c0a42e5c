"""LVIS as PaddleDetection's data: sampling by hand, pictures in both of COCO's folders, and the metric."""

import numpy as np
import pytest
from pycocotools.coco import COCO


@pytest.fixture
def lvis_data(host):
    from ppcls_mixformer.paddledet import lvis_data

    return lvis_data


def test_repeat_factors_by_hand(lvis_data):
    pictures = [{0}, {0, 1}, {0}, {0, 2}, {0, 2}, set(), {0}, {0}]
    # Shares 7/8, 1/8 and 2/8: the rarest wants sqrt(0.5 / 0.125) = 2, the next one sqrt(2).
    assert lvis_data.repeat_factors(pictures, 0.5) == pytest.approx([1, 2, 1, 2**0.5, 2**0.5, 1, 1, 1])
    assert lvis_data.repeat_factors(pictures, 0.1) == [1.0] * 8


def test_rounding_keeps_the_total_and_the_expectations(lvis_data):
    factors = [1.0, 2.0, 1.0, 2**0.5, 2**0.5, 1.0, 3.3]
    drawn = np.array([lvis_data.round_fairly(factors, seed) for seed in range(4000)])
    assert set(drawn.sum(1)) == {11}
    expected = np.array(factors) * 11 / sum(factors)
    np.testing.assert_allclose(drawn.mean(0), expected, atol=0.03)
    assert (np.abs(drawn - expected) < 1).all()


def test_lvis_finds_its_pictures_in_both_folders(lvis_data, scenes):
    fields = ["image", "gt_bbox", "gt_class", "gt_poly", "is_crowd"]
    path = "annotations/lvis_v1_val.json"
    dataset = lvis_data.LVISDataSet(str(scenes), anno_path=path, data_fields=fields)
    dataset.parse_dataset()
    files = [scenes.parent / record["im_file"] for record in dataset.roidbs]
    assert len(files) == 5 and all(path.is_file() for path in files)
    assert {path.parent.name for path in files} == {"train2017", "val2017"}
    for record in dataset.roidbs:
        assert record["gt_bbox"].shape == (len(record["gt_class"]), 4) and len(record["gt_poly"])
        assert record["gt_class"].max() < 11


def test_lvis_repeats_the_pictures_of_rare_classes(lvis_data, scenes):
    dataset = lvis_data.LVISDataSet(
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
    classes = [set(record["gt_class"].flatten().tolist()) for record in dataset.records]
    total = int(sum(lvis_data.repeat_factors(classes, 2.0)))
    assert all((scenes.parent.parent / record["im_file"]).is_file() for record in dataset.records)
    assert {len(epoch) for epoch in epochs} == {total} and len(set(map(tuple, epochs))) > 1
    assert all(set(epoch) == set(range(1, 9)) for epoch in epochs)


@pytest.mark.parametrize("kind", ["bbox", "segm"])
def test_perfect_predictions_have_ap_1(host, scenes, kind):
    from ppcls_mixformer.paddledet import lvis_metric

    path = scenes / "annotations/lvis_v1_val.json"
    truth = COCO(path)
    results = []
    for thing in truth.anns.values():
        found = {"bbox": thing["bbox"]} if kind == "bbox" else {"segmentation": truth.annToRLE(thing)}
        place = {"image_id": thing["image_id"], "category_id": thing["category_id"]}
        results.append({**place, "score": 0.9, **found})
    precisions = dict(zip(["AP", "AP50", "AP75"], lvis_metric.evaluate(str(path), results, kind)))
    assert precisions == {"AP": 1.0, "AP50": 1.0, "AP75": 1.0}
    assert lvis_metric.evaluate(str(path), [], kind) == [0.0] * 9
