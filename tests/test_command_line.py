"""The command line: every command has help without its framework, and mistakes are one line."""

import subprocess
import sys

import pytest
from commands import ROOT

from ppcls_mixformer import __main__
from ppcls_mixformer.hosting.errors import UserError


@pytest.fixture
def without_frameworks(monkeypatch, tmp_path):
    """Neither a clone nor a cache holds a framework."""
    for host in __main__.HOSTS.values():
        monkeypatch.setenv(host.home, str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))


@pytest.mark.parametrize("verb", [verb for verb in __main__.COMMANDS if verb != "predict"])
def test_help_needs_no_framework(verb, without_frameworks, capsys):
    _, command, flags = __main__.parse([*verb.split(), "--help"])
    with pytest.raises(SystemExit) as end:
        command(flags)
    assert end.value.code == 0 and "usage: " in capsys.readouterr().out


def test_a_command_without_its_framework_says_how_to_get_it(without_frameworks):
    with pytest.raises(UserError, match="PADDLEDET_HOME=.* is not a PaddleDetection clone"):
        __main__.parse(["det", "train"])[1](["-c", "mask_rcnn_mixformer_b0"])


@pytest.mark.parametrize(
    "words, near",
    [(["trian"], "train"), (["det", "evla"], "det eval"), (["seg", "trian"], "seg train")],
)
def test_an_unknown_command_names_the_nearest(words, near):
    with pytest.raises(UserError, match=f"there is no command '{' '.join(words)}'; did you mean {near}?"):
        __main__.parse(words)


@pytest.mark.parametrize("words", [["--help"], ["det", "--help"], ["seg", "-h"]])
def test_the_overview_lists_every_command(words, capsys):
    _, command, flags = __main__.parse(words)
    command(flags)
    overview = capsys.readouterr().out
    for verb in __main__.COMMANDS:
        host, _, name = verb.rpartition(" ")
        assert any(line.startswith(f"    {host}") and name in line for line in overview.splitlines()), verb


@pytest.mark.parametrize("name", ["train", "eval", "infer", "export_model", "predict"])
def test_an_interruption_while_paddle_is_imported_is_one_line(name, tmp_path):
    (tmp_path / "paddle.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGINT)")
    (tmp_path / "inference.json").touch()
    code = f"""
import runpy, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored by what a shell runs in the background
sys.argv = ["{name}", "-c", "MixFormer_B0"]
if "{name}" == "predict":
    folder = {str(tmp_path)!r}
    sys.argv[1:] = ["--inference_model_dir", folder, "--infer_imgs", __file__, "--engine", "paddle"]
runpy.run_path({str(ROOT / "tools" / name)!r} + ".py", run_name="__main__")
"""
    (tmp_path / "run.py").write_text(code)
    ended = subprocess.run(
        [sys.executable, tmp_path / "run.py"], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
    )
    assert (ended.returncode, ended.stderr.splitlines()[-1:]) == (130, ["error: interrupted"])
    assert "Traceback" not in ended.stderr
