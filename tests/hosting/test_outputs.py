"""Results are not written among the pictures that a command reads."""

from pathlib import Path

import pytest

from ppcls_mixformer.hosting.errors import UserError
from ppcls_mixformer.hosting.outputs import check_apart, common_folder


def test_a_folder_among_the_pictures_is_refused(tmp_path):
    holders = [str(tmp_path / "photos/cat"), str(tmp_path / "photos/dog")]
    for holder in holders:
        Path(holder).mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "photos")
    root = common_folder(holders)
    assert root == str(tmp_path / "photos")
    for name in ("report", "photos/../report", "photos-2"):
        check_apart("--output", tmp_path / name, holders, root)
    for name in (
        "photos",
        "photos/report",
        "photos/cat",
        "photos/cat/report",
        "link/report",
        "x/../photos/a",
    ):
        with pytest.raises(UserError, match=f"--output .*: the pictures lie in {tmp_path}/photos"):
            check_apart("--output", tmp_path / name, holders, root)


def test_a_folder_beside_the_pictures_is_not(tmp_path):
    holder = str(tmp_path / "photos")
    check_apart("--output", tmp_path / "photos/new", [holder])  # the picture of a folder, say, is known alone
    with pytest.raises(UserError, match="the pictures lie in"):
        check_apart("--output", tmp_path / "photos", [holder])
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="--report .*/file is a file"):
        check_apart("--report", tmp_path / "file", [])


def test_the_working_folder_is_no_folder_of_pictures(tmp_path, monkeypatch):
    (tmp_path / "work").mkdir()
    holders = [str(tmp_path / "a"), str(tmp_path / "work/b")]
    assert common_folder(holders) == str(tmp_path)
    monkeypatch.chdir(tmp_path / "work")
    assert common_folder(holders) is None and common_folder(holders[1:]) == holders[1]
    assert common_folder([]) is None
