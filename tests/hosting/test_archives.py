"""What is unpacked lands in its folder and holds no links, whoever packed it."""

import io
import os
import stat
import tarfile
import zipfile

import pytest

from ppcls_mixformer.hosting import archives
from ppcls_mixformer.hosting.errors import UserError

OUTSIDE = ["../x", "a/../../x", "/x", "..\\x", "a\\..\\..\\x", "C:\\x", "C:x", "\\\\server\\share\\x"]
LINKS = {"a symbolic link": (tarfile.SYMTYPE, stat.S_IFLNK), "a pipe": (tarfile.FIFOTYPE, stat.S_IFIFO)}


def make_zip(path, name, kind=stat.S_IFREG):
    """A zip file of a harmless entry and one called `name`."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("harmless", "x")
        entry = zipfile.ZipInfo("placeholder")
        entry.filename = name  # as it is, whatever Python makes of such names
        entry.external_attr = (kind | 0o777) << 16
        archive.writestr(entry, "/etc")


def make_tar(path, name, kind=tarfile.REGTYPE):
    with tarfile.open(path, "w") as archive:
        entry = tarfile.TarInfo(name)
        entry.type, entry.linkname = kind, "/etc"
        archive.addfile(entry, io.BytesIO())


@pytest.fixture
def target(tmp_path):
    """A folder to unpack to, not made yet; nothing else may appear beside it."""
    yield tmp_path / "archives" / "target"
    assert set(os.listdir(tmp_path)) <= {"archives", "x.zip", "x.tar"}
    assert not (tmp_path / "archives").exists() or os.listdir(tmp_path / "archives") == ["target"]


@pytest.fixture
def on_guard(monkeypatch):
    if not hasattr(tarfile, "data_filter"):
        pytest.skip("this Python's tarfile takes no filter")
    monkeypatch.setattr(tarfile.TarFile, "extraction_filter", None, raising=False)
    archives.guard()


def test_files_and_folders_are_unpacked(tmp_path, target, on_guard):
    make_zip(tmp_path / "x.zip", "a/b..c/file")
    archives.unpack(tmp_path / "x.zip", target)
    assert (target / "a/b..c/file").read_text() == "/etc"
    make_tar(tmp_path / "x.tar", "./c/file")
    tarfile.open(tmp_path / "x.tar").extractall(target)
    assert (target / "c/file").is_file()


@pytest.mark.parametrize("name", OUTSIDE)
def test_an_entry_outside_is_refused(tmp_path, target, on_guard, name):
    make_zip(tmp_path / "x.zip", name)
    with pytest.raises(UserError, match="x.zip: .* would land outside its folder"):
        archives.unpack(tmp_path / "x.zip", target)
    assert not target.exists()
    make_tar(tmp_path / "x.tar", name)
    with pytest.raises(UserError, match="would land outside its folder"):
        tarfile.open(tmp_path / "x.tar").extractall(target)


@pytest.mark.parametrize("kinds", LINKS.values(), ids=LINKS)
def test_an_entry_that_is_no_file_is_refused(tmp_path, target, on_guard, kinds):
    make_zip(tmp_path / "x.zip", "link", kinds[1])
    with pytest.raises(UserError, match="x.zip: link is a link or a device"):
        archives.unpack(tmp_path / "x.zip", target)
    assert not target.exists()
    make_tar(tmp_path / "x.tar", "link", kinds[0])
    with pytest.raises(UserError, match="link is a link or a device"):
        tarfile.open(tmp_path / "x.tar").extractall(target)
