"""Pictures of Pillow are whole in their files, or an error."""

import io
import os
import sys

import numpy as np
import pytest
from commands import run
from PIL import Image

from ppcls_mixformer.hosting import drawn
from ppcls_mixformer.hosting.whole import open_whole

LIMITED = """
import resource, sys
from PIL import Image
from ppcls_mixformer.hosting import drawn
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
picture = Image.effect_noise((200, 160), 90)
for number, save in enumerate((Image.Image.save, drawn.save, drawn.saved_whole(Image.Image.save))):
    try:
        save(picture, f"{sys.argv[1]}/{number}.jpg", quality=95)
        print(number, "says nothing")
    except OSError as error:
        print(number, error.strerror, error.filename)
"""


@pytest.fixture
def picture():
    return Image.fromarray(np.random.RandomState(0).randint(0, 256, [30, 40, 3], "uint8"))


@pytest.mark.parametrize("name, kind", [("a.jpg", "JPEG"), ("a.png", "PNG"), ("a.BMP", "BMP")])
def test_the_name_says_the_format(picture, tmp_path, name, kind):
    for save in (drawn.save, drawn.saved_whole(Image.Image.save)):
        save(picture, tmp_path / name)
        with Image.open(tmp_path / name) as found:
            assert found.format == kind and found.size == (40, 30)


def test_options_are_pillows(picture, tmp_path):
    for quality in (10, 95):
        drawn.save(picture, tmp_path / f"{quality}.jpg", quality=quality)
        picture.save(tmp_path / "pillow.jpg", quality=quality)
        assert (tmp_path / f"{quality}.jpg").read_bytes() == (tmp_path / "pillow.jpg").read_bytes()


def test_what_is_saved_to_an_open_file_goes_there(picture):
    found, expected = io.BytesIO(), io.BytesIO()
    drawn.saved_whole(Image.Image.save)(picture, found, format="png")  # as VisualDL does
    picture.save(expected, format="png")
    assert found.getvalue() == expected.getvalue()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits of files are asked for")
def test_a_file_that_cannot_be_whole_is_an_error(tmp_path):
    said = run(sys.executable, "-c", LIMITED, tmp_path).splitlines()
    assert said[1:] == [f"{number} File too large {tmp_path / str(number)}.jpg" for number in (1, 2)]
    assert not (tmp_path / "2.jpg").exists()
    if said[0] != "0 says nothing":
        pytest.skip("this Pillow says so itself")
    assert os.path.getsize(tmp_path / "0.jpg") == 4096


def test_files_are_opened_as_by_open(tmp_path):
    path = tmp_path / "a.txt"
    with pytest.raises(KeyError), open_whole(path, "w", encoding="utf-8") as file:
        file.write("half")
        raise KeyError
    assert not os.listdir(tmp_path)
    with open_whole(path, "w", encoding="utf-8") as file:
        file.write("ä")
    with open_whole(path, encoding="utf-8") as file:
        assert file.read() == "ä"
