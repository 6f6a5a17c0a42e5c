"""The tours from folders of pictures: training goes on where it was stopped, and their pictures are apart."""

import csv
import os
import shutil
import signal
import sys
from pathlib import Path

import numpy as np
import paddle
import pytest
import yaml
from commands import CONFIG, ROOT, overrides, run

from demo import digits as handwritten
from demo import folders, photographs, tour
from ppcls_mixformer.hosting.errors import UserError


def written(config, settings):
    """The YAML of a config with `settings` as `-o` takes them."""
    content = yaml.safe_load((ROOT / config).read_text(encoding="utf-8"))
    for setting in settings:
        key, value = setting.split("=", 1)
        *sections, last = key.split(".")
        node = content
        for section in sections:
            node = node[section]
        node[last] = yaml.safe_load(value)
    return yaml.safe_dump(content)


@pytest.mark.slow
def test_a_training_goes_on_where_it_was_stopped(digits, trained, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    place = tour.Tour("few", Path("pictures"), epochs=3)
    place.data.mkdir(parents=True)
    place.config.write_text(written(CONFIG, overrides(digits, place.output, place.epochs)))
    shutil.copytree(trained[0], place.output)
    place.train()
    log = capfd.readouterr().out
    assert "[Train][Epoch 3/3]" in log and "[Train][Epoch 2/3]" not in log
    assert f"== python -m ppcls_mixformer train -c {place.config} -o Global.checkpoints=" in log
    latest = next(place.output.rglob("latest.pdstates"))
    assert paddle.load(str(latest))["epoch"] == 3
    whole = place.weights.read_bytes()
    place.weights.unlink()
    place.train()  # only the copy of the weights was missing
    assert place.weights.read_bytes() == whole
    place.train()
    assert "== " not in capfd.readouterr().out


def test_folders_of_an_earlier_version_are_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    place = tour.Tour("few", Path("pictures"), epochs=3)
    for folder in (place.data, place.output):
        folder.mkdir(parents=True)
    (place.data / "parity_train_list.txt").write_text("")
    with pytest.raises(SystemExit, match=r"rm -r dataset/few output/few"):
        place.prepare()


@pytest.mark.parametrize(
    "rows, picture, classes",
    [
        ([("a", "x", "y", 0.5, 0), ("b", "x", "z", 0.9, 0), ("c", "x", "x", 1, 1)], "b", ["z", "x"]),
        ([("a", "x", "x", 0.9, 1), ("b", "y", "y", 0.6, 1)], "b", ["y"]),
    ],
    ids=["the most certain", "none"],
)
def test_the_worst_mistake(tmp_path, monkeypatch, rows, picture, classes):
    monkeypatch.chdir(tmp_path)
    with open("predictions.csv", "w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["file_name", "true_name", "predicted_name", "score", "is_right"])
        table.writerows([tmp_path / name, *row] for name, *row in rows)
    flags = [part for name in classes for part in ("--class", name)]
    assert tour.worst_mistake(tmp_path) == (picture, flags)


def test_the_digits_are_all_there_and_apart(tmp_path):
    handwritten.write_all(tmp_path)
    files = {split: {path.name for path in (tmp_path / split).rglob("*.png")} for split in ("train", "val")}
    assert {split: len(names) for split, names in files.items()} == {"train": 1437, "val": 360}
    assert not files["train"] & files["val"]


def write_few(folder):
    """Writes a picture for each split."""
    for split in folders.SPLITS:
        folders.path_in(folder, split, "rose", "1.png").write_text("drawn")


@pytest.mark.parametrize("file", ["train/rose/mine.jpg", "train/daisy/1.png", "mine.txt", "."])
def test_pictures_of_others_are_not_replaced(tmp_path, file, capsys):
    output = tmp_path / "photographs"
    for _ in range(2):
        folders.run("", output, write_few, [])
    assert "1 pictures for training and 1 for validation" in capsys.readouterr().out
    mine = (output / file) if file != "." else tmp_path / "file"
    mine.parent.mkdir(exist_ok=True)
    mine.write_text("mine")
    with pytest.raises(UserError, match="is not replaced"):
        folders.run("", output if file != "." else mine, write_few, [])
    assert mine.read_text() == "mine"


def test_an_interrupted_demo_says_so():
    for tool in (ROOT / "tools").glob("*.py"):
        assert "    cli.run(" in tool.read_text(encoding="utf-8"), tool
    code = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
    code += "import os, runpy, sys\nfrom demo import tour\n"
    code += "tour.require = lambda *names: os.kill(os.getpid(), signal.SIGINT)\nsys.argv = ['photos_demo']\n"
    code += "runpy.run_path('tools/photos_demo.py', run_name='__main__')"
    assert run(sys.executable, "-c", code, check=False).strip().splitlines()[-1] == "error: interrupted"


def test_no_command_outlives_its_demo(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sleeper.py").write_text(
        "import os, signal, time\nopen('number', 'w').write(str(os.getpid()))\n"
        "os.kill(os.getppid(), signal.SIGTERM)\ntime.sleep(10)"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(tour, "PATIENCE", 0.1)
    kept = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            tour._run("sleeper")
    finally:
        signal.signal(signal.SIGTERM, kept)
    number = int((tmp_path / "number").read_text())
    with pytest.raises(ChildProcessError):  # it has ended, and was waited for
        os.waitpid(number, 0)


@pytest.mark.parametrize("size", [(451, 300), (1000, 872)])
def test_crops_for_validation_are_of_other_parts_of_a_photograph(size):
    seen = {split: np.zeros(size[::-1], bool) for split in ("train", "val")}
    for split, (left, top, right, bottom) in photographs.boxes(size, np.random.RandomState(0)):
        assert 0 <= left < right <= size[0] and 0 <= top < bottom <= size[1]
        seen[split][top:bottom, left:right] = True
    assert not (seen["train"] & seen["val"]).any()
    assert seen["train"].mean() > 0.5 and seen["val"].mean() > 0.15


def test_each_photograph_is_a_class(tmp_path):
    photographs.write_all(tmp_path)
    names = {split: sorted(path.name for path in (tmp_path / split).iterdir()) for split in ("train", "val")}
    assert names["train"] == names["val"] and len(names["val"]) == 12
    counts = {split: len(list((tmp_path / split).rglob("*.jpg"))) for split in ("train", "val")}
    assert counts == {"train": 12 * 45, "val": 12 * 12}
