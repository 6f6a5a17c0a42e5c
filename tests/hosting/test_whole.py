"""Files and folders that appear only once they are whole."""

import threading

import paddle
import pytest

from ppcls_mixformer.hosting.whole import publish, saves_whole, swap_folder, whole_file


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_file_appears_when_its_block_ends_well(tmp_path):
    target = tmp_path / "file"
    target.write_text("old")
    with whole_file(target) as part:
        part.write_text("new")
        assert target.read_text() == "old" and part.parent == tmp_path
    assert target.read_text() == "new" and names(tmp_path) == ["file"]


@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt])
def test_a_block_that_raises_leaves_the_old_file_and_nothing_else(tmp_path, error):
    target = tmp_path / "file"
    target.write_text("old")
    with pytest.raises(error), whole_file(target) as part:
        part.write_text("half")
        raise error
    assert target.read_text() == "old" and names(tmp_path) == ["file"]


def test_two_writers_of_one_file_do_not_meet(tmp_path):
    with whole_file(tmp_path / "file") as first, whole_file(tmp_path / "file") as second:
        assert first != second
        first.write_text("first")
        second.write_text("second")
    assert names(tmp_path) == ["file"]


def test_a_folder_is_swapped_and_the_old_one_goes_beside_the_new(tmp_path):
    for name in ("target", "scratch/new"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "text").write_text(name)
    swap_folder(tmp_path / "scratch/new", tmp_path / "target")
    assert (tmp_path / "target/text").read_text() == "scratch/new"
    assert names(tmp_path / "scratch") == ["new.old0"]


def test_folders_swapped_at_once_leave_one_of_them_whole(tmp_path):
    def swap(number):
        for turn in range(20):
            new = tmp_path / f"{number}-{turn}"
            new.mkdir()
            (new / "a").write_text(str(number))
            (new / "b").write_text(str(number))
            swap_folder(new, tmp_path / "target")

    threads = [threading.Thread(target=swap, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (tmp_path / "target/a").read_text() == (tmp_path / "target/b").read_text()


def test_publishing_replaces_what_is_stale_and_keeps_the_rest(tmp_path):
    staging, target = tmp_path / "staging", tmp_path / "target"
    for folder, files in ((staging, ["model.json", "model.pdiparams"]), (target, ["model.pdmodel", "notes"])):
        folder.mkdir()
        for file in files:
            (folder / file).write_text(folder.name)
    publish(staging, target, ["model.*"])
    assert names(target) == ["model.json", "model.pdiparams", "notes"]
    assert (target / "model.json").read_text() == "staging"


def test_files_of_one_save_appear_together_or_not_at_all(tmp_path):
    def save(fails):
        for name in ("a", "b"):
            paddle.save({name: paddle.ones([1])}, str(tmp_path / name))
            assert not (tmp_path / name).exists()
        if fails:
            raise OSError("disk full")

    original = paddle.save
    with pytest.raises(OSError):
        saves_whole(save)(fails=True)
    assert names(tmp_path) == [] and paddle.save is original
    saves_whole(save)(fails=False)
    assert names(tmp_path) == ["a", "b"] and paddle.save is original
