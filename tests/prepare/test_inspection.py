"""What is odd about a picture is noted, and what is no picture has a reason."""

import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from ppcls_mixformer.prepare import inspection
from ppcls_mixformer.prepare.inspection import look_at


def turned(path):
    picture = Image.open(path)
    exif = picture.getexif()
    exif[0x112] = 6
    picture.save(path, exif=exif)


def test_an_ordinary_picture_is_not_odd(pictures):
    look = look_at(pictures.add("a.jpg", 60, 40))
    assert (look.reason, look.odd, look.size) == (None, frozenset(), (60, 40))


@pytest.mark.parametrize(
    "name, options, odd",
    [
        ("a.png", {"mode": "L"}, {"grey"}),
        ("a.jpg", {"mode": "CMYK"}, {"cmyk"}),
        ("a.png", {"mode": "RGBA"}, {"transparent"}),
        ("a.png", {"width": 31}, {"tiny"}),
        ("a.bmp", {"width": 5000, "height": 4001}, {"huge"}),
    ],
)
def test_oddities(pictures, name, options, odd):
    assert look_at(pictures.add(name, **options)).odd == odd


def test_a_picture_that_is_turned_has_the_size_that_the_trainer_sees(pictures):
    path = pictures.add("a.jpg", 60, 40)
    turned(path)
    look = look_at(path)
    assert (look.odd, look.size) == ({"rotated"}, (40, 60))


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
@pytest.mark.parametrize("channels", [1, 3])
def test_16_bits(tmp_path, kind, channels):
    cv2 = pytest.importorskip("cv2")
    shape = (40, 40) if channels == 1 else (40, 40, channels)
    values = np.random.RandomState(0).randint(0, 65536, shape).astype("uint16")
    path = tmp_path / f"a.{kind.lower()}"
    cv2.imwrite(str(path), values)
    assert look_at(path).odd == {"sixteen_bits", *(["grey"] if channels == 1 else [])}


def test_several_frames_and_one_colour(tmp_path):
    frames = [Image.new("RGB", (40, 40), color) for color in ("red", "blue")]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    assert look_at(tmp_path / "a.gif").odd == {"animated", "blank"}


def test_copies_have_the_same_pixels_whatever_their_files(pictures):
    path = pictures.add("a.png")
    shutil.copy(path, path.with_name("b.png"))
    Image.open(path).save(path.with_name("c.bmp"))
    other = pictures.add("d.png")
    digests = [look_at(path.with_name(name)).pixels for name in ("a.png", "b.png", "c.bmp")]
    assert len(set(digests)) == 1 and look_at(other).pixels != digests[0]


def test_files_that_are_no_pictures(pictures):
    path = pictures.add("a.jpg", 200, 200)
    path.write_bytes(path.read_bytes()[:3000])
    assert "truncated" in look_at(path).reason
    path.write_bytes(b"")
    assert look_at(path).reason == inspection.EMPTY
    path.write_text("hello")
    assert look_at(path).reason == "it is no picture that can be read here"
    path.unlink()
    assert look_at(path).reason == "No such file or directory"


def test_all_are_looked_at_in_their_order(pictures):
    paths = [pictures.add(f"{number}.png", 33 + number) for number in range(20)]
    looks = inspection.look_at_all(paths, workers=4)
    assert [look.size[0] for look in looks] == [33 + number for number in range(20)]


def without_its_middle(path):
    """A JPEG that ends as it should, and of which OpenCV and Pillow make a picture all the same."""
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 3] + data[len(data) // 2 :])


def test_jpegs_that_lack_a_part_are_told_from_others(pictures, capfd, monkeypatch):
    pytest.importorskip("cv2")  # Pillow does not say what it is warned of
    monkeypatch.setattr(inspection, "TOGETHER", 4)
    paths = [pictures.add(f"{number}.jpg", 90, 80) for number in range(10)]
    for number in (3, 8):
        without_its_middle(paths[number])
    paths[5].write_bytes(b"")
    looks = inspection.look_at_all(paths, workers=4)
    assert [number for number, look in enumerate(looks) if "damaged" in look.odd] == [3, 8]
    assert [number for number, look in enumerate(looks) if look.reason] == [5]
    os.write(2, b"said afterwards")
    assert capfd.readouterr().err.endswith("said afterwards")


def test_pictures_are_looked_at_without_an_error_output(pictures):
    path = pictures.add("a.jpg", 50, 40)
    script = (
        "import os, sys; os.close(2)\n"
        "from ppcls_mixformer.prepare import inspection\n"
        "print([look.size for look in inspection.look_at_all(sys.argv[1:])])"
    )
    command = [sys.executable, "-c", script, str(path)]
    assert subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout == "[(50, 40)]\n"
