"""Pictures that end early or are none are refused, and whole ones of the same formats are not."""

import io

import cv2
import numpy as np
import pytest
from PIL import Image, ImageFile

from ppcls_mixformer.hosting import pictures

FORMATS = ("JPEG", "PNG", "BMP", "WEBP", "GIF", "TIFF")


def encoded(kind, **options):
    """Bytes of a picture of noise, which no format makes small."""
    noise = np.random.RandomState(0).randint(0, 256, (64, 64, 3), dtype="uint8")
    file = io.BytesIO()
    Image.fromarray(noise).save(file, kind, **options)
    return file.getvalue()


def decoded(data):
    return pictures.imdecode(np.frombuffer(data, dtype="uint8"), cv2.IMREAD_COLOR)


@pytest.mark.parametrize("kind", FORMATS)
def test_a_whole_picture_is_whole(kind):
    pictures.check_whole(encoded(kind))


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("told_to_fill", [False, True])
def test_half_a_picture_is_refused(kind, told_to_fill, monkeypatch):
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", told_to_fill)  # PaddleDetection sets it
    data = encoded(kind)
    with pytest.raises(pictures.Unreadable):
        decoded(data[: len(data) // 2])


def test_without_the_check_half_a_jpeg_is_a_picture():
    data = encoded("JPEG")
    half = np.frombuffer(data[: len(data) // 2], dtype="uint8")
    picture = cv2.imdecode(half, cv2.IMREAD_COLOR)
    if picture is None:
        pytest.skip(f"OpenCV {cv2.__version__} refuses it by itself")
    assert picture.shape == (64, 64, 3)


def test_a_jpeg_may_have_something_behind_it():
    data = encoded("JPEG")
    for whole in (data + b"\0" * 100, data + encoded("PNG")):
        assert decoded(whole).shape == (64, 64, 3)


def test_the_last_mark_of_a_thumbnail_is_not_that_of_the_picture():
    data = encoded("JPEG")
    thumbnail = b"\xff\xe1" + (len(data) + 2).to_bytes(2, "big") + data
    with_thumbnail = data[:2] + thumbnail + data[2:]
    assert decoded(with_thumbnail).shape == (64, 64, 3)
    with pytest.raises(pictures.Unreadable):
        decoded(with_thumbnail[: -len(data) // 2])


def icon():
    """An icon of macOS with a picture of another size than it says, of which Pillow raises a ValueError."""
    file = io.BytesIO()
    Image.new("RGB", (3, 3)).save(file, "PNG")
    part = b"ic07" + (8 + len(file.getvalue())).to_bytes(4, "big") + file.getvalue()
    return b"icns" + (8 + len(part)).to_bytes(4, "big") + part


@pytest.mark.parametrize(
    "data, reason",
    [
        (b"", "empty"),
        (b"hello " * 20, "no picture"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n", "PostScript"),
        (b"\xc5\xd0\xd3\xc6" + bytes(40), "PostScript"),
        (icon(), "not one of the allowed sizes"),
    ],
)
def test_what_is_no_picture_is_refused(tmp_path, data, reason):
    path = tmp_path / "x.jpg"
    path.write_bytes(data)
    with pytest.raises(pictures.Unreadable, match=reason):
        pictures.imread(str(path))


def pictures_of_many_kinds():
    """Names and bytes of pictures, smooth ones, in kinds of files that decoders may read in several ways."""
    random = np.random.RandomState(0)
    smooth = Image.fromarray(random.randint(0, 256, (4, 5, 3), "uint8")).resize((60, 50), Image.BICUBIC)
    alpha = Image.fromarray(random.randint(0, 256, (50, 60), "uint8"))
    transparent = smooth.copy()
    transparent.putalpha(alpha)
    turned = Image.Exif()
    turned[0x112] = 6
    grey = smooth.convert("L")
    for name, picture, kind, options in (
        ("quality 75", smooth, "JPEG", {"quality": 75}),
        ("quality 95", smooth, "JPEG", {"quality": 95}),
        ("progressive", smooth, "JPEG", {"progressive": True}),
        ("4:4:4", smooth, "JPEG", {"subsampling": 0}),
        ("4:2:2", smooth, "JPEG", {"subsampling": 1}),
        ("turned", smooth, "JPEG", {"exif": turned}),
        ("grey", grey, "JPEG", {}),
        ("quality 75", smooth, "WEBP", {"quality": 75}),
        ("lossless", smooth, "WEBP", {"lossless": True}),
        ("transparent", transparent, "WEBP", {}),
        ("plain", smooth, "PNG", {}),
        ("palette", smooth.quantize(16), "PNG", {}),
        ("black and white", smooth.convert("1"), "PNG", {}),
        ("grey", grey, "PNG", {}),
        ("transparent grey", Image.merge("LA", (grey, alpha)), "PNG", {}),
        ("transparent", transparent, "PNG", {}),
        ("turned", smooth, "PNG", {"exif": turned}),
        ("plain", smooth, "BMP", {}),
        ("palette", smooth.quantize(16), "BMP", {}),
        ("plain", smooth, "TIFF", {}),
        ("LZW", smooth, "TIFF", {"compression": "tiff_lzw"}),
        ("transparent", transparent, "TIFF", {}),
        ("transparent LZW", transparent, "TIFF", {"compression": "tiff_lzw"}),
        ("transparent grey", Image.merge("LA", (grey, alpha)), "TIFF", {}),
    ):
        file = io.BytesIO()
        picture.save(file, kind, **options)
        yield pytest.param(file.getvalue(), id=f"{kind} {name}")


@pytest.mark.parametrize("data", list(pictures_of_many_kinds()))
def test_pillow_alone_gives_the_pixels_of_opencv(data, monkeypatch):
    with_opencv = pictures.decode(data)
    monkeypatch.setattr(pictures, "cv2", None)
    np.testing.assert_array_equal(pictures.decode(data), with_opencv)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_the_size_is_that_of_the_picture_as_it_is_read(kind, tmp_path):
    path, turned = tmp_path / "a", Image.Exif()
    for turned[0x112] in range(1, 9):
        Image.new("RGB", (60, 50)).save(path, kind, exif=turned)
        height, width = pictures.imread(path).shape[:2]
        assert pictures.read_size(path) == ((width, height), (60, 50), turned[0x112] > 1)


def test_pillow_alone_rounds_the_four_colours_of_print_in_another_way(monkeypatch):
    file = io.BytesIO()
    Image.open(io.BytesIO(encoded("PNG"))).convert("CMYK").save(file, "JPEG")
    with_opencv = pictures.decode(file.getvalue()).astype(int)
    monkeypatch.setattr(pictures, "cv2", None)
    assert np.abs(pictures.decode(file.getvalue()) - with_opencv).max() == 1
