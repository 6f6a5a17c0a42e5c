"""Folders for results that cannot be made or written are refused before there are any."""

import os

import pytest

from ppcls_mixformer.hosting.errors import UserError
from ppcls_mixformer.hosting.folders import check_folder


def test_a_folder_that_can_be_made_is_none_to_refuse(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for folder in (tmp_path, "new", "new/one", "./new/../other"):
        check_folder("--save_dir", folder)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["file", "file/below", "link", "link/below"])
def test_what_is_no_folder_is_refused_and_stays(tmp_path, name):
    (tmp_path / "file").write_text("mine")
    (tmp_path / "link").symlink_to("nowhere")
    with pytest.raises(UserError, match=f"^--save_dir: {tmp_path}/{name} cannot be a folder, {tmp_path}/"):
        check_folder("--save_dir", tmp_path / name)
    assert (tmp_path / "file").read_text() == "mine"


def test_a_folder_in_which_nothing_can_be_written_is_refused(tmp_path):
    tmp_path.chmod(0o500)
    closed = next((place for place in (tmp_path, "/proc/self") if not os.access(place, os.W_OK)), None)
    if closed is None:
        pytest.skip("this user may write everywhere")
    with pytest.raises(UserError, match=f"^save_dir: nothing can be written to {closed}: name another"):
        check_folder("save_dir", f"{closed}/output")
