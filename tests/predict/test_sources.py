"""Pictures from files, folders, addresses, arrays and Pillow; what is none is one line."""

import io
import logging
import os
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
from PIL import Image

from ppcls_mixformer.hosting import pictures
from ppcls_mixformer.hosting.errors import UserError
from ppcls_mixformer.hosting.pictures import Unreadable
from ppcls_mixformer.predict import sources
from ppcls_mixformer.predict.sources import Source, find

NOISE = np.random.RandomState(0).randint(0, 256, (20, 30, 3), "uint8")


def saved(picture, path, **options):
    Image.fromarray(picture).save(path, **options)
    return Source(str(path)).rgb()


def test_pictures_of_a_folder_in_any_format_and_below_it(photos, caplog):
    with caplog.at_level(logging.INFO):
        found = find(photos)
    names = [source.name.removeprefix(f"{photos}/") for source in found]
    assert names == ["a.png", "b.JPG", "c.webp", "d.bmp", "e.TIFF", "f.gif", "sub/g.jpeg"]
    assert "1 other files skipped, such as" in caplog.text and "notes.txt" in caplog.text
    for source in found:
        with Image.open(source.name) as picture:
            assert source.rgb().shape == (picture.height, picture.width, 3)


def test_photographs_in_formats_that_are_not_read_are_warned_of(tmp_path, caplog):
    for name in ("a.png", "b.HEIC", "c.heic", "._c.heic"):
        (tmp_path / name).touch()
    with caplog.at_level("WARNING"):
        find(tmp_path)
    assert "2 pictures in formats that are not read, such as " in caplog.text and "b.HEIC" in caplog.text


def test_a_file_is_tried_whatever_its_name(tmp_path):
    Image.fromarray(NOISE).save(tmp_path / "picture", "PNG")
    assert np.array_equal(find(tmp_path / "picture")[0].rgb(), NOISE)


@pytest.mark.parametrize(
    "name, message", [("nowhere", "there is no file or folder"), ("", "holds no pictures")]
)
def test_nothing_to_read_is_one_line(tmp_path, name, message):
    (tmp_path / "._a.jpg").write_text("what macOS leaves on other disks")
    with pytest.raises(UserError, match=message):
        find(tmp_path / name)


@pytest.mark.parametrize("without_opencv", [False, True])
def test_every_kind_of_pixel_becomes_rgb(tmp_path, monkeypatch, without_opencv):
    if without_opencv:
        monkeypatch.setattr(pictures, "cv2", None)
    grey = NOISE[:, :, 0]
    assert np.array_equal(saved(NOISE, tmp_path / "rgb.png"), NOISE)
    assert np.array_equal(saved(grey, tmp_path / "grey.png"), np.dstack([grey] * 3))
    alpha = np.dstack([NOISE, grey])
    assert np.array_equal(saved(alpha, tmp_path / "alpha.png"), NOISE)
    deep = grey.astype("uint16") * 256 + 77
    assert np.array_equal(saved(deep, tmp_path / "deep.png"), np.dstack([grey] * 3))
    rotated = Image.Exif()
    rotated[0x0112] = 6
    assert saved(NOISE, tmp_path / "rotated.png", exif=rotated).shape == (30, 20, 3)
    Image.fromarray(NOISE).convert("CMYK").save(tmp_path / "cmyk.jpg")
    assert Source(str(tmp_path / "cmyk.jpg")).rgb().shape == NOISE.shape
    first = [Image.fromarray(NOISE), Image.fromarray(255 - NOISE)]
    first[0].save(tmp_path / "moving.gif", save_all=True, append_images=first[1:])
    found = Source(str(tmp_path / "moving.gif")).rgb()
    assert np.abs(found.astype(int) - NOISE).mean() < np.abs(found.astype(int) - (255 - NOISE)).mean()


@pytest.mark.parametrize("kind", ["float32", "int32"])
def test_numbers_without_a_range_are_refused(kind):
    with pytest.raises(Unreadable, match="its numbers"):
        Source(None, Image.fromarray(NOISE[:, :, 0].astype(kind) * 1000)).rgb()


@pytest.mark.parametrize(
    "array",
    [NOISE[:, :, 0], NOISE[:, :, :1], np.dstack([NOISE, NOISE[:, :, 0]]), NOISE],
    ids=lambda a: a.shape,
)
def test_arrays_of_bytes_are_taken(array):
    expected = array[:, :, :3] if array.ndim == 3 and array.shape[2] > 1 else np.dstack([NOISE[:, :, 0]] * 3)
    assert np.array_equal(Source(None, array).rgb(), expected)


@pytest.mark.parametrize(
    "array, message",
    [
        (NOISE / 255, r"an array of float64; .* \(array \* 255\)"),
        (NOISE.astype("float32"), "an array of float32"),
        (NOISE.astype("int64"), "an array of int64"),
        (NOISE[:, :, 0] > 3, "an array of bool"),
        (NOISE.transpose(2, 0, 1), r"an array of shape \[3, 20, 30\]; .* channels last"),
        (NOISE[None], "an array of shape"),
        (NOISE[:0], "an array of shape"),
    ],
)
def test_other_arrays_are_refused(array, message):
    with pytest.raises(UserError, match=message):
        Source(None, array).rgb()


@pytest.fixture
def server(monkeypatch):
    """Address of a server whose behaviour the path names."""
    file = io.BytesIO()
    Image.fromarray(NOISE).save(file, "PNG")

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            if self.path == "/missing":
                self.send_error(404)
                return
            if self.path == "/silent":
                time.sleep(3)
                return
            if self.path == "/slow-headers":
                for line in ("HTTP/1.0 200 OK\r\n", *["X: y\r\n"] * 50):
                    self.wfile.write(line.encode())
                    time.sleep(0.1)
            self.send_response(200)
            self.end_headers()
            if self.path in ("/whole.png", "/caf%C3%A9%20a.png"):
                self.wfile.write(file.getvalue())
            while self.path in ("/drips", "/endless"):
                self.wfile.write(b"\0" * (1 << 16 if self.path == "/endless" else 1))
                time.sleep(0 if self.path == "/endless" else 0.05)

        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setattr(sources, "TIMEOUT", 1)
    monkeypatch.setattr(sources, "SIZE", 1 << 20)
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


@pytest.mark.parametrize("name", ["whole.png", "café a.png", "caf%C3%A9%20a.png"])
def test_a_picture_at_an_address(server, name):
    assert np.array_equal(find(f"{server}/{name}")[0].rgb(), NOISE)


@pytest.mark.parametrize(
    "path, message",
    [
        ("missing", "the server answers 404"),
        ("silent", "no answer: "),
        ("slow-headers", "no answer within 1 seconds"),
        ("drips", "^it does not arrive within 1 seconds"),
        ("endless", "^it is larger than 1 MiB"),
        ("empty", "the file is empty"),
    ],
)
def test_an_address_without_a_picture_ends_within_seconds(server, path, message):
    start = time.monotonic()
    with pytest.raises(Unreadable, match=message):
        find(f"{server}/{path}")[0].rgb()
    assert time.monotonic() - start < 10


def test_an_address_that_nobody_listens_at():
    with pytest.raises(Unreadable, match="no answer"):
        find("http://127.0.0.1:9/a.png")[0].rgb()


def test_linked_folders_are_entered_once(tmp_path):
    for folder in ("in", "out"):
        (tmp_path / folder / "sub").mkdir(parents=True)
        (tmp_path / folder / "sub" / "a.png").touch()
    (tmp_path / "in" / "again").symlink_to("sub")
    (tmp_path / "in" / "linked").symlink_to(tmp_path / "out")
    (tmp_path / "out" / "back").symlink_to(tmp_path / "in")
    found = [os.path.relpath(source.name, tmp_path / "in") for source in find(tmp_path / "in")]
    assert found == ["linked/sub/a.png", "sub/a.png"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes")
def test_what_is_no_file_fails_at_once(tmp_path):
    os.mkfifo(tmp_path / "a.png")
    (source,) = find(tmp_path)
    with pytest.raises(Unreadable, match="it is no file"):
        source.rgb()


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root enters everything")
def test_a_folder_that_cannot_be_entered_fails_in_its_turn(tmp_path):
    (tmp_path / "closed").mkdir(mode=0)
    (tmp_path / "a.png").touch()
    closed = find(tmp_path)[1]
    with pytest.raises(PermissionError):
        closed.data()
