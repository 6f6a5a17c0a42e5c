"""The package where Paddle is not installed, and what is imported of Paddle where it is."""

import pytest
from commands import error_line, script

import ppcls_mixformer

MODULES = (
    "benchmark.command",
    "check.command",
    "hosting.advice",
    "hosting.cli",
    "hosting.configs",
    "hosting.errors",
    "hosting.onnx",
    "hosting.safe_yaml",
    "hosting.source",
    "hosting.whole",
    "paddleclas.commands",
    "paddledet.commands",
    "paddleseg.commands",
    "predict.classifier",
    "predict.command",
    "prepare.command",
    "variants",
)
NETWORKS = sorted(set(ppcls_mixformer.__all__) - {"Classifier", "VARIANTS", "WeightsError"})
REMEDY = "needs paddlepaddle, which is not installed: pip install paddlepaddle, or paddlepaddle-gpu"


def without_paddle(*command, **options):
    """What a process prints that runs `-c CODE` or `-m MODULE …` without Paddle and OpenCV."""
    return script("without", "paddle,cv2", *command, **options)


def test_the_package_and_what_reads_an_export_need_no_paddle():
    modules = "".join(f"import ppcls_mixformer.{module}\n" for module in MODULES)
    code = "from ppcls_mixformer import VARIANTS, WeightsError, __version__\nprint(*VARIANTS)"
    assert without_paddle("-c", modules + code) == " ".join(ppcls_mixformer.VARIANTS) + "\n"


@pytest.mark.parametrize("statement", ["ppcls_mixformer.{}", "from ppcls_mixformer import {}"])
def test_a_network_says_that_it_needs_paddle(statement):
    code = f"""
import ppcls_mixformer
for name in {NETWORKS}:
    try:
        exec({statement!r}.format(name))
    except ImportError as error:
        print(error, error.__suppress_context__)
"""
    lines = [f"ppcls_mixformer.{name} {REMEDY} True" for name in NETWORKS]
    assert without_paddle("-c", code).splitlines() == lines


def test_every_name_is_listed_and_another_is_refused():
    assert set(ppcls_mixformer.__all__) <= set(dir(ppcls_mixformer))
    for name in ppcls_mixformer.__all__:
        assert getattr(ppcls_mixformer, name) is vars(ppcls_mixformer)[name]
    with pytest.raises(AttributeError, match="module 'ppcls_mixformer' has no attribute 'MixFormer_B7'"):
        _ = ppcls_mixformer.MixFormer_B7


def test_the_overview_needs_no_paddle_and_says_that_there_is_none():
    assert without_paddle("-m", "ppcls_mixformer", "--help").startswith("The command line: ")
    shown = without_paddle("-m", "ppcls_mixformer")
    assert "\npaddlepaddle is not installed" in shown and "\nMixFormer_B6 " in shown


@pytest.mark.parametrize("verb", ["train", "eval", "infer", "benchmark", "det train", "det eval", "fetch"])
def test_the_help_of_a_command_needs_no_paddle(verb):
    assert "usage: " in without_paddle("-m", "ppcls_mixformer", *verb.split(), "--help")


COMMANDS = {
    "weights": "this command",
    "convert x.pdparams": "this command",
    "selftest": "this command",
    "seg train --help": "this command",  # it shows which device is the default
    "train -c MixFormer_B0": "PaddleClas",
    "export -c MixFormer_B0": "this command",
    "det train -c mask_rcnn_mixformer_b0": "PaddleDetection",
}


@pytest.mark.parametrize("line", COMMANDS)
def test_a_command_that_needs_paddle_says_so(line):
    log = without_paddle("-m", "ppcls_mixformer", *line.split(), check=False)
    assert error_line(log) == f"error: {COMMANDS[line]} {REMEDY}"


def test_a_mistyped_command_names_the_nearest_without_paddle():
    log = without_paddle("-m", "ppcls_mixformer", "trian", check=False)
    assert error_line(log) == "error: there is no command 'trian'; did you mean train?"


@pytest.mark.parametrize("words", ["--help", "trian"])
def test_paddle_is_not_imported_for_words_about_commands(words):
    code = f"""
import sys
from ppcls_mixformer.__main__ import main
sys.argv = ["ppcls_mixformer", {words!r}]
try:
    main()
finally:
    print("paddle" in sys.modules)
"""
    assert script("without", "cv2", "-c", code, check=False).splitlines().count("False") == 1
