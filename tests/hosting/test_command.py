"""The stock command that `fetch` installs beside a host's tree, and what is said without it."""

import hashlib
import importlib.util
import os
import subprocess
import sys
import venv
import zipfile
from dataclasses import replace

import pytest

from ppcls_mixformer.hosting import fetch, source
from ppcls_mixformer.hosting.errors import UserError
from ppcls_mixformer.paddleclas import HOST, stock

INFO = "stock_command-1.0.dist-info"
METADATA = "Metadata-Version: 2.1\nName: stock-command\nVersion: 1.0\nRequires-Dist: numpy==1.24.4\n\nText\n"
FILES = {
    "stock_command.py": "def main():\n    print('it runs')\n",
    f"{INFO}/METADATA": METADATA,
    f"{INFO}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    f"{INFO}/entry_points.txt": "[console_scripts]\nstock-command = stock_command:main\n",
    f"{INFO}/RECORD": f"stock_command.py,,\n{INFO}/METADATA,sha256=old,1\n{INFO}/RECORD,,\n",
}


@pytest.fixture
def host(tmp_path, monkeypatch):
    """A host whose command is in a wheel that pins an old numpy, the only one that pip finds."""
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    wheel = tmp_path / "stock_command-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for name, content in FILES.items():
            archive.writestr(name, content)
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    return replace(HOST, command=source.Command("stock-command==1.0", digest, "stock_command"))


@pytest.mark.slow
def test_the_command_is_installed_without_what_its_wheel_pins(host, tmp_path, monkeypatch):
    venv.create(tmp_path / "env", with_pip=True)
    binaries = tmp_path / "env/bin"
    monkeypatch.setattr(sys, "executable", str(binaries / "python"))
    fetch.install_command(host)
    assert subprocess.check_output([binaries / "stock-command"], text=True) == "it runs\n"
    subprocess.run([binaries / "python", "-m", "pip", "check"], check=True)
    listed = subprocess.check_output([binaries / "python", "-m", "pip", "freeze"], text=True)
    assert listed == "stock-command==1.0\n"
    installed = next((tmp_path / "env").rglob(f"{INFO}/METADATA"))
    assert installed.read_text() == METADATA.replace("Requires-Dist: numpy==1.24.4\n", "")


def test_a_command_that_is_there_is_left_alone(host, monkeypatch):
    monkeypatch.setenv("PIP_FIND_LINKS", os.devnull)
    fetch.install_command(replace(host, command=host.command._replace(package="numpy")))


def test_another_wheel_than_the_pinned_one_is_not_installed(host):
    other = replace(host, command=host.command._replace(sha256="0" * 64))
    with pytest.raises(UserError, match="not the pinned 0000.*nothing was unpacked"):
        fetch.install_command(other)


def test_a_wheel_that_is_not_there_is_one_line(host):
    other = replace(host, command=host.command._replace(requirement="stock-command==2.0"))
    with pytest.raises(UserError, match="cannot download stock-command==2.0: .*install it yourself"):
        fetch.install_command(other)


def test_a_model_of_paddleclas_says_how_to_get_its_command(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match="not installed: run `python -m ppcls_mixformer fetch paddleclas`"):
        stock.run_command([])
