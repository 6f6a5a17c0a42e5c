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


@pytest.mark.parametrize("data, reason", [(b"", "empty"), (b"hello " * 20, "no picture")])
def test_what_is_no_picture_is_refused(tmp_path, data, reason):
    path = tmp_path / "x.jpg"
    path.write_bytes(data)
    with pytest.raises(pictures.Unreadable, match=reason):
        pictures.imread(str(path))
