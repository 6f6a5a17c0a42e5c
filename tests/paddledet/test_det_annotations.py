"""Annotation files as people have them: repaired in memory where that has one meaning, else refused."""

import json
import math
import os
import unicodedata

import numpy as np
import pytest
from det_tools import DETECTOR, command_line, module
from PIL import Image
from pycocotools import mask as masks

from ppcls_mixformer.hosting.errors import UserError
from ppcls_mixformer.paddledet import annotated_pictures, annotations, held
from ppcls_mixformer.paddledet.cropping import crop_polygons
from ppcls_mixformer.paddledet.drawing import polygons_of
from ppcls_mixformer.paddledet.masks import as_polygons, lengths_of

SIZE = 60, 40
NAMES = "cat", "dog"


def square(x, y, side):
    return [[x, y, x + side, y, x + side, y + side, x, y + side]]


def content_of(objects=4):
    """Two pictures with squares in them; object k has id k from 1 on."""
    return {
        "images": [{"id": i, "file_name": f"{i}.png", "width": 60, "height": 40} for i in (1, 2)],
        "categories": [{"id": 5 + i, "name": name} for i, name in enumerate(NAMES)],
        "annotations": [
            {
                "id": k + 1,
                "image_id": 1 + k % 2,
                "category_id": 5 + k % 2,
                "bbox": [2 * k, 3, 10, 10],
                "segmentation": square(2 * k, 3, 10),
                "area": 100,
                "iscrowd": 0,
            }
            for k in range(objects)
        ],
    }


@pytest.fixture
def read(tmp_path):
    """Reads a dict as a file; the file is as it was afterwards."""

    def read(content, metric="COCO", with_masks=True, name="a.json"):
        path = tmp_path / name
        path.write_text(json.dumps(content))
        before = path.read_bytes()
        try:
            return annotations.read(str(path), "TrainDataset.anno_path", metric, with_masks)
        finally:
            assert path.read_bytes() == before

    return read


def set_all(content, section="annotations", **values):
    for entry in content[section]:
        entry.update(values)


def set_one(content, **values):
    content["annotations"][2].update(values)


def drop(content, section, *fields):
    for entry in content[section]:
        for field in fields:
            entry.pop(field, None)


def as_points(polygon):
    return [polygon[place : place + 2] for place in range(0, len(polygon), 2)]


def as_texts(content):
    set_ids(content, str)


def set_ids(content, new, *sections):
    for section in sections or ("images", "annotations", "categories"):
        for entry in content[section]:
            for field in ("id", "image_id", "category_id"):
                if field in entry:
                    entry[field] = new(entry[field])


def encoded(is_text):
    mask = masks.merge(masks.frPyObjects(square(4, 3, 10), 40, 60))
    if is_text:
        return {"size": [40, 60], "counts": mask["counts"].decode()}
    pixels = masks.decode(mask).flatten("F")
    ends = np.flatnonzero(np.diff(pixels)) + 1
    return {"size": [40, 60], "counts": np.diff([0, *ends, len(pixels)]).tolist()}


def test_a_whole_file_stays_as_it_is(read):
    file = read(content_of())
    assert file.notes == []
    assert {k: file.content[k] for k in content_of()} == content_of()
    assert annotations.summary(file) == (
        "2 pictures (0 without objects), 4 objects (0 crowds beside them) of 2 of 2 classes"
    )


@pytest.mark.parametrize(
    "change",
    [
        lambda c: drop(c, "annotations", "area"),
        lambda c: drop(c, "annotations", "iscrowd"),
        lambda c: c["annotations"][2].pop("iscrowd"),
        lambda c: set_one(c, iscrowd=False),
        lambda c: set_one(c, iscrowd=0.0),
        lambda c: set_one(c, area=0),
        lambda c: set_one(c, area=None),
        lambda c: set_one(c, area=math.nan),
        lambda c: set_one(c, area=10_000),  # of the picture before it was made smaller
        lambda c: set_one(c, iscrowd="false"),
        lambda c: [i.update(width=str(i["width"]), height=float(i["height"])) for i in c["images"]],
        lambda c: drop(c, "annotations", "bbox"),
        lambda c: set_one(c, bbox=None),
        lambda c: set_one(c, bbox=[]),
        lambda c: set_one(c, segmentation=as_points(c["annotations"][2]["segmentation"][0])),
        lambda c: set_one(c, segmentation=[as_points(c["annotations"][2]["segmentation"][0])]),
        as_texts,
        lambda c: set_ids(c, float),
        lambda c: set_all(c, id=1),
        lambda c: drop(c, "annotations", "id"),
        lambda c: [a.update(id=a["id"] - 1) for a in c["annotations"]],
        lambda c: [a.update(id=f"x{a['id']}") for a in c["annotations"]],
        lambda c: c["annotations"].append({**c["annotations"][0]}),
        lambda c: c["images"].append({**c["images"][0]}),
        lambda c: set_one(c, bbox=[str(n) for n in c["annotations"][2]["bbox"]]),
        lambda c: set_one(c, segmentation=c["annotations"][2]["segmentation"][0]),
        lambda c: c["annotations"][2]["segmentation"].append([1, 2]),
        lambda c: c["annotations"][2]["segmentation"].append([1, 2, 3, 4]),
        lambda c: c["annotations"][2]["segmentation"].append([1, 2, 3, 4, 5, math.nan]),
    ],
)
def test_what_has_one_meaning_becomes_the_whole_file(read, change):
    content = content_of()
    change(content)
    file = read(content)
    assert {k: file.content[k] for k in content_of()} == content_of()
    assert {"info", "licenses"} <= set(file.content)


@pytest.mark.parametrize("new", ["picture {}".format, "{}.5".format, "--{}".format, (2**64).__add__])
def test_ids_that_are_no_numbers_are_numbered(read, new):
    content = content_of()
    set_ids(content, new)
    file = read(content)
    assert [image["id"] for image in file.content["images"]] == [1, 2]
    assert [a["image_id"] for a in file.content["annotations"]] == [1, 2, 1, 2]
    assert [a["category_id"] for a in file.content["annotations"]] == [1, 2, 1, 2]
    assert "2 of 2 images have an id that is no number" in file.notes[0]


@pytest.mark.parametrize(
    "box, note",
    [
        ([0, 0, 0, 0], "have a box whose width or height is not above 0"),
        ([20, 20, -5, -5], "have a box whose width or height is not above 0"),
        ([20, 20, 5, -5], "have a box whose width or height is not above 0"),
        ([20, 20, 5, 0.0004], "have a box whose width or height is not above 0"),
        ([500, 20, 5, 5], "have a box outside of the picture"),
        ([math.nan, 2, 5, 5], "have no box of four finite numbers"),
        ([math.inf, 2, 5, 5], "have no box of four finite numbers"),
        ([1, 2, 3], "have no box of four finite numbers"),
        (["a", 2, 3, 4], "have no box of four finite numbers"),
    ],
)
def test_objects_without_a_usable_box_are_left_out_with_a_count(read, box, note):
    content = content_of()
    set_one(content, bbox=box)
    file = read(content)
    assert file.notes == [f"1 of 4 annotations {note}, and are left out (id 3)"]
    assert [a["id"] for a in file.content["annotations"]] == [1, 2, 4]


def test_a_box_that_is_not_there_is_that_of_the_mask_if_there_is_one(read):
    content = content_of()
    set_one(content, bbox=None)
    content["annotations"][1].update(bbox=[], segmentation=[])
    content["annotations"][3].update(bbox=[], segmentation=encoded(True))
    file = read(content, with_masks=False)
    assert [a["id"] for a in file.content["annotations"]] == [1, 3, 4]
    assert [a["bbox"] for a in file.content["annotations"]] == [
        [0, 3, 10, 10],
        [4, 3, 10, 10],
        [4, 3, 10, 10],
    ]
    assert [note.count for note in file.notes] == [2, 1] and "that of their mask is taken" in file.notes[0]


def test_boxes_are_clipped_with_a_count(read):
    content = content_of()
    set_one(content, bbox=[50, -5, 20, 20], segmentation=square(50, 3, 8))
    file = read(content)
    assert file.content["annotations"][2]["bbox"] == [50, 0, 10, 15]
    assert file.notes == [
        "1 of 4 annotations have a box that sticks out of the picture, and is clipped (id 3)"
    ]
    set_one(content, bbox=[50, -0.4, 10.5, 20])  # as rounding leaves them
    assert read(content).notes == []


NOTHING = masks.encode(np.zeros([40, 60], "uint8", order="F"))["counts"].decode()


@pytest.mark.parametrize(
    "mask",
    [
        [],
        None,
        [[1, 2]],
        [[1, 2, 3, 4]],
        "x",
        {"size": [60, 40], "counts": "1"},
        {"size": [40, 60], "counts": [2400]},
        {"size": [40, 60], "counts": [2400, 0]},
        {"size": [40, 60], "counts": []},
        {"size": [40, 60], "counts": NOTHING},
        [[5, 5, 5, 5, 5, 5]],
        [[4, 5, 9, 5, 7, 5]],
        square(30, 3, 10),
        square(4, 16, 10),
    ],
)
def test_objects_without_a_mask_count_neither_way(read, mask):
    content = content_of()
    set_one(content, segmentation=mask)
    file = read(content)
    assert [a["iscrowd"] for a in file.content["annotations"]] == [0, 0, 1, 0]
    assert file.content["annotations"][2]["segmentation"] == square(4, 3, 10)
    assert file.notes[0].startswith("1 of 4 annotations have no mask that can be read")
    assert read(content, with_masks=False).notes == []


def test_boxes_written_as_corners_are_refused_by_their_masks(read):
    content = content_of(3)
    for annotation in content["annotations"][1:]:
        x, y, width, height = annotation["bbox"]
        annotation["bbox"] = [x, y, x + width, y + height]  # inside of the picture
    set_all(content, area=None)
    for with_masks in (True, False):  # a detector of boxes does not learn them, and they tell
        with pytest.raises(UserError, match=r"2 of 3 annotations have a box that ends in .* \(id 2, 3\)"):
            read(content, with_masks=with_masks)
    content["annotations"][2]["segmentation"] = encoded(True)
    content["annotations"][2]["bbox"] = [4, 3, 14, 13]
    with pytest.raises(UserError, match=r"2 of 3 annotations have a box that ends in"):
        read(content)
    content["annotations"][1]["bbox"] = [2, 3, 10, 10]
    assert len(read(content).content["annotations"]) == 3


def test_boxes_written_as_corners_are_refused_by_their_areas(read):
    content = content_of()
    for annotation in content["annotations"][1:]:
        x, y, width, height = annotation["bbox"]
        annotation.update(bbox=[x, y, x + width, y + height], segmentation=[])
    with pytest.raises(
        UserError, match=r"3 of 4 annotations have the area of a box that is .* \(id 2, 3, 4\)"
    ):
        read(content, with_masks=False)
    set_all(content, area=None)
    assert len(read(content, with_masks=False).content["annotations"]) == 4


def by_row(mask):
    """Run lengths of a mask that go along its rows, which those of COCO do not."""
    pixels = masks.decode(masks.merge(masks.frPyObjects(mask, 40, 60))).flatten("C")
    ends = np.flatnonzero(np.diff(pixels)) + 1
    return {"size": [40, 60], "counts": np.diff([0, *ends, pixels.size]).tolist()}


@pytest.mark.parametrize("with_masks", [True, False])
@pytest.mark.parametrize(
    "change",
    [
        lambda a: a.update(segmentation=by_row(a["segmentation"])),
        lambda a: a.update(segmentation=[[a["segmentation"][0][i ^ 1] for i in range(8)]]),  # y before x
        lambda a: a.update(bbox=[a["bbox"][0] + 5, a["bbox"][1] + 5, 10, 10]),  # from the centre
        lambda a: a.update(segmentation=square(a["bbox"][0] / 2, a["bbox"][1] / 2, 5)),  # of another size
    ],
)
def test_boxes_and_masks_that_are_not_in_one_place_are_refused(read, with_masks, change):
    content = content_of()
    set_all(content, area=None)
    for number, annotation in enumerate(content["annotations"]):
        x = 12 + 5 * number
        annotation.update(bbox=[x, 3, 10, 10], segmentation=square(x, 3, 10))
    for annotation in content["annotations"][1:]:
        change(annotation)
    with pytest.raises(UserError, match="3 of 4 annotations have a mask most of which is outside"):
        read(content, with_masks=with_masks)
    for annotation in content["annotations"][2:]:  # half of them may be odd
        annotation["bbox"] = [12, 3, 10, 10]
        annotation["segmentation"] = square(12, 3, 10)
    assert len(read(content, with_masks=with_masks).content["annotations"]) == 4


def test_boxes_may_be_larger_than_their_masks(read):
    content = content_of()
    set_all(content, segmentation=square(12, 8, 4), bbox=[5, 3, 30, 30])
    assert len(read(content).content["annotations"]) == 4 and not read(content).notes


def test_why_no_object_is_left_is_said(read):
    content = content_of()
    set_all(content, bbox=[math.nan] * 4)
    set_one(content, bbox=[1, 1, 0, 0])
    with pytest.raises(UserError, match="3 of 4 annotations have no box of four finite numbers.* 1 of 4 ann"):
        read(content)


@pytest.mark.parametrize("with_masks", [True, False])
@pytest.mark.parametrize(
    "mask",
    [
        [[4, 3, 1e308, 3, 14, 13, 4, 13]],
        [[4, 3, 14, 3, 14, -2_000_000_000, 4, 13]],
        [["x"] * 6],
        [[None, 3, 14, 3, 14, 13]],
        True,
        7.5,
        {},
        {"size": [40, 60], "counts": "abc"},
        {"size": [40, 60], "counts": [1, 9_000_000]},
        {"size": [99, 60], "counts": [5940, 0]},
    ],
)
def test_masks_on_which_pycocotools_crashes_do_not_get_to_it(read, mask, with_masks):
    content = content_of()
    set_one(content, segmentation=mask)
    content["annotations"][2].pop("area")
    file = read(content, with_masks=with_masks)
    assert [a["area"] for a in file.content["annotations"]] == [100] * 4
    assert [len(polygons_of(a)) for a in file.content["annotations"]] == [1, 1, int(with_masks), 1]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda text: text[:-2],
        lambda text: text + "1",
        lambda text: text[:-1] + "o",  # says that another character follows
        lambda text: "p" * 40,
        lambda text: "o" * 40 + "0",
        lambda text: "O1",
        lambda text: "é",
        lambda text: "~" + text,
        lambda text: "",
    ],
)
def test_broken_run_length_encodings_are_counted_before_anything_decodes_them(read, spoil):
    content = content_of()
    mask = encoded(True)
    set_one(content, segmentation={**mask, "counts": spoil(mask["counts"])})
    (note,) = read(content).notes
    assert note.startswith("1 of 4 annotations have no mask that can be read") and note.endswith("(id 3)")


def test_compressed_run_lengths_are_those_of_pycocotools():
    random = np.random.RandomState(0)
    for share in (0, 0.01, 0.3, 0.5, 1):
        for height, width in random.randint(1, 200, [10, 2]):
            pixels = np.asfortranarray(random.rand(height, width) < share, dtype="uint8")
            runs = np.diff(np.flatnonzero(np.diff(pixels.flatten("F"), prepend=0)), prepend=0, append=0)
            runs[-1] = height * width - runs[:-1].sum()
            text = masks.encode(pixels)["counts"].decode()
            assert lengths_of(text).tolist() == runs.tolist()


@pytest.mark.parametrize("is_text", [True, False])
def test_run_length_encodings_are_kept_and_have_outlines(read, is_text):
    content = content_of()
    set_one(content, segmentation=encoded(is_text), area=None)
    file = read(content)
    assert file.content["annotations"][2]["segmentation"] == encoded(is_text)
    assert file.content["annotations"][2]["area"] == 100
    outline = masks.merge(masks.frPyObjects(as_polygons(encoded(is_text)), 40, 60))
    assert masks.iou([outline], masks.frPyObjects(square(4, 3, 10), 40, 60), [0])[0, 0] > 0.9


def rings():
    """A mask with two holes, an island in one of them, and a part of its own, `[H, W]`."""
    pixels = np.zeros([40, 60], "uint8")
    for top, left, side, value in (
        (2, 3, 30, 1),
        (4, 5, 12, 0),
        (7, 8, 4, 1),
        (20, 20, 9, 0),
        (30, 45, 8, 1),
    ):
        pixels[top : top + side, left : left + side] = value
    return pixels


def filled(polygons, height=40, width=60):
    return masks.decode(masks.merge(masks.frPyObjects(polygons, height, width)))


def test_holes_in_run_lengths_are_learned(read, host):
    mask = masks.encode(np.asfortranarray(rings()))
    polygons = as_polygons({**mask, "counts": mask["counts"].decode()})
    assert len(polygons) == 3 and (filled(polygons) == rings()).all()
    target = pytest.importorskip("ppdet.modeling.proposal_generator.target")
    learned = target.rasterize_polygons_within_box(polygons, np.array([3.0, 2.0, 33.0, 32.0]), 30)
    assert (np.asarray(learned) == rings()[2:32, 3:33]).all()


@pytest.mark.parametrize("crop", [(0, 0, 60, 40), (10, 8, 40, 30), (0, 0, 12, 12), (6, 5, 7, 39)])
def test_polygons_are_cropped_as_their_pixels_are(crop):
    left, top, right, bottom = crop
    mask = masks.encode(np.asfortranarray(rings()))
    polygons = as_polygons({**mask, "counts": mask["counts"].decode()})
    parts = crop_polygons(polygons, crop)
    assert all(min(part) >= 0 and max(part[0::2]) <= right - left for part in parts)
    wanted = rings()[top:bottom, left:right]
    assert (filled(parts, bottom - top, right - left) == wanted).all()
    assert crop_polygons(polygons, (34, 2, 44, 39)) == [] and crop_polygons([[5, 5, 9, 5, 7, 5]], crop) == []


def test_the_pictures_of_the_3x_schedule_are_cropped_with_their_masks(host):
    from ppdet.data.transform.operators import RandomResizeCrop

    crop = RandomResizeCrop([40], [[20, 30]], prob=1.0, is_mask_crop=True, thresholds=[0.05], num_attempts=99)
    for _ in range(9):
        sample = {
            "image": np.zeros([40, 60, 3], "float32"),
            "gt_bbox": np.array([[5, 5, 55, 35], [0, 0, 3, 3]], "float32"),
            "gt_class": np.array([[0], [1]]),
            "gt_poly": [[[5, 5, 55, 5, 55, 35, 5, 35]], square(0, 0, 3)],
        }
        sample = crop(sample)
        height, width = sample["image"].shape[:2]
        assert max(height, width) <= 30 and len(sample["gt_poly"]) == len(sample["gt_bbox"])
        for (polygon,), box in zip(sample["gt_poly"], sample["gt_bbox"]):
            ends = [extreme(polygon[side::2]) for extreme in (min, max) for side in (0, 1)]
            assert ends == pytest.approx(list(box))


def test_a_mask_may_have_parts_outside_of_its_box(read):
    content = content_of()
    set_one(content, segmentation=[*square(4, 3, 10), *square(30, 3, 10)])
    file = read(content)
    assert file.content["annotations"] == content["annotations"] and not file.notes


def lists(content, *ids):
    set_all(content, "images", coco_url="http://x/train2017/1.png")
    set_all(content, "categories", frequency="f")
    set_all(content, "images", neg_category_ids=list(ids), not_exhaustive_category_ids=None)
    return content


def test_lists_of_classes_follow_the_ids_of_classes(read):
    content = lists(content_of(), "cat 6", 99)
    set_ids(content, "cat {}".format, "annotations", "categories")
    for entry in content["annotations"]:
        entry["image_id"] = int(entry["image_id"][4:])
    file = read(content, "LVIS")
    assert [image["neg_category_ids"] for image in file.content["images"]] == [[2], [2]]
    assert [image["not_exhaustive_category_ids"] for image in file.content["images"]] == [[], []]
    assert any("2 of 2 images list classes in neg_category_ids that are not among" in n for n in file.notes)
    file = read(lists(content_of(), "5", 6), "LVIS")
    assert file.content["images"][0]["neg_category_ids"] == [5, 6] and len(file.notes) == 1


@pytest.mark.parametrize("frequency", ["x", None, 3, [], ""])
def test_a_frequency_that_evaluation_does_not_know_is_refused(read, frequency):
    content = lists(content_of())
    content["categories"][1]["frequency"] = frequency
    with pytest.raises(UserError, match="1 of 2 categories have no frequency, or one that is no r or c or f"):
        read(content, "LVIS")


def test_lvis_gets_what_its_evaluation_asks_for(read):
    content = content_of()
    set_all(content, "images", coco_url="http://x/train2017/1.png")
    set_all(content, "categories", frequency="f")
    content["categories"].reverse()
    file = read(content, "LVIS")
    assert file.content["images"][0]["neg_category_ids"] == []
    assert file.content["images"][0]["not_exhaustive_category_ids"] == []
    assert annotations.names(file.content) == ["cat", "dog"]
    assert len(file.notes) == 2 and "2 of 2 images have no neg_category_ids" in file.notes[0]


@pytest.mark.parametrize("folder", ["train2017", "."])
@pytest.mark.parametrize(
    "name", ["http://x/train2017/{}.png", "train2017/{}.png", "C:\\\\y\\\\train2017\\\\{}.png"]
)
@pytest.mark.parametrize("key, metric", [("file_name", "LVIS"), ("coco_url", "COCO"), ("coco_url", "LVIS")])
def test_lvis_and_coco_read_the_names_of_each_other(tmp_path, folder, name, key, metric):
    content, path = lists(content_of()), tmp_path / "x.json"
    (tmp_path / folder).mkdir(exist_ok=True)
    for image in content["images"]:
        Image.new("RGB", SIZE).save(tmp_path / folder / f"{image['id']}.png")
        del image["file_name"], image["coco_url"]
        image[key] = name.format(image["id"])
    path.write_text(json.dumps(content))
    find_picture = annotated_pictures.finder(str(tmp_path), metric)
    file = annotations.read(str(path), "x", metric, True, find_picture)
    paths = [find_picture(image) for image in file.content["images"]]
    assert [*map(str, sorted((tmp_path / folder).glob("*.png")))] == [*map(os.path.normpath, paths)]
    own = "coco_url" if metric == "LVIS" else "file_name"
    assert any(f"2 of 2 images have no {own}: their {key} is" in text for text in file.notes) == (own != key)


def test_persons_without_keypoints_are_not_labelled(read):
    content = content_of()
    set_all(content, keypoints=[1, 2, 2] * 17, category_id=5)
    del content["categories"][1]
    set_one(content, keypoints=[])
    person = read(content, "KeyPointTopDownCOCOEval", with_masks=False).content["annotations"][2]
    assert person["keypoints"] == [0] * 51 and person["num_keypoints"] == 0


JOINTS = [1, 2, 2, 3, 4, 1, 5, 6, 2]


@pytest.mark.parametrize(
    "keypoints, read_as, note",
    [
        ([[1, 2, 2], [3, 4, 1], [5, 6, 2]], JOINTS, "have a list around each keypoint"),
        ([[1, 2, 2], None, [5, 6, 2]], [1, 2, 2, 0, 0, 0, 5, 6, 2], "whose x or y is null or NaN"),
        ([1, 2, 2, None, None, None, 5, 6, 2], [1, 2, 2, 0, 0, 0, 5, 6, 2], "whose x or y is null or NaN"),
        ([1, 2, 2, 3, math.nan, 1, 5, 6, 2], [1, 2, 2, 0, 0, 0, 5, 6, 2], "whose x or y is null or NaN"),
    ],
)
def test_keypoints_that_are_nested_or_have_no_place(read, keypoints, read_as, note):
    content = content_of()
    set_all(content, keypoints=JOINTS, category_id=5)
    content["categories"] = [{"id": 5, "name": "cat", "keypoints": ["ear", "eye", "nose"]}]
    set_one(content, keypoints=keypoints)
    file = read(content, "KeyPointTopDownCOCOEval", with_masks=False)
    person = file.content["annotations"][2]
    assert person["keypoints"] == read_as and person["num_keypoints"] == sum(f > 0 for f in read_as[2::3])
    assert file.notes[0].startswith("1 of 4 annotations have") and note in " ".join(file.notes)


def test_keypoints_most_of_which_are_outside_of_their_boxes_are_refused(read):
    content = content_of()
    content["categories"] = [{"id": 5, "name": "cat", "keypoints": ["ear", "eye", "nose"]}]
    for number, annotation in enumerate(content["annotations"]):
        joints = [20, 10, 2, 24, 10, 2, 22, 14, 1]
        box = [22, 14, 10, 10] if number else [17, 9, 10, 10]  # from the centre, all but one
        annotation.update(bbox=box, keypoints=joints, category_id=5, segmentation=[], area=None)
    text = "3 of 4 annotations have most of their keypoints outside of their box"
    with pytest.raises(UserError, match=text):
        read(content, "KeyPointTopDownCOCOEval", with_masks=False)
    set_one(content, bbox=[17, 9, 10, 10])
    assert len(read(content, "KeyPointTopDownCOCOEval", with_masks=False).content["annotations"]) == 4


def test_labelled_keypoints_at_the_corner_are_mentioned(read):
    content = content_of()
    set_all(content, keypoints=JOINTS, category_id=5)
    content["categories"] = [{"id": 5, "name": "cat", "keypoints": ["ear", "eye", "nose"]}]
    set_one(content, keypoints=[0, 0, 2, 0, 4, 1, 5, 6, 2])
    content["annotations"][0]["keypoints"] = [0, 0, 0, 0, 4, 1, 5, 6, 2]
    (note,) = read(content, "KeyPointTopDownCOCOEval", with_masks=False).notes
    assert note.startswith("1 of 4 annotations have a keypoint at 0, 0 that counts as labelled")


NOT_NINE, FAR = "keypoints other than 9 numbers", "a keypoint farther away than any picture is wide"


@pytest.mark.parametrize(
    "keypoints, words",
    [
        ([1, 2, None, 3, 4, 1, 5, 6, 2], NOT_NINE),
        ([[1, 2], [3, 4], [5, 6]], NOT_NINE),
        ([None, 2], NOT_NINE),
        ([1e300, *JOINTS[1:]], FAR),  # PaddleDetection: OverflowError in a reader
        ([1, 2, 2, 3, -1e9, 0, 5, 6, 2], FAR),
        ([1, 2, 2, 0, 0, 3, 5, 6, 2], "a keypoint with a flag above 2"),  # AI Challenger's for unlabelled
    ],
)
def test_keypoints_that_mean_nothing_are_refused(read, keypoints, words):
    content = content_of()
    set_all(content, keypoints=JOINTS, category_id=5)
    content["categories"] = [{"id": 5, "name": "cat", "keypoints": ["ear", "eye", "nose"]}]
    set_one(content, keypoints=keypoints)
    with pytest.raises(UserError, match=f"1 of 4 annotations have {words}"):
        read(content, "KeyPointTopDownCOCOEval", with_masks=False)


@pytest.mark.parametrize("spell", [float, str])
def test_run_lengths_may_be_spelt_as_whole_numbers_can_be(read, spell):
    content, mask = content_of(), encoded(False)
    set_one(content, segmentation={key: [spell(n) for n in numbers] for key, numbers in mask.items()})
    file = read(content)
    assert file.content["annotations"][2]["segmentation"] == mask
    assert file.notes == [
        '1 of 4 annotations have run lengths or a size such as 12.0 or "12", which are read as 12 (id 3)'
    ]


@pytest.mark.parametrize(
    "change, error",
    [
        (lambda c: set_one(c, category_id=99), "1 of 4 annotations have a category_id that is not"),
        (
            lambda c: set_one(c, category_id=None),
            "a category_id that is not among its categories (id 3)",
        ),
        (
            lambda c: set_one(c, image_id=99),
            "1 of 4 annotations have an image_id that is not",
        ),
        (lambda c: set_one(c, iscrowd=7), "have an iscrowd other than 0 and 1 (id 3)"),
        (lambda c: set_one(c, ignore="perhaps"), "have an ignore other than 0 and 1 (id 3)"),
        (lambda c: set_all(c, iscrowd=1), "has no object to train on"),
        (lambda c: set_all(c, segmentation=[]), "has no masks, which this network learns"),
        (lambda c: set_all(c, segmentation=[[1, 2]]), "has 4 masks, none of which can be read"),
        (lambda c: set_all(c, segmentation=square(0.1, 0.2, 0.3)), "no polygon beyond one pixel"),
        (lambda c: drop(c, "annotations", "segmentation"), "its annotations have no segmentation"),
        (lambda c: set_all(c, bbox=[0, 0, 0, 0]), "has no object to train on"),
        (lambda c: set_all(c, bbox=[0.1, 0.2, 0.3, 0.4]), "no box larger than one pixel"),
        (lambda c: set_all(c, bbox=[40, 20, 55, 39]), "is it written as corners?"),
        (lambda c: c["images"][0].update(id=2), "2 of 2 images share their id with another entry"),
        (lambda c: c["categories"][0].update(id=6), "2 of 2 categories share their id"),
        (
            lambda c: c["categories"][0].update(name=" dog"),
            "2 of 2 categories share their name with another one, such as dog: rename or merge",
        ),
        (
            lambda c: c["categories"][0].pop("name"),
            "1 of 2 categories have no name, or one that is no text (id 5)",
        ),
        (
            lambda c: c["images"][0].pop("file_name"),
            "1 of 2 images have no file_name, or one that is no text (id 1)",
        ),
        (lambda c: c["images"][0].update(file_name=7), "1 of 2 images have no file_name, or one that is"),
        (lambda c: c["categories"][0].update(name=None), "1 of 2 categories have no name, or one that is"),
        (lambda c: c["images"][0].pop("id"), "1 of 2 images have no id"),
        (lambda c: c.pop("categories"), "it has no categories"),
        (lambda c: c["images"].append(3), "its images are no objects of JSON"),
        (
            lambda c: (c.pop("images"), drop(c, "annotations", "bbox", "segmentation")),
            "COCO instances: it has no images; its annotations have no segmentation; is it of another task?",
        ),
    ],
)
def test_what_has_no_meaning_is_refused_in_one_line(read, change, error):
    content = content_of()
    change(content)
    with pytest.raises(UserError) as refused:
        read(content)
    assert error in str(refused.value) and "\n" not in str(refused.value)
    assert str(refused.value).startswith("TrainDataset.anno_path: ")


@pytest.mark.parametrize(
    "values, words",
    [
        (
            {"category_id": 9, "image_id": 8},
            "cannot be used: 1 of 4 annotations have an image_id that is not among its images (id 3); "
            "1 of 4 annotations have a category_id that is not among its categories (id 3)",
        ),
        (
            {"iscrowd": 7, "keypoints": [1]},
            "other than 0 and 1 (id 3); 1 of 4 annotations have keypoints",
        ),
    ],
)
def test_all_that_is_refused_is_said_at_once(read, values, words):
    content = content_of()
    set_all(content, keypoints=JOINTS, category_id=5)
    content["categories"] = [{"id": 5, "name": "cat", "keypoints": ["ear", "eye", "nose"]}]
    set_one(content, **values)
    with pytest.raises(UserError) as refused:
        read(content, "KeyPointTopDownCOCOEval", with_masks=False)
    assert words in str(refused.value) and "\n" not in str(refused.value)


def test_line_ends_in_an_id_do_not_make_two_lines(read):
    content = content_of()
    set_one(content, id="a\nb\r\nc", image_id=9)
    with pytest.raises(UserError) as e:
        read(content)
    assert str(e.value).endswith("(id a b c)")


def test_classes_are_compared_by_name(read):
    train, content = read(content_of()), content_of()
    content["categories"].reverse()
    file = read(content, name="b.json")
    annotations.order_as(file, train)
    assert annotations.names(file.content) == ["cat", "dog"] and len(file.notes) == 1
    content["categories"][0]["name"] = "bird"
    with pytest.raises(UserError, match="class 1 is bird here, cat there"):
        annotations.order_as(read(content, name="b.json"), train)


def test_classes_without_an_object_need_not_be_there(read):
    train, content = read(content_of()), content_of()
    del content["categories"][0]
    set_all(content, category_id=6)
    file = read(content, name="b.json")
    annotations.add_missing_classes(file, train)
    assert file.content["categories"] == [{"id": 6, "name": "dog"}, {"id": 7, "name": "cat"}]
    assert len(file.notes) == 1 and "1 of the 2 classes of " in file.notes[0]
    content["categories"][0]["name"] = "bird"
    file = read(content, name="b.json")
    annotations.add_missing_classes(file, train)
    assert annotations.names(file.content) == ["bird"] and not file.notes


def test_classes_without_an_object_that_training_lacks_are_left_out(read):
    train, content = read(content_of()), content_of()
    content["categories"].insert(0, {"id": 1, "name": "background"})
    file = read(content, name="b.json")
    annotations.leave_out_classes(file, train)
    assert annotations.names(file.content) == ["cat", "dog"]
    assert file.notes[0].startswith("1 of 3 categories have no object, and are no classes of ")
    set_one(content, category_id=1)
    file = read(content, name="b.json")
    annotations.leave_out_classes(file, train)
    assert annotations.names(file.content) == ["background", "cat", "dog"]


@pytest.fixture
def pictures(tmp_path):
    for number in (1, 2):
        Image.new("RGB", SIZE).save(tmp_path / f"{number}.png")
    return lambda image: str(tmp_path / image["file_name"])


def test_sizes_are_taken_from_the_pictures(read, pictures):
    content = content_of()
    drop(content, "images", "width", "height")
    file = read(content)
    annotated_pictures.check_pictures(file, pictures)
    assert [(i["width"], i["height"]) for i in file.content["images"]] == [SIZE] * 2


def test_all_that_is_wrong_with_pictures_is_said(tmp_path, pictures):
    content, path = content_of(), tmp_path / "a.json"
    content["images"][0].update(width=6, height=4)
    (tmp_path / "2.png").write_bytes(b"")
    path.write_text(json.dumps(content))
    with pytest.raises(
        UserError, match="2.png: the file is empty; it says another size than 1 of 2 pictures"
    ):
        annotations.read(str(path), "x", "COCO", True, pictures)


def test_a_wrong_size_is_said_before_the_boxes_that_it_puts_outside(tmp_path, pictures):
    content, path = content_of(), tmp_path / "a.json"
    set_all(content, "images", width=6, height=4)
    path.write_text(json.dumps(content))
    with pytest.raises(UserError, match="1.png is 60×40, the file says 6×4"):
        annotations.read(str(path), "x", "COCO", True, pictures)


def test_missing_pictures_are_left_out_but_not_all(read, pictures, tmp_path):
    (tmp_path / "1.png").unlink()
    file = read(content_of())
    annotated_pictures.check_pictures(file, pictures)
    assert f"1 of 2 images have no picture file, such as {tmp_path}/1.png, and" in file.notes[0]
    assert [a["id"] for a in file.content["annotations"]] == [2, 4]
    (tmp_path / "2.png").unlink()
    with pytest.raises(UserError, match="names 2 pictures, none of which is there"):
        annotated_pictures.check_pictures(read(content_of()), pictures)


def test_folders_may_be_spelt_as_windows_does(tmp_path, pictures):
    (tmp_path / "in").mkdir()
    (tmp_path / "1.png").rename(tmp_path / "in/1.png")
    content, path = content_of(), tmp_path / "a.json"
    content["images"][0]["file_name"] = "in\\1.png"
    content["images"][1]["file_name"] = "out\\3.png"  # which is not there, however it is spelt
    path.write_text(json.dumps(content))
    file = annotations.read(str(path), "x", "COCO", True, pictures)
    assert [image["file_name"] for image in file.content["images"]] == ["in/1.png"]
    assert file.notes[0] == "1 of 2 images have \\ in their file_name, which is read as / (id 1)"


@pytest.mark.parametrize("forms", [("NFC", "NFD"), ("NFD", "NFC")])
def test_accents_may_be_spelt_as_another_system_does(read, tmp_path, pictures, forms):
    own, other = (unicodedata.normalize(form, "kätzchen.png") for form in forms)
    (tmp_path / "1.png").rename(tmp_path / own)
    content, path = content_of(), tmp_path / "a.json"
    content["images"][0]["file_name"] = other
    path.write_text(json.dumps(content))
    file = annotations.read(str(path), "x", "COCO", True, pictures)
    assert [image["file_name"] for image in file.content["images"]] == [own, "2.png"]
    assert "1 of 2 images have accents" in file.notes[0]
    first, second = content_of(), content_of()
    first["categories"][0]["name"], second["categories"][0]["name"] = own, f" {other} "
    first, second = read(first), read(second, name="b.json")
    annotations.order_as(second, first)
    assert annotations.names(second.content) == annotations.names(first.content)


@pytest.mark.parametrize(
    "name, on_disk, found",
    [
        ("A.JPG", ["a.jpg"], "a.jpg"),
        ("a.jpg", ["A.Jpeg"], "A.Jpeg"),
        ("a", ["a.png", "a.json", "ab.png"], "a.png"),
        (" a.png ", ["a.png"], "a.png"),
        ("C:\\mine\\A.PNG", ["a.png"], "a.png"),
        ("a.b", ["a.b.png"], "a.b.png"),
        ("a", ["a.png", "a.jpg"], None),
        ("A.jpg", ["a.jpg", "a.JPG"], None),
        ("a.jpg", ["a.png"], None),  # which may be its mask
    ],
)
def test_names_of_pictures_in_another_case_or_without_an_ending(tmp_path, name, on_disk, found):
    for file_name in on_disk:
        if file_name.endswith("json"):
            (tmp_path / file_name).write_text("{}")
        else:
            Image.new("RGB", SIZE).save(tmp_path / file_name)
    Image.new("RGB", SIZE).save(tmp_path / "2.png")
    content, path = content_of(), tmp_path / "x.json"
    content["images"][0]["file_name"] = name
    path.write_text(json.dumps(content))
    file = annotations.read(str(path), "x", "COCO", True, annotated_pictures.finder(str(tmp_path), "COCO"))
    names = [image["file_name"] for image in file.content["images"]]
    assert names == ([found, "2.png"] if found else ["2.png"])
    words = annotated_pictures.ALIKE if found else "have no picture file"
    assert file.notes[0].startswith(f"1 of 2 images {words}")


def test_two_names_that_one_picture_would_fit_are_not_guessed(tmp_path):
    Image.new("RGB", SIZE).save(tmp_path / "a.png")
    Image.new("RGB", SIZE).save(tmp_path / "2.png")
    content, path = content_of(), tmp_path / "x.json"
    content["images"].append({**content["images"][0], "id": 3, "file_name": "a.png"})
    content["images"][0]["file_name"] = "A.PNG"
    path.write_text(json.dumps(content))
    file = annotations.read(str(path), "x", "COCO", True, annotated_pictures.finder(str(tmp_path), "COCO"))
    assert [image["id"] for image in file.content["images"]] == [2, 3]


@pytest.mark.parametrize("area", [1, 0.0417])
def test_areas_that_are_not_in_pixels_are_computed(read, area):
    content = content_of()
    set_all(content, area=area)
    file = read(content)
    assert [annotation["area"] for annotation in file.content["annotations"]] == [100] * 4
    assert file.notes == ["4 of 4 annotations have no area above 1: it is computed (id 1, 2, 3, …)"]


def test_a_note_knows_what_it_counts(read):
    content = content_of()
    set_one(content, bbox=[0, 0, 0, 0])
    (note,) = read(content).notes
    assert (note.section, note.count, note.total, note.ids) == ("annotations", 1, 4, [3])
    assert note.left_out and note.entries[0]["image_id"] == 1


def test_ids_are_named_as_the_file_has_them_whatever_they_are_counted_as(read, pictures):
    content = content_of()
    set_ids(content, "picture {}".format)
    drop(content, "images", "width")
    drop(content, "annotations", "area")
    content["annotations"][0].pop("id")
    file = read(content)
    annotated_pictures.check_pictures(file, pictures)
    *_, areas, sizes = file.notes
    assert "no width" in sizes and sizes.ids == ["picture 1", "picture 2"]
    assert areas.endswith("(id 1, picture 2, picture 3, …)") and areas.ids == [1, "picture 2", "picture 3"]


def test_two_entries_of_one_picture_are_mentioned(read, pictures):
    content = content_of()
    content["images"][1]["file_name"] = "1.png"
    file = read(content)
    annotated_pictures.check_pictures(file, pictures)
    assert file.notes == [
        "2 of 2 images are of a picture that another one is of, too, each with objects of its own (id 1, 2)"
    ]


@pytest.mark.parametrize("suffix", ["png", "jpg", "bmp", "webp"])
@pytest.mark.parametrize("length", [0, 0.5])
def test_pictures_that_are_not_whole_are_refused(read, tmp_path, suffix, length):
    path = tmp_path / f"1.{suffix}"
    Image.effect_noise(SIZE, 50).convert("RGB").save(path)
    annotated_pictures.check_pictures(read(content_of()), lambda image: path)
    path.write_bytes(path.read_bytes()[: int(length * path.stat().st_size)])
    with pytest.raises(UserError, match=f"names 2 of 2 pictures that cannot be read, first {path}: "):
        annotated_pictures.check_pictures(read(content_of()), lambda image: path)


@pytest.mark.parametrize("name", ["a\0b.png", "a\ud800.png", "a" * 300])
def test_names_that_no_file_can_have_are_one_line(read, pictures, name):
    content = content_of()
    content["images"][0]["file_name"] = name
    with pytest.raises(UserError, match="names 1 of 2 pictures that cannot be read"):
        annotated_pictures.check_pictures(read(content), pictures)


def test_the_size_is_that_of_the_picture_as_readers_turn_it(read, tmp_path):
    import cv2

    path, turn = tmp_path / "1.jpg", Image.Exif()
    turn[0x0112] = 6
    Image.new("RGB", SIZE).save(path, exif=turn)
    assert cv2.imread(str(path)).shape[:2] == SIZE
    with pytest.raises(UserError, match="as before the turn that its EXIF asks for"):
        annotated_pictures.check_pictures(read(content_of()), lambda image: path)
    content = content_of()
    set_all(content, "images", width=SIZE[1], height=SIZE[0])
    annotated_pictures.check_pictures(read(content), lambda image: path)


def test_what_was_repaired_is_what_every_reader_gets(host, read, tmp_path):
    from lvis import LVIS
    from pycocotools.coco import COCO

    content = content_of()
    as_texts(content)
    file = read(content)
    held.keep(file)
    for truth in (COCO(file.path), LVIS(file.path)):
        assert sorted(truth.anns) == [1, 2, 3, 4]
        truth.anns[1]["ignore"] = 1
    assert "ignore" not in COCO(file.path).anns[1]
    set_all(content, area=7)
    (tmp_path / "a.json").write_text(json.dumps(content) + " ")
    assert sorted(COCO(file.path).anns) == ["1", "2", "3", "4"]  # a file that has changed is read anew


def test_a_perfect_result_has_ap_1_although_an_id_is_0(host, read):
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    content = content_of()
    for thing in content["annotations"]:
        thing["id"] -= 1
    file = read(content)
    results = [{**thing, "score": 0.9} for thing in file.content["annotations"]]

    def precision():
        truth = COCO(file.path)
        evaluation = COCOeval(truth, truth.loadRes([dict(result) for result in results]), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
        return evaluation.stats[0]

    assert precision() < 0.99
    held.keep(file)
    assert precision() == pytest.approx(1)


@pytest.mark.parametrize("kind", ["bbox", "segm"])
@pytest.mark.parametrize("metric", ["COCO", "LVIS"])
@pytest.mark.parametrize("flag", ["ignore", "iscrowd"])
def test_an_object_that_is_to_be_ignored_is_not_missed(host, read, kind, metric, flag):
    from lvis import LVIS, LVISEval, LVISResults
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    content = lists(content_of(8))
    set_all(content, "images", width="60", height="40")  # which pycocotools does not take
    for thing in content["annotations"][:4]:
        thing[flag] = True
    results = [{**thing, "score": 0.9} for thing in content["annotations"][4:]]
    for result in results:
        outline = masks.merge(masks.frPyObjects(result["segmentation"], 40, 60))
        result["segmentation"] = {**outline, "counts": outline["counts"].decode()}
        del result["area"]
    file = read(content, metric)
    held.keep(file)
    if metric == "LVIS":
        evaluation = LVISEval(LVIS(file.path), LVISResults(LVIS(file.path), results), kind)
        evaluation.run()
        precision = evaluation.get_results()["AP"]
    else:
        truth = COCO(file.path)
        evaluation = COCOeval(truth, truth.loadRes(results), kind)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
        precision = evaluation.stats[0]
    assert annotations.number_of_crowds(file.content) == 4 and precision == pytest.approx(1)


def changed(scenes, folder, change):
    """Overrides for `change`d copies of the annotations of training and evaluation."""
    overrides = []
    for split, name in (("Train", "train"), ("Eval", "val")):
        content = json.loads((scenes / f"annotations/instances_{name}2017.json").read_text())
        change(content)
        (folder / f"{name}.json").write_text(json.dumps(content))
        overrides.append(f"{split}Dataset.anno_path={folder}/{name}.json")
    return overrides


def hurt(content):
    """Makes a file of which nearly every kind of annotation has to be repaired."""
    sizes = {image["id"]: (image["height"], image["width"]) for image in content["images"]}
    for number, thing in enumerate(content["annotations"]):
        del thing["area"]
        if number % 2:
            del thing["iscrowd"]
        if number % 4 == 1:
            thing["segmentation"] = []
        if number % 4 == 2:
            mask = masks.merge(masks.frPyObjects(thing["segmentation"], *sizes[thing["image_id"]]))
            thing["segmentation"] = {**mask, "counts": mask["counts"].decode()}
        if number % 4 == 3:
            thing["bbox"] = [0, 0, 0, 0]
        thing["id"] = 0
    as_texts(content)


@pytest.mark.slow
def test_training_and_evaluation_see_the_repaired_data(scenes, tmp_path):
    overrides = changed(scenes, tmp_path, hurt)
    short = ["epoch=1", "snapshot_epoch=1", f"save_dir={tmp_path}", f"output_eval={tmp_path}"]
    log = module("train", scenes, DETECTOR, *overrides, *short, flags=["--eval", "--seed", 0])
    assert "Average Precision" in log and (tmp_path / DETECTOR / "model_final.pdparams").is_file()
    for split in ("TrainDataset", "EvalDataset"):
        assert f"{split}.anno_path: " in log
    assert "have no area above 0: it is computed" in log and "have no mask that can be read" in log


def test_a_run_is_refused_before_anything_is_built(host, scenes, tmp_path):
    from ppcls_mixformer.paddledet import commands

    def break_it(content):
        content["annotations"][2]["category_id"] = 99

    overrides = changed(scenes, tmp_path, break_it)
    with pytest.raises(UserError, match="category_id that is not"):
        commands.train(command_line(scenes, DETECTOR, *overrides))


def test_many_annotations_are_read_in_a_time_that_grows_with_their_number(read):
    import time

    times = []
    for objects in (2000, 20000):
        content = content_of(objects)
        set_all(content, bbox=[1, 3, 10, 10], segmentation=square(1, 3, 10))
        start = time.process_time()
        read(content)
        times.append(time.process_time() - start)
    assert times[1] < 40 * times[0]  # ten times as many: a quadratic reader would take a hundred times
