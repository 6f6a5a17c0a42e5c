"""Imports go one way: command line, hosts, zoo, network; and what hosts share knows none of them."""

import ast
import sys

import pytest
from commands import ROOT

PACKAGE = "ppcls_mixformer"
HOSTS = ("paddleclas", "paddledet", "paddleseg")
SHARED = {"hosting.errors", "hosting.patches", "hosting.trees", "hosting.web", "hosting.whole"}
# Of each room, what it may import of the package beside itself: rooms, or modules with a dot.
ALLOWED = {
    "network": set(),
    "hosting": set(),
    "weights": SHARED,
    "variants": set(),
    "zoo": {"variants", "network", "weights"} | SHARED | {"hosting.advice"},
    "convert": {"weights"} | SHARED,
    "published": {"zoo", "network", "weights"} | SHARED,
    "predict": {"hosting"},
    "prepare": {"predict", "hosting", "variants"},
    "understand": {"hosting"},
    "check": {"hosting", "paddledet", "paddleseg"},
    "benchmark": {"predict", "hosting", "paddleclas.lists"},
    "selftest": {"__init__", "zoo", "network", "hosting", "benchmark"},
    **{host: {"__init__", "zoo", "network", "weights", "hosting", "predict", "understand"} for host in HOSTS},
    "paddlex": {"variants", "hosting", "predict"},  # it reads exports, and knows no network
    "__init__": {"hosting.errors"},  # and, once they are asked for, those of MODULE_OF
    "__main__": {"__init__", "variants", "weights", "hosting", *HOSTS},
}
MODULES = sorted((ROOT / PACKAGE).rglob("*.py"))


def name_of(path):
    """Dotted name of a module without the package's, `network.ops`; `__init__` for the package itself."""
    parts = path.relative_to(ROOT / PACKAGE).with_suffix("").parts
    return ".".join(parts if len(parts) == 1 or parts[-1] != "__init__" else parts[:-1])


NAMES = {name_of(path) for path in MODULES}


def imports(path):
    """Dotted names of all that a module imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} has a relative import"
            for alias in node.names:
                inside = f"{node.module}.{alias.name}".removeprefix(f"{PACKAGE}.")
                yield f"{PACKAGE}.{inside}" if inside in NAMES else node.module


def own_imports(path):
    """The same, of the package itself and without its name."""
    for name in imports(path):
        if name.split(".")[0] == PACKAGE:
            yield name.partition(".")[2] or "__init__"


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_a_room_imports_only_what_is_below_it(path):
    room = name_of(path).split(".")[0]
    for name in own_imports(path):
        below = name.split(".")[0]
        assert below == room or below in ALLOWED[room] or name in ALLOWED[room], f"{path} imports {name}"


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_the_package_needs_nothing_that_belongs_to_tests(path):
    foreign = {"unittest", "pytest", "demo", "tests", "benchmarks", "tools"}
    assert not foreign & {name.split(".")[0] for name in imports(path)}


def test_the_download_knows_no_network_and_the_checkpoints_no_address():
    assert not [name for name in imports(ROOT / PACKAGE / "weights/download.py") if name.startswith("paddle")]
    assert "urllib" not in {name.split(".")[0] for name in imports(ROOT / PACKAGE / "weights/checkpoint.py")}


@pytest.mark.skipif(sys.version_info < (3, 10), reason="Python 3.9 does not list its own modules")
def test_the_network_needs_paddle_and_the_standard_library_only():
    for path in (ROOT / PACKAGE / "network").glob("*.py"):
        roots = {name.split(".")[0] for name in imports(path)}
        assert roots <= {*sys.stdlib_module_names, "paddle", "numpy", PACKAGE}, path


def test_every_room_is_known():
    assert {name.split(".")[0] for name in NAMES} == set(ALLOWED)
