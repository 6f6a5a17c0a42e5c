"""How much memory is left: that of the machine, or of the group of processes that a container is."""

import sys

import pytest

from ppcls_mixformer.hosting import memory

GIGABYTE = 2**30


@pytest.fixture
def group(tmp_path, monkeypatch):
    """Function that writes the files of a group's limit into the folder of all groups."""

    def write(folder, **files):
        (tmp_path / folder).mkdir(exist_ok=True)
        for name, text in files.items():
            (tmp_path / folder / name.replace("__", ".")).write_text(f"{text}\n")

    monkeypatch.setattr(memory, "GROUPS", tmp_path)
    return write


def test_a_container_has_what_its_limit_leaves(group, monkeypatch):
    monkeypatch.setattr(memory, "_of_the_machine", lambda: 100 * GIGABYTE)
    assert memory.available() == 100 * GIGABYTE
    stat = f"anon 5\ninactive_file {GIGABYTE}"  # a cache, which goes when memory is asked for
    group("", memory__max=8 * GIGABYTE, memory__current=3 * GIGABYTE, memory__stat=stat)
    assert memory.available() == 6 * GIGABYTE
    group("", memory__max="max")
    assert memory.available() == 100 * GIGABYTE


def test_a_container_of_the_first_release_too(group):
    group("memory", **{"memory.limit_in_bytes": 5000, "memory.usage_in_bytes": 4000})
    group("memory", memory__stat="total_inactive_file 500")
    assert memory.available() == 1500
    group("memory", **{"memory.usage_in_bytes": 6000})
    assert memory.available() == 0


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="other systems do not tell")
def test_a_machine_has_some_memory_left(group):
    assert memory.available() > 10 * 2**20


def test_a_system_that_does_not_tell(group, monkeypatch):
    monkeypatch.setattr(memory.Path, "read_text", lambda self: "")
    assert memory.available() is None
