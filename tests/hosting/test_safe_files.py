"""YAML holds data and ends; what hosts would evaluate are numbers and known names."""

import math
import subprocess
import types

import hostile
import paddle
import pytest
import yaml

from ppcls_mixformer.hosting import configs, expressions, safe_yaml
from ppcls_mixformer.hosting.errors import UserError


def test_data_read_as_yaml_reads_them():
    text = "a: &x [1, 0x1F, 1.5e-3, true, ~, 'b', 2020-02-29]\nb: {<<: {c: 1}, d: *x}\n'1': !!set {e}"
    assert safe_yaml.load(text) == yaml.safe_load(text)


def test_numbers_in_yaml_need_no_point():
    read = safe_yaml.load("[1e-4, 1E5, -2e+3, 1.5e3, e5, 1e, '1e-4', 12e5x, 0x1e3]")
    assert read == [0.0001, 1e5, -2000.0, 1500.0, "e5", "1e", "1e-4", "12e5x", 0x1E3]


@pytest.mark.parametrize("name", hostile.yaml_values("marker"))
def test_a_hostile_value_does_its_harm_where_nobody_is_on_guard(tmp_path, name):
    try:
        yaml.unsafe_load(hostile.yaml_values(f"{tmp_path}/marker")[name])
    except yaml.YAMLError:
        pass  # afterwards, of what it made of the folder's name
    assert (tmp_path / "marker").is_dir()


@pytest.mark.parametrize("name", [*hostile.yaml_values("marker"), *hostile.yaml_traps()])
def test_a_hostile_value_is_refused_in_one_line_and_has_run_nothing(tmp_path, name):
    path, marker = tmp_path / "x.yml", tmp_path / "marker"
    value = {**hostile.yaml_values(str(marker)), **hostile.yaml_traps()}[name]
    path.write_text(f"Global: {{}}\nx: {value}\n")
    with pytest.raises(UserError, match=f"^{path} is not valid YAML: ") as refused:
        configs.read_yaml(path)
    assert "\n" not in refused.value.args[0]
    assert not marker.exists()


@pytest.mark.parametrize(
    "text",
    [
        "1.0/255.0",
        "-1",
        "2**-3",
        "0.001*4",
        "[0.1, 2//1]",
        "(1, 'a')",
        "{'x': None}",
        "True",
        "5 % 3",
        " 1e-3",
    ],
)
def test_values_and_arithmetic_are_what_eval_makes_of_them(text):
    assert expressions.value(text) == eval(text.strip())


@pytest.mark.parametrize(
    "text",
    ["9**9**9", "((9**64)**64)**64", "1/0", "'a'*9", "True + 1", "1 if 1 else 2", "x", "f'{1}'", "", "1;2"]
    + ["(" * 900 + ")" * 900, "-" * 1999 + "1", "1+" * 5000 + "1", "10.0**309", "[*[1]]", "{**{}}"],
)
def test_what_is_neither_is_refused(text):
    with pytest.raises(ValueError):
        expressions.value(text)


@pytest.fixture
def module():
    """A module of a host, with a class, a function, a layer behind dots, and what it imports."""
    module = types.ModuleType("host.losses")
    exec("class CELoss: pass\ndef build(): pass", vars(module))
    module.math, module.sqrt, module.Popen, module.nn = (
        math,
        math.sqrt,
        subprocess.Popen,
        paddle.nn,
    )
    return module


def test_names_that_the_module_knows_are_found(module):
    look_up = lambda text: expressions.look_up(module, text, ("host", "paddle"))  # noqa: E731
    assert look_up("CELoss") is module.CELoss and look_up("build") is module.build
    assert look_up("nn.LayerNorm") is paddle.nn.LayerNorm
    assert isinstance(look_up("nn.ReLU()"), paddle.nn.ReLU)
    with pytest.raises(UserError, match="'CEloss' is not known to host.losses; did you mean CELoss?"):
        look_up("CEloss")


@pytest.mark.parametrize(
    "text",
    [
        "sqrt",
        "Popen",
        "math",
        "math.sqrt",
        "open",
        "__builtins__",
        "__import__",
        "CELoss()",
        "nn.utils",
        "os.mkdir",
    ]
    + ["nn.initializer.Constant", "CELoss.__init__", "nn.Layer.__init__", "nn.Layer.__base__", "__class__"],
)
def test_other_names_are_refused(module, text):
    with pytest.raises(UserError, match="known"):
        expressions.look_up(module, text, ("host", "paddle"))


def test_hostile_strings_are_refused_and_have_run_nothing(module, tmp_path):
    for text in hostile.strings(f"{tmp_path}/marker"):
        with pytest.raises(UserError):
            expressions.look_up(module, text, ("host", "paddle"))
        assert not (tmp_path / "marker").exists(), text
