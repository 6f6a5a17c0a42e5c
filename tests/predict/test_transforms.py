"""The transforms of a reader give what PaddleClas's operators give, bit for bit; mistakes are one line."""

import cv2
import numpy as np
import pytest
from PIL import Image

from ppcls_mixformer.hosting.errors import UserError
from ppcls_mixformer.paddleclas import register
from ppcls_mixformer.predict import transforms

NORMALIZE = {
    "NormalizeImage": {"scale": 1 / 255, "mean": [0.5, 0.4, 0.3], "std": [0.2, 0.3, 0.4], "order": ""}
}
RESIZES = [
    *(
        {"backend": "pil", "interpolation": name}
        for name in ("nearest", "bilinear", "bicubic", "box", "lanczos")
    ),
    *(
        {"backend": "cv2", "interpolation": name}
        for name in ("nearest", "bilinear", "bicubic", "area", "lanczos")
    ),
    {},
    {"backend": "pil"},
]


@pytest.fixture(scope="module")
def pictures():
    """Pictures of noise, wide, high and small, as the reader decodes them: a view of what OpenCV gives."""
    random = np.random.RandomState(0)
    return [
        random.randint(0, 256, (*size, 3), "uint8")[:, :, ::-1] for size in ((61, 83), (97, 40), (20, 21))
    ]


def paddleclas(operators, picture):
    register()
    from ppcls.data import create_operators
    from ppcls.data.preprocess import transform

    return transform(picture, create_operators(operators))


def check(operators, pictures):
    built = transforms.build(operators, "config")
    for picture in pictures:
        expected = np.asarray(paddleclas(operators, picture))
        found = transforms.apply(built, picture)
        assert found.dtype == expected.dtype and np.array_equal(found, expected)
        size = transforms.size_after(built)
        assert size is None or size == found.shape[-2:] or size == found.shape[:2]


@pytest.mark.parametrize("resize", RESIZES, ids=str)
@pytest.mark.parametrize("size", [{"resize_short": 37}, {"size": [31, 45]}, {"size": 24}], ids=str)
def test_resizing(pictures, resize, size):
    check([{"ResizeImage": {**size, **resize}}], pictures)


@pytest.mark.parametrize("crop", [20, [20, 16], [17, 20]])
@pytest.mark.parametrize("order", ["", "hwc", "chw"])
def test_the_whole_way(pictures, crop, order):
    normalize = {"NormalizeImage": {**NORMALIZE["NormalizeImage"], "order": order}}
    rest = [{"ToCHWImage": None}, normalize] if order == "chw" else [normalize, {"ToCHWImage": None}]
    check([{"ResizeImage": {"resize_short": 24}}, {"CropImage": {"size": crop}}, *rest], pictures)


@pytest.mark.parametrize("value", [0, 127, [1, 2, 3]])
def test_padding(pictures, value):
    (pad,) = transforms.build([{"PadImage": {"size": [80, 90], "value": value}}], "config")
    for picture in pictures:
        rows, columns = (max(least - side, 0) for least, side in zip((90, 80), picture.shape))
        sides = (rows // 2, rows - rows // 2, columns // 2, columns - columns // 2)
        expected = cv2.copyMakeBorder(picture, *sides, cv2.BORDER_CONSTANT, value=pad.value)
        assert np.array_equal(pad(picture), expected)


@pytest.mark.parametrize(
    "operators, message",
    [
        ([{"ResizeImage": {"size": 24, "interpolation": 0}}], "interpolation '0' is none of cv2's"),
        ([{"ResizeImage": {"size": 24}}, {"DecodeImage": {}}], "DecodeImage is not the first transform"),
    ],
)
def test_what_a_description_cannot_say_is_not_described(operators, message):
    from ppcls_mixformer.paddleclas import describe

    config = {"Arch": {"name": "MixFormer_B0"}, "Global": {}, "Infer": {"transforms": operators}}
    with pytest.raises(ValueError, match=message):
        describe.describe(config)


@pytest.mark.parametrize(
    "name, independent, is_said",
    [
        (None, False, False),
        ("Topk", False, False),
        ("Topk", True, False),
        ("MultiLabelTopk", True, False),
        ("MultiLabelTopk", False, True),
        ("ThreshOutput", False, True),
        ("PersonAttribute", True, True),
    ],
)
def test_what_infer_shows_and_the_export_does_not_is_named(caplog, name, independent, is_said):
    from ppcls_mixformer.paddleclas import describe

    shown = {"PostProcess": {"name": name}} if name else {}
    infer = {"transforms": [{"ResizeImage": {"size": 24}}], **shown}
    arguments = {"Global": {"use_multilabel": independent}, "Arch": {"name": "MixFormer_B0"}}
    assert describe.describe({**arguments, "Infer": infer}).independent == independent
    assert (f"Infer.PostProcess is {name}" in caplog.text) == is_said


def test_defaults_are_those_of_paddleclas(pictures):
    check([{"ToCHWImage": None}, {"NormalizeImage": None}], pictures)


def test_a_crop_that_does_not_fit_is_refused(pictures):
    (crop,) = transforms.build([{"CropImage": {"size": [30, 20]}}], "config")
    with pytest.raises(ValueError, match="a crop of 30x20 does not fit into a picture of 21x20"):
        crop(pictures[2])


@pytest.mark.parametrize(
    "operators, message",
    [
        ("ResizeImage", "transform_ops is 'ResizeImage'; it takes a list"),
        (["ResizeImage"], "transform_ops.0 is 'ResizeImage'; it takes one name"),
        (
            [{"ResizeImag": {"size": 3}}],
            "transform_ops.0: there is no transform ResizeImag here; did you mean",
        ),
        ([{"RandAugment": None}], "there is no transform RandAugment here; there are ResizeImage"),
        ([{"ResizeImage": {"size": 3, "short": 2}}], "transform_ops.0.ResizeImage: .*short"),
        ([{"ResizeImage": None}], "it takes size or resize_short"),
        ([{"ResizeImage": {"resize_short": "28"}}], "resize_short is '28'"),
        ([{"ResizeImage": {"resize_short": 10**6}}], "resize_short is 1000000; it takes .* to 16384"),
        ([{"PadImage": {"size": 9, "value": "red"}}], "value is 'red'"),
        ([{"PadImage": {"size": 9, "value": [1, 2]}}], r"value is \[1, 2\]"),
        ([{"ResizeImage": {"size": [3, 0]}}], r"size is \[3, 0\]"),
        ([{"ResizeImage": {"size": 3, "backend": "tf"}}], "backend is 'tf'; it takes pil or cv2"),
        ([{"ResizeImage": {"size": 3, "interpolation": "bicubi"}}], "did you mean bicubic"),
        ([{"NormalizeImage": {"scale": "1/255"}}], "scale is '1/255'; it takes a number"),
        ([{"NormalizeImage": {"mean": [1, 2]}}], "transform_ops.0.NormalizeImage: "),
    ],
)
def test_mistakes_are_one_line(operators, message):
    with pytest.raises(UserError, match=f"config: .*{message}") as error:
        transforms.build(operators, "config")
    assert "\n" not in error.value.args[0]


def test_a_strip_does_not_fill_the_memory():
    (resize,) = transforms.build([{"ResizeImage": {"resize_short": 256}}], "config")
    with pytest.raises(ValueError, match="a picture of 60000x1 would become one of 15360000x256"):
        resize(np.zeros([1, 60000, 3], "uint8"))


def test_the_sizes_that_are_known_before_any_picture():
    resize, crop = {"ResizeImage": {"resize_short": 9}}, {"CropImage": {"size": [7, 5]}}
    for operators, expected in (
        ([resize], None),
        ([resize, crop], (5, 7)),
        ([{"ResizeImage": {"size": [8, 6]}}, NORMALIZE], (6, 8)),
        ([{"ResizeImage": {"size": 4}}, {"PadImage": {"size": [6, 3]}}], (4, 6)),
        ([resize, {"PadImage": {"size": 9}}], None),
    ):
        assert transforms.size_after(transforms.build(operators, "config")) == expected


def test_opencv_has_the_numbers_that_stand_here_for_its_names():
    for name, constant in (("NEAREST", 0), ("LINEAR", 1), ("CUBIC", 2), ("AREA", 3), ("LANCZOS4", 4)):
        assert getattr(cv2, f"INTER_{name}") == constant
    assert transforms.PILLOW["bicubic"] == Image.BICUBIC
