"""Files, sets and folders that appear only once they are whole, whenever their process is killed."""

import contextlib
import errno
import logging
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import paddle
import pytest
from crashes import states

from ppcls_mixformer.hosting import whole
from ppcls_mixformer.hosting.errors import UserError
from ppcls_mixformer.hosting.whole import (
    publish,
    remove_folder,
    saves_whole,
    scratch,
    settle,
    whole_file,
    whole_folder,
    whole_set,
)

needs_locks = pytest.mark.skipif(whole.fcntl is None, reason="this system has no file locks")


def names(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def contents(folder):
    return {name: (folder / name).read_text() for name in names(folder)}


# Files


def test_a_file_appears_when_its_block_ends_well(tmp_path):
    target = tmp_path / "file"
    target.write_text("old")
    with whole_file(target) as part:
        part.write_text("new")
        assert target.read_text() == "old" and part.name == "file"
    assert contents(tmp_path) == {"file": "new"}


@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt])
def test_a_block_that_raises_leaves_the_old_file_and_nothing_else(tmp_path, error):
    target = tmp_path / "file"
    target.write_text("old")
    with pytest.raises(error), whole_file(target) as part:
        part.write_text("half")
        raise error
    assert os.listdir(tmp_path) == ["file"] and target.read_text() == "old"


def test_two_writers_of_one_file_do_not_meet(tmp_path):
    with whole_file(tmp_path / "file") as first, whole_file(tmp_path / "file") as second:
        assert first != second
        first.write_text("first")
        second.write_text("second")
    assert os.listdir(tmp_path) == ["file"]


def test_a_full_disk_is_said_of_the_file(tmp_path):
    with pytest.raises(OSError, match="No space left") as error, whole_file(tmp_path / "file"):
        with open("/dev/full", "w") as full:
            full.write("x" * 10000)
    assert error.value.filename == str(tmp_path / "file")


def test_errors_name_files_as_they_will_be_called(tmp_path):
    def fail(path):
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    for expected in ("file", "folder/a", "set/b/c"):
        with pytest.raises(OSError, match="No space left") as error, contextlib.ExitStack() as stack:
            if expected == "file":
                fail(stack.enter_context(whole_file(tmp_path / "file")))
            elif expected == "folder/a":
                fail(stack.enter_context(whole_folder(tmp_path / "folder")) / "a")
            fail(stack.enter_context(whole_set(tmp_path / "set"))(tmp_path / "set/b/c"))
        assert error.value.filename == str(tmp_path / expected)
    with pytest.raises(OSError, match="No space left") as error, whole_file(tmp_path / "file"):
        fail("/elsewhere")
    assert error.value.filename == "/elsewhere"


def test_a_copy_that_fails_names_where_it_was_to_go(tmp_path, monkeypatch):
    def copyfile(source, target):
        raise OSError(errno.ENOSPC, "No space left on device", str(source), None, str(target))

    (tmp_path / "staging").mkdir()
    (tmp_path / "staging/model.json").touch()
    monkeypatch.setattr(whole.shutil, "copyfile", copyfile)
    with pytest.raises(OSError, match="No space left") as error:
        publish(tmp_path / "staging", tmp_path / "target", ["model.json"])
    assert (error.value.filename, error.value.filename2) == (str(tmp_path / "target/model.json"), None)


# Sets


def write_set(folder, text):
    """Replaces the set a, sub/b, key in `folder`; an earlier one may have a file `stale`."""
    with whole_set(folder, ["stale"]) as part:
        for name in ("a", "sub/b", "key"):
            part(folder / name).write_text(text)


def test_a_set_replaces_an_earlier_one_and_leaves_other_files(tmp_path):
    write_set(tmp_path, "old")
    (tmp_path / "stale").touch()
    (tmp_path / "notes").write_text("mine")
    write_set(tmp_path, "new")
    assert contents(tmp_path) == {"a": "new", "key": "new", "notes": "mine", "sub/b": "new"}


@needs_locks
def test_after_a_kill_a_set_is_whole_or_lacks_its_key_and_then_is_settled(tmp_path):
    folder, copies = tmp_path / "set", tmp_path / "copies"
    write_set(folder, "old" * 9)
    (folder / "stale").write_text("old" * 9)
    found = states(folder, lambda: write_set(folder, "new"), copies)
    seen = set()
    for state in found:
        left = contents(state)
        visible = {text for name, text in left.items() if not name.startswith(whole.PREFIX)}
        assert "key" not in left or len(visible) == 1
        settle(state)
        settled = contents(state)
        text = settled["key"]
        assert settled == dict.fromkeys(["a", "key", "sub/b"] + ["stale"] * (text != "new"), text)
        assert set(os.listdir(state)) <= {"a", "sub", "key", "stale"}
        seen.add(text)
    assert seen == {"old" * 9, "new"} and len(found) > 15


def refuse(*args):
    raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))


@needs_locks
def test_what_was_cut_short_is_settled_even_if_that_is_cut_short(tmp_path):
    cut = cut_states(tmp_path)
    for number, state in enumerate(cut):
        for again in states(state, lambda state=state: settle(state), tmp_path / f"again{number}"):
            settle(again)
            assert contents(again) == {"a": "new", "key": "new", "sub/b": "new"}
    assert cut


def cut_states(tmp_path):
    """States of a kill while files of a new set were put in place: the key is not there."""
    folder = tmp_path / "set"
    write_set(folder, "old")
    found = states(folder, lambda: write_set(folder, "new"), tmp_path / "copies")
    return [state for state in found if not (state / "key").exists()]


@needs_locks
@pytest.mark.parametrize("name", ["a", "sub/b", "key"])
@pytest.mark.parametrize("age", [0, 3600], ids=["now", "with an old date"])
def test_what_others_wrote_since_stays(tmp_path, name, age):
    for state in cut_states(tmp_path):
        placed = (state / "a").read_text() == "new"
        (state / name).write_text("theirs")
        os.utime(state / name, (time.time() - age,) * 2)
        settle(state)
        if age and not (name == "a" and placed):
            continue  # a file that is older than the set is what the set replaces
        assert contents(state)[name] == "theirs" and not list(state.glob(f"{whole.PREFIX}*"))


@needs_locks
def test_what_cannot_be_put_in_place_stays_and_is_named(tmp_path, caplog, monkeypatch):
    (tmp_path / "a").mkdir()
    (tmp_path / "key").write_text("old")
    with pytest.raises(UserError, match="cannot be put in place .*; it lies in .*files, and the next"):
        write_set(tmp_path, "new")
    assert (tmp_path / "key").read_text() == "old"
    (kept,) = tmp_path.glob(f"{whole.PREFIX}*/files")
    assert (kept / "key").read_text() == "new"
    monkeypatch.setattr(logging.getLogger("ppcls_mixformer"), "propagate", True)
    settle(tmp_path)
    assert f"it lies in {kept}" in caplog.text and kept.exists()
    (tmp_path / "a").rmdir()
    settle(tmp_path)
    assert contents(tmp_path) == {"a": "new", "key": "new", "sub/b": "new"}


def test_a_file_that_was_never_written_leaves_the_old_set(tmp_path):
    write_set(tmp_path, "old")
    with pytest.raises(OSError, match="No such file"), whole_set(tmp_path) as part:
        part(tmp_path / "a").write_text("new")
        part(tmp_path / "key")
    assert contents(tmp_path) == {"a": "old", "key": "old", "sub/b": "old"}


def plant(folder, plan, **files):
    """A leftover in `folder` as somebody could have packed it with a checkpoint."""
    home = folder / f"{whole.PREFIX}planted"
    (home / whole.FILES).mkdir(parents=True)
    (home / whole.LOCK).touch()
    (home / whole.PLAN).write_text(plan)
    for name, content in files.items():
        (home / whole.FILES / name).write_text(content)
    return home


PLAN_OF_OTHERS = '{"files": {"link/victim": [0, 0], "key": [0, 0]}, "asked": ["*"], "home": %d}'


@needs_locks
@pytest.mark.parametrize("home", [0, 1, 2**40])
def test_a_plan_that_came_with_files_is_not_carried_out(tmp_path, home):
    (tmp_path / "victim").write_text("whole")
    (tmp_path / "unpacked").mkdir()
    (tmp_path / "unpacked/link").symlink_to(tmp_path)
    (tmp_path / "unpacked/mine").write_text("mine")
    planted = plant(tmp_path / "unpacked", PLAN_OF_OTHERS % home, key="theirs")
    (planted / whole.FILES / "link").mkdir()
    (planted / whole.FILES / "link/victim").write_text("theirs")
    settle(tmp_path / "unpacked")
    assert (tmp_path / "victim").read_text() == "whole" and (tmp_path / "unpacked/mine").exists()
    assert (planted / whole.FILES / "key").exists()  # it may be all that is left of somebody's set


@needs_locks
@pytest.mark.parametrize("plan", ["", "{", "[]", "{}", "5", "\0", '{"home": []}'])
def test_a_damaged_plan_is_left_alone(tmp_path, plan):
    home = plant(tmp_path, plan)
    write_set(tmp_path, "new")
    assert (tmp_path / "key").read_text() == "new" and (home / whole.PLAN).exists()


@needs_locks
def test_a_link_is_not_followed(tmp_path):
    victim = plant(tmp_path / "victim", "{}", key="whole")
    (victim / whole.PLAN).unlink()
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / f"{whole.PREFIX}link").symlink_to(victim)
    other = folder / f"{whole.PREFIX}lock"
    other.mkdir()
    (other / whole.LOCK).symlink_to(victim / whole.LOCK)
    settle(folder)
    assert (victim / whole.FILES / "key").read_text() == "whole"


@needs_locks
def test_without_locks_nothing_is_known_to_be_dead(tmp_path, monkeypatch):
    """As on some network file systems."""
    left = plant(tmp_path, "{}")
    monkeypatch.setattr(whole.fcntl, "flock", refuse)
    write_set(tmp_path, "new")
    with scratch(tmp_path), scratch(tmp_path):
        write_set(tmp_path, "newer")
    (tmp_path / "parent").mkdir()
    write_folder(tmp_path / "parent/target", "new")
    assert left.exists() and len(list(tmp_path.glob(f"{whole.PREFIX}*"))) == 1


def test_all_of_it_without_fcntl(tmp_path, monkeypatch):
    """As on Windows; there nothing else of it was tried."""
    monkeypatch.setattr(whole, "fcntl", None)
    for text in ("old", "new"):
        write_set(tmp_path / "set", text)
        write_folder(tmp_path / "folder", text)
        with whole_file(tmp_path / "file") as part:
            part.write_text(text)
    remove_folder(tmp_path / "folder")
    assert contents(tmp_path) == dict.fromkeys(["file", "set/a", "set/key", "set/sub/b"], "new")


def test_sets_published_at_once_are_not_mixed(tmp_path):
    def write(number):
        for turn in range(20):
            write_set(tmp_path, f"{number} {turn}")

    in_threads(write)
    assert len(set(contents(tmp_path).values())) == 1 and names(tmp_path) == ["a", "key", "sub/b"]


def in_threads(work, count=4):
    errors = []

    def run(number):
        try:
            work(number)
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors


def test_publishing_replaces_what_is_stale_and_keeps_the_rest(tmp_path):
    staging, target = tmp_path / "staging", tmp_path / "target"
    for folder, files in ((staging, ["model.json", "model.pdiparams"]), (target, ["model.pdmodel", "notes"])):
        folder.mkdir()
        for file in files:
            (folder / file).write_text(folder.name)
    publish(staging, target, ["model.*"])
    assert names(target) == ["model.json", "model.pdiparams", "notes"]
    assert (target / "model.json").read_text() == "staging"


@needs_locks
def test_after_a_kill_no_reader_finds_a_mixed_export(tmp_path):
    """Two programs that share one file of parameters: neither may be there with another's."""
    target, files = tmp_path / "target", ("inference.json", "inference.pdmodel", "inference.pdiparams")
    for name in ("old", "new"):
        (tmp_path / name).mkdir()
        for file in files:
            (tmp_path / name / file).write_text(name)
    programs = [name for name in files if name != "inference.pdiparams"]
    publish(tmp_path / "old", target, programs)
    for state in states(target, lambda: publish(tmp_path / "new", target, programs), tmp_path / "copies"):
        for program in programs:
            if (state / program).exists():
                assert (state / program).read_text() == (state / "inference.pdiparams").read_text()


def test_two_exports_of_different_programs_are_not_mixed(tmp_path):
    """As of two Paddles: each has a program that the other lacks, both have parameters of one name."""
    programs = ("inference.json", "inference.pdmodel")
    for number, program in enumerate(programs):
        for name in (program, "inference.pdiparams"):
            path = tmp_path / str(number) / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(str(number))
    target = tmp_path / "t"
    in_threads(lambda number: [publish(tmp_path / str(number % 2), target, programs) for _ in range(20)])
    assert len(names(target)) == 2 and len(set(contents(target).values())) == 1


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes with names here")
def test_a_pipe_or_a_device_is_not_replaced(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "file.csv").symlink_to(tmp_path / "pipe")
    with pytest.raises(FileExistsError, match="a device or a pipe"), whole_file(tmp_path / "file.csv"):
        raise AssertionError("the work was done in vain")
    assert (tmp_path / "pipe").is_fifo()


def test_a_folder_of_a_name_that_is_asked_for_stays(tmp_path):
    (tmp_path / "old/model.json").mkdir(parents=True)
    (tmp_path / "new").mkdir()
    (tmp_path / "new/model.pdmodel").write_text("new")
    publish(tmp_path / "new", tmp_path / "old", ["model.*"])
    assert (tmp_path / "old/model.json").is_dir() and (tmp_path / "old/model.pdmodel").exists()


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
    assert os.listdir(tmp_path) == [] and paddle.save is original
    saves_whole(save)(fails=False)
    assert sorted(os.listdir(tmp_path)) == ["a", "b"] and paddle.save is original


def test_a_link_out_of_a_set_is_one_line(tmp_path):
    (tmp_path / "set").mkdir()
    (tmp_path / "other").mkdir()
    (tmp_path / "set/sub").symlink_to(tmp_path / "other")
    with pytest.raises(UserError, match="set/sub is a link out of .*set, to .*other; remove it"):
        write_set(tmp_path / "set", "new")
    assert os.listdir(tmp_path / "set") == ["sub"] and not os.listdir(tmp_path / "other")


# Folders


def write_folder(path, text):
    with whole_folder(path) as new:
        new.mkdir()
        for name in ("a", "b"):
            (new / name).write_text(text)


@needs_locks
def test_after_a_kill_a_folder_is_the_old_one_or_the_new_one(tmp_path):
    parent = tmp_path / "parent"
    parent.mkdir()
    write_folder(parent / "target", "old")
    seen = set()
    for state in states(parent, lambda: write_folder(parent / "target", "new"), tmp_path / "copies"):
        settle(state)
        assert os.listdir(state) == ["target"]
        (text,) = set(contents(state / "target").values())
        assert names(state / "target") == ["a", "b"]
        seen.add(text)
    assert seen == {"old", "new"}


@needs_locks
def test_a_folder_that_others_made_since_stays(tmp_path):
    parent = tmp_path / "parent"
    parent.mkdir()
    write_folder(parent / "target", "old")
    found = states(parent, lambda: write_folder(parent / "target", "new"), tmp_path / "copies")
    for state in (state for state in found if not (state / "target").exists()):
        (state / "target").mkdir()
        (state / "target/mine").write_text("mine")
        settle(state)
        assert contents(state) == {"target/mine": "mine"}


def test_links_to_folders_and_files_are_kept(tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "target").symlink_to(tmp_path / "disk/target")
    (tmp_path / "file").symlink_to(tmp_path / "disk/file")
    write_folder(tmp_path / "target", "new")
    with whole_file(tmp_path / "file") as part:
        part.write_text("new")
    write_set(tmp_path / "target", "newer")
    assert (tmp_path / "target").is_symlink() and (tmp_path / "file").is_symlink()
    assert contents(tmp_path / "disk")["target/key"] == "newer"


def test_folders_swapped_at_once_leave_one_of_them_whole(tmp_path):
    in_threads(lambda number: [write_folder(tmp_path / "target", f"{number} {turn}") for turn in range(20)])
    assert len(set(contents(tmp_path / "target").values())) == 1 and os.listdir(tmp_path) == ["target"]


@needs_locks
def test_after_a_kill_no_half_of_a_removed_folder_is_left(tmp_path):
    parent = tmp_path / "parent"
    parent.mkdir()
    write_folder(parent / "old", "old")
    for state in states(parent, lambda: remove_folder(parent / "old"), tmp_path / "copies"):
        settle(state)
        assert not (state / "old").exists() or names(state / "old") == ["a", "b"]
        assert set(os.listdir(state)) <= {"old"}
    assert os.listdir(parent) == []


# Leftovers


HOLD = """
import sys
from ppcls_mixformer.hosting.whole import scratch
with scratch(sys.argv[1]) as folder:
    (folder / "big").write_text("x")
    print(folder, flush=True)
    sys.stdin.read()
"""


@needs_locks
def test_leftovers_of_dead_runs_go_at_the_next_start_but_not_those_of_one_that_lives(tmp_path):
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    first, second = (
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(2)
    )
    dead, alive = (Path(process.stdout.readline().strip()) for process in (first, second))
    first.kill()
    first.wait()
    (tmp_path / f"{whole.PREFIX}unlocked").mkdir()  # killed between two steps
    with scratch(tmp_path):
        assert not dead.exists() and (alive / "big").exists()
        assert len(list(tmp_path.glob(f"{whole.PREFIX}*"))) == 2
    second.communicate()
    assert os.listdir(tmp_path) == []


@needs_locks
def test_what_another_user_left_is_not_touched(tmp_path, monkeypatch):
    planted = plant(tmp_path, "{}")
    (planted / whole.PLAN).unlink()
    owner = planted.stat().st_uid
    monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
    settle(tmp_path)
    assert (planted / whole.LOCK).exists()
