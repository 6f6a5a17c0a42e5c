"""The selftest command: what it writes, and what it says where something does not hold."""

import functools
import json
import math
import os

import paddle
import pytest
from paddle.autograd import PyLayer

from ppcls_mixformer.hosting.advice import has_gpu
from ppcls_mixformer.hosting.errors import UserError
from ppcls_mixformer.network import ops
from ppcls_mixformer.selftest import checks, command, replay, speed
from ppcls_mixformer.selftest.checks import Check
from ppcls_mixformer.selftest.finding import Finding, largest, words

EVALUATION = Check("evaluation", functools.partial(replay.evaluation, replay.EVALUATIONS[0]))
LEFT_OUT = Check("auto_cast", None, "not here")


@pytest.fixture
def few(monkeypatch):
    """One check, one that is left out, and no timing."""
    monkeypatch.setattr(checks, "all_checks", lambda device: [EVALUATION, LEFT_OUT])
    monkeypatch.setattr(speed, "tasks", lambda device: [])


def test_what_holds_is_written_as_json(few, capsys):
    command.run([])
    printed, log = capsys.readouterr()
    results = json.loads(printed)
    (outcome,) = results["checks"]
    assert results["holds"] and outcome["holds"] and 0 <= outcome["measured"] <= outcome["bound"] == 1e-4
    assert outcome["name"] == "evaluation of B0 at 224×224" and outcome["seconds"] > 0
    assert results["left_out"] == [{"name": "auto_cast", "reason": "not here"}]
    assert {"device", "name", "cores", "python", "platform", "paddle"} <= results["machine"].keys()


def test_what_does_not_hold_is_written_and_named_in_one_line(few, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(ops, "softmax", lambda x: x)
    path = tmp_path / "new/result.json"
    with pytest.raises(
        UserError, match=r"^1 of 1 do not hold: evaluation of B0 at 224×224: .* at \w+, at most"
    ):
        command.run(["--output", str(path)])
    results = json.loads(path.read_text(encoding="utf-8"))
    assert not results["holds"] and not results["checks"][0]["holds"] and not capsys.readouterr().out


def test_the_training_of_the_golden_files_is_among_the_checks():
    looks = [check.look for check in checks.all_checks("cpu") if not check.obstacle]
    assert replay.training_step in looks and replay.trajectory in looks and len(looks) > 8
    left_out = {check.name for check in checks.all_checks("gpu") if check.obstacle}
    assert all("bfloat16" in name or name in ("GPU kernels", "casts") for name in left_out)


def test_an_error_and_a_number_that_is_none_do_not_hold():
    def look():
        yield Finding("first", 1, 1)
        yield largest("second", {"a": 5.0, "b": math.nan, "c": math.inf}, 7)
        raise ValueError("of Paddle\nand more")

    first, second, third = checks.outcomes(Check("third", look))
    assert first["holds"] and not second["holds"] and not third["holds"]
    assert (second["measured"], second["where"]) == ("nan", "b") and third["error"] == "ValueError: of Paddle"
    assert json.loads(json.dumps([first, second, third], allow_nan=False))
    assert words(second) == "second: nan at b, at most 7"
    assert words(third) == "third: ValueError: of Paddle"


class Interrupted(PyLayer):
    """What a backward pass of the network is where Ctrl-C comes in the middle of it."""

    @staticmethod
    def forward(ctx, x):
        return 2 * x

    @staticmethod
    def backward(ctx, grad):
        raise KeyboardInterrupt


def test_an_interruption_of_a_backward_pass_is_no_finding():
    x = paddle.ones([1])
    x.stop_gradient = False
    with pytest.raises(OSError, match="KeyboardInterrupt"):
        list(checks.outcomes(Check("training", Interrupted.apply(x).backward)))


@pytest.mark.parametrize(("mode", "measure"), [("training", speed.measure), ("evaluation", command._speed)])
def test_speed_and_memory(mode, measure):
    """In this process, and in one of its own."""
    found = measure(speed.Task("cpu", mode, "float32", 2, 0, 3))
    assert len(found["seconds"]) == 3 and found["memory"] > 100 << 20
    assert found["images_per_second"] == 2 / sorted(found["seconds"])[1]


def test_what_cannot_be_timed_has_a_reason(monkeypatch):
    def once(*arguments):
        raise UserError("no memory")

    monkeypatch.setattr(command, "once", once)
    training, mixed = (command._speed(task) for task in speed.tasks("cpu")[:2])
    assert (training["mode"], training["reason"]) == ("training", "no memory")
    assert (mixed["precision"], mixed["reason"]) == ("O1", speed.NO_AUTO_CAST)


@pytest.mark.skipif(has_gpu(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_said_before_anything_is_built(few, monkeypatch):
    monkeypatch.setattr(replay, "golden_model", None)
    with pytest.raises(UserError, match="^--device gpu: [^\n]*(built for the CPU|finds no GPU)[^\n]*$"):
        command.run(["--device", "gpu"])


def test_where_results_cannot_be_written_is_said_before_anything_is_built(few, monkeypatch, tmp_path):
    monkeypatch.setattr(replay, "golden_model", None)
    os.mkfifo(tmp_path / "pipe")  # it would be replaced, and so would /dev/null
    for path in (tmp_path, tmp_path / "pipe"):
        with pytest.raises(UserError, match="is a folder or a device; name a file"):
            command.run(["--output", str(path)])
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file"):
        command.run(["--output", str(tmp_path / "file/result.json")])


def test_results_that_cannot_be_written_are_printed(few, monkeypatch, tmp_path, capsys):
    def look():
        (tmp_path / "folder").rmdir()
        return Finding("folder", 0, 0)

    monkeypatch.setattr(checks, "all_checks", lambda device: [Check("folder", look)])
    with pytest.raises(OSError, match="folder"):
        command.run(["--output", str(tmp_path / "folder/result.json")])
    assert json.loads(capsys.readouterr().out)["holds"]
