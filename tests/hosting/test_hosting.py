"""Small things that every host uses: near names, configs by name, overrides, patches, one-line ends."""

import logging
import os
import signal
import sys
import types

import paddle
import pytest
from commands import error_line, run

from ppcls_mixformer import WeightsError
from ppcls_mixformer.hosting import cli, configs, inference, patches, source
from ppcls_mixformer.hosting.advice import did_you_mean, hint, nearest
from ppcls_mixformer.hosting.errors import UserError, first_line, placed
from ppcls_mixformer.paddleclas import HOST


def test_the_nearest_name_or_all_that_there_are():
    assert nearest("epoch", ["epochs", "device"]) == "epochs"
    assert nearest("xyz", ["epochs", "device"]) is None
    assert hint("epoch", ["epochs"]) == "; did you mean epochs?" and hint("xyz", ["epochs"]) == ""
    assert did_you_mean("epoch", ["epochs", "device"]) == "; did you mean epochs?"
    assert did_you_mean("xyz", ["epochs", "device"]) == "; there are epochs, device"


def test_the_place_of_an_error_stands_in_front_of_it():
    with pytest.raises(WeightsError, match="^Arch.pretrained: not there$"), placed("Arch.pretrained"):
        raise WeightsError("not there")


def test_the_first_line_of_an_error_or_its_type():
    assert first_line(ValueError("one\ntwo")) == "one"
    assert first_line(ValueError()) == "ValueError"


@pytest.mark.parametrize("version", ["2.6.2", "3.0.0", "3.3.1", "3.3.9-rc.1"])
def test_a_paddle_that_was_tried_is_not_mentioned(version, monkeypatch, capsys):
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(paddle, "__version__", version)
    cli.run(lambda argv: source.make_importable(HOST))
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("version", ["2.5.2", "3.4.0", "10.0", "0.0.0"])
def test_a_paddle_that_was_not_tried_runs_after_one_line(version, monkeypatch, capsys):
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(paddle, "__version__", version)
    cli.run(lambda argv: source.make_importable(HOST))
    line = f"warning: paddlepaddle {version} was not tried with this package, 2.6 to 3.3 were\n"
    assert capsys.readouterr().err == line


def test_an_error_a_user_can_fix_ends_in_one_line(capsys):
    def command(argv):
        raise UserError(f"no {argv[0]}")

    with pytest.raises(SystemExit) as end:
        cli.run(command, ["file"])
    assert end.value.code == "error: no file"
    with pytest.raises(ZeroDivisionError):  # a defect keeps its traceback
        cli.run(lambda argv: 1 / 0, [])


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(SystemExit) as end:
        cli.run(lambda argv: (tmp_path / "file/below").mkdir(), [])
    assert end.value.code == f"error: {tmp_path}/file/below: Not a directory"


@pytest.fixture
def handlers():
    """The handlers of signals are set again as they were."""
    before = {number: signal.getsignal(number) for number in cli.WORDS}
    for number in cli.WORDS:
        signal.signal(number, signal.SIG_DFL)  # ignored by what a shell runs in the background
    yield
    for number, handler in before.items():
        signal.signal(number, signal.SIG_DFL if handler is None else handler)


@pytest.mark.parametrize("number", cli.WORDS)
@pytest.mark.parametrize("passes", ["itself", "through C++", "in words of the command"])
def test_a_signal_is_one_line_with_its_status(number, passes, handlers, capsys):
    def command(argv):
        try:
            os.kill(os.getpid(), number)
        except KeyboardInterrupt as error:
            if passes == "through C++":
                raise OSError("(External) KeyboardInterrupt: <EMPTY MESSAGE>") from None
            if passes != "itself":
                raise UserError("interrupted; nothing was changed") from error
            raise

    with pytest.raises(SystemExit) as end:
        cli.run(command, [])
    own = passes == "in words of the command"
    line = "interrupted; nothing was changed" if own else cli.WORDS[number]
    assert (end.value.code, capsys.readouterr().err) == (128 + number, f"error: {line}\n")


def test_warnings_are_marked_and_other_loggers_left_alone(capsys):
    cli.run(lambda argv: logging.getLogger("ppcls_mixformer.x").warning("look"), [])
    assert capsys.readouterr().err == "warning: look\n"


@pytest.mark.parametrize(
    "name, end",
    [
        ("MixFormer_B2", "configs/ImageNet/MixFormer/MixFormer_B2.yaml"),
        ("mask_rcnn_mixformer_b1_3x_coco", "configs/COCO/mask_rcnn_mixformer_b1_3x_coco.yml"),
        ("configs/ImageNet/MixFormer/MixFormer_B2.yaml", "configs/ImageNet/MixFormer/MixFormer_B2.yaml"),
    ],
)
def test_the_packages_configs_are_found_from_anywhere(name, end, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert configs.find(name).endswith(end)


def test_a_file_of_ones_own_goes_before_a_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "MixFormer_B2").write_text("")
    assert configs.find("MixFormer_B2") == "MixFormer_B2"


@pytest.mark.parametrize(
    "name, near",
    [
        ("MixFormer_B9", "MixFormer_B"),
        ("mixformer_b0", "MixFormer_B0"),
        ("no/upernet_mixformer.yml", "upernet_m"),
    ],
)
def test_a_config_that_is_not_there_is_named_with_the_nearest(name, near):
    with pytest.raises(UserError, match=f"config file not found: {name}; .* the nearest one is {near}"):
        configs.find(name)


def test_a_folder_is_no_config(tmp_path):
    with pytest.raises(UserError, match=f"{tmp_path} is a folder; name a config file"):
        configs.find(tmp_path)


def test_every_config_has_a_name_of_its_own():
    paths = [path for path in configs.folder().rglob("*.y*ml") if path.parent.name != "_base_"]
    assert len(paths) == len({path.stem for path in paths}) == len(configs.by_name()) > 20


@pytest.mark.parametrize(
    "content, reason",
    [
        (b"a: [1", "is not valid YAML: while parsing"),
        (b"\xff\xfe\x00", "is not valid YAML: "),
        (b"- a\n- b\n", "is not a config: it holds no sections"),
        (b"", "is not a config: it holds no sections"),
    ],
)
def test_what_is_no_config_is_one_line(tmp_path, content, reason):
    path = tmp_path / "x.yaml"
    path.write_bytes(content)
    with pytest.raises(UserError, match=f"^{path} {reason}") as error:
        configs.read_yaml(path)
    assert "\n" not in error.value.args[0]


def test_a_config_that_cannot_be_opened_is_one_line(tmp_path):
    with pytest.raises(UserError, match="cannot be read: Is a directory"):
        configs.read_yaml(tmp_path)


def test_overrides_are_taken_apart():
    assert configs.split_override("-o", "a.b=c=d") == ("a.b", "c=d")
    for text in ("a.b", "=c", ""):
        with pytest.raises(UserError, match="-o .*: an override is written key=value"):
            configs.split_override("-o", text)


def test_a_patch_is_made_once_and_a_shadow_leaves_the_module_alone():
    owner = types.SimpleNamespace(double=lambda x: 2 * x, json=__import__("json"))

    def plus_one(original):
        return lambda x: original(x) + 1

    def minus(original):
        return lambda x: -original(x)

    for _ in range(2):  # each of both is made, and only once
        patches.replace_once(owner, "double", plus_one)
        patches.replace_once(owner, "double", minus)
    assert owner.double(3) == -7 and owner.double.bridged(3) == 7 and owner.double.bridged.bridged(3) == 6
    own = owner.json
    patches.shadow_module(owner, "json", dumps=lambda value: "replaced")
    patches.shadow_module(owner, "json", loads=lambda text: "as well")
    assert (owner.json.dumps(1), owner.json.loads("1"), owner.json.JSONDecoder) == (
        "replaced",
        "as well",
        own.JSONDecoder,
    )
    assert own.dumps(1) == "1"


def test_a_replacement_ends_with_its_block():
    owner = types.SimpleNamespace(value=1)
    with pytest.raises(KeyError), patches.replaced(owner, "value", 2) as original:
        assert (original, owner.value) == (1, 2)
        raise KeyError
    assert owner.value == 1


def test_a_folder_without_a_program_is_named(tmp_path):
    with pytest.raises(UserError, match=f"{tmp_path} holds no inference.*export a checkpoint"):
        inference.find_program(tmp_path)


def test_a_package_that_a_host_lacks_is_named_with_the_extra_that_brings_it():
    host = types.SimpleNamespace(name="PaddleDetection", extra="dense")
    with pytest.raises(UserError, match="needs cv2, which is not installed: install opencv-python"):
        with source.requirements(host):
            raise ModuleNotFoundError(name="cv2")
    with pytest.raises(UserError, match="PaddleDetection needs no_such_package.* extra dense"):
        with source.requirements(host):
            import no_such_package  # noqa: F401


TERMINATED = """
import os, signal, sys, time
from ppcls_mixformer.hosting import cli, source
from ppcls_mixformer.paddleclas import HOST
from ppcls_mixformer.predict import programs

def command(argv):
    assert "paddle" not in sys.modules
    {imports}
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(10)

cli.run(command, [])
"""


@pytest.mark.parametrize(
    "imports", ["source.make_importable(HOST)", "programs.load(sys.argv[1], programs.Options('paddle'))"]
)
def test_a_signal_is_one_line_where_paddle_is_imported_late(imports, tmp_path):
    """Paddle's import puts a handler of its own in place, in C++."""
    network = paddle.jit.to_static(
        paddle.nn.Linear(2, 2), input_spec=[paddle.static.InputSpec([None, 2])], full_graph=True
    )
    paddle.jit.save(network, str(tmp_path / "inference"))
    log = run(sys.executable, "-c", TERMINATED.format(imports=imports), tmp_path, check=False)
    assert error_line(log) == "error: terminated by SIGTERM"


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_what_the_terminal_lacks_is_escaped(encoding):
    code = """
from ppcls_mixformer.hosting import cli
cli.run(lambda argv: print("鱼", chr(0xDCFF), "end", flush=True), [])
"""
    log = run(sys.executable, "-c", code, PYTHONIOENCODING=encoding)
    assert log.endswith(" \\udcff end\n")


def test_output_that_nobody_reads_is_one_line(tmp_path):
    code = """
import sys
from ppcls_mixformer.hosting import cli, whole

def command(argv):
    with whole.whole_file(sys.argv[1]):
        for line in range(100_000):
            print(line, flush=True)

cli.run(command, [])
"""
    shell = 'set -o pipefail; "$@" | head -1'
    log = run("bash", "-c", shell, "-", sys.executable, "-c", code, tmp_path / "x", check=False)
    assert error_line(log) == "error: what reads the output has ended before it was complete"
    assert not list(tmp_path.iterdir())
