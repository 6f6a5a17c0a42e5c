"""Checkpoints and exports of classifiers, whenever the process that writes them is killed."""

import hashlib
import os
import shutil
import sys
from pathlib import Path

import paddle
import pytest
from commands import CONFIG, checkpoint, error_line, overrides, tool
from crashes import states

from ppcls_mixformer import MixFormer_B0
from ppcls_mixformer.hosting import whole
from ppcls_mixformer.hosting.whole import settle
from ppcls_mixformer.paddleclas import register
from ppcls_mixformer.weights.checkpoint import read_file

pytestmark = pytest.mark.skipif(whole.fcntl is None, reason="this system has no file locks")

HIDDEN = shutil.ignore_patterns(f"{whole.PREFIX}*")
SUFFIXES = (".pdparams", ".pdopt", ".pdstates")


@pytest.fixture(scope="module", autouse=True)
def logger():
    """PaddleClas's logger, without which it saves nothing, and which a process can set up only once."""
    register()
    from ppcls.utils import logger

    before = logger._logger
    if before is None:
        logger.init_logger()
    yield logger
    logger._logger = before


class Optimizer:
    """What is saved of an optimizer, or of the list that newer releases have."""

    def __init__(self, epoch):
        self.epoch = epoch

    def state_dict(self):
        return {"epoch": self.epoch}

    def __iter__(self):
        return iter([self])


def save(folder, epoch):
    """Saves `latest` by PaddleClas, all of it being of one epoch."""
    from ppcls.utils import save_load

    net = paddle.nn.Linear(1, 1)
    net.bias.set_value(paddle.full([1], epoch))
    save_load.save_model(net, Optimizer(epoch), {"epoch": epoch}, str(folder), prefix="latest")


def epochs(folder):
    """The epoch of each file of `latest` in `folder` that is there."""
    files = [folder / f"latest{suffix}" for suffix in SUFFIXES]
    contents = [read_file(path) for path in files if path.exists()]
    return [_epoch(content) for content in contents]


def _epoch(content):
    content = content[0] if isinstance(content, list) else content
    return int(content["bias"][0] if "bias" in content else content["epoch"])


def test_a_checkpoint_is_of_one_epoch_whenever_the_trainer_is_killed(tmp_path):
    output, seen = tmp_path / "output", set()
    save(output, 1)
    for state in states(output, lambda: save(output, 2), tmp_path / "copies"):
        visible = Path(shutil.copytree(state, f"{state}-visible", ignore=HIDDEN))
        assert len(epochs(visible)) < 3 or len(set(epochs(visible))) == 1  # as the stock trainer reads it
        assert read_file(state / "latest")  # as preflight does, which settles
        assert epochs(state) in ([1, 1, 1], [2, 2, 2])
        assert not list(state.glob(f"{whole.PREFIX}*"))
        seen.update(epochs(state))
    assert seen == {1, 2}


def test_paddleclas_alone_mixes_them(tmp_path):
    from ppcls.utils import save_load

    bridged = save_load.save_model
    try:
        save_load.save_model = bridged.bridged
        save(tmp_path / "output", 1)
        found = states(tmp_path / "output", lambda: save(tmp_path / "output", 2), tmp_path / "copies")
    finally:
        save_load.save_model = bridged
    with pytest.raises((AssertionError, ValueError)):
        for state in found:
            assert len(set(epochs(state))) == 1


# Exports


def weights(path, value):
    """Saves B0 for ten classes whose scores are those of its bias, `value`; returns the path."""
    model = MixFormer_B0(class_num=10)
    model.head.bias.set_value(paddle.full([10], value))
    paddle.save(model.state_dict(), str(path))
    return path


def digests(folder):
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.iterdir()
        if path.is_file()
    }


@pytest.mark.slow
def test_an_export_is_of_one_checkpoint_whenever_it_is_killed(logger, tmp_path, monkeypatch):
    from ppcls_mixformer.paddleclas.export import write_export

    target = tmp_path / "inference"
    argv = ["-c", CONFIG, "-o", f"Global.save_inference_dir={target}"]
    written = []

    def export(value):
        file = weights(tmp_path / f"{value}.pdparams", value)
        monkeypatch.setattr(logger, "_logger", None)
        write_export([*argv, "-o", f"Global.pretrained_model={file}"])
        written.append(digests(target))

    export(0.0)
    found = states(target, lambda: export(1.0), tmp_path / "copies", copy=os.link)
    old, new = written
    assert old["inference.pdiparams"] != new["inference.pdiparams"]
    for state in found:
        there = digests(state)
        programs = [name for name in there if name.endswith((".json", ".pdmodel"))]
        if programs:
            expected = old if there["inference.pdiparams"] == old["inference.pdiparams"] else new
            assert all(there[name] == expected[name] for name in programs)
        settle(state)
        assert digests(state) in written


# Full disks

SMALL = ("bash", "-c", 'ulimit -f 4096; exec "$@"', "-", sys.executable)  # no file of more than 4 MiB


@pytest.mark.slow
@pytest.mark.parametrize("name", ["train", "export_model"])
def test_a_full_disk_is_one_line_and_the_old_files_stay(digits, exported, trained, tmp_path, name):
    written, output = {"train": trained[0], "export_model": exported[0]}[name], tmp_path / "output"
    shutil.copytree(written, output)
    settings = overrides(digits, output, epochs=1)
    if name == "export_model":
        settings += [f"Global.save_inference_dir={output}"]
        settings += [f"Global.pretrained_model={checkpoint(trained[0], 'latest')}"]
    before = files(output)
    line = error_line(tool(name, *settings, launcher=SMALL, check=False))
    assert "File too large" in line or "the disk was full" in line
    assert {name: content for name, content in files(output).items() if name in before} == before
    assert not list(output.rglob(f"{whole.PREFIX}*"))


def files(folder):
    """Content of each checkpoint and export below a folder."""
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*.pd*")}
