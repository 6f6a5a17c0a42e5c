"""Where PaddleClas's trainer comes from: a clone, an importable `ppcls`, or the tree on PyPI.

The `paddleclas` wheel has no trainer. `PADDLECLAS_HOME` (a clone) is taken first, then a full
`ppcls` that Python can import, then the tree that `python -m ppcls_mixformer fetch` put in the
cache.
"""

import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from ppcls_mixformer.paddleclas.errors import HostError

CACHE = Path("~/.cache/ppcls_mixformer")
TREE = "PaddleClas"
ORIGIN = "ORIGIN"  # file in a cached tree that says where it is from

# The one release on PyPI that carries a whole PaddleClas tree (2.3): trainer, data and tools.
WHEEL = "paddlex==2.1.0"
WHEEL_SHA256 = "be927f24e1b158b2ec7e88adb5507df5ad3e960ac374d808ef0d1c9d341109e7"

GIT_URL = "https://github.com/PaddlePaddle/PaddleClas.git"
RELEASES = ("release/2.4", "release/2.5", "release/2.6", "develop")

REMEDIES = (
    "run `python -m ppcls_mixformer fetch` (from PyPI, 1.6 MB), "
    "or set PADDLECLAS_HOME to a clone of PaddleClas (release 2.4 or later)"
)


def is_full_tree(root):
    """True where `root` holds PaddleClas with its trainer, not only the predict command."""
    return (Path(root) / "ppcls" / "engine" / "engine.py").is_file()


def cached_tree():
    """Path of the tree in the cache, whether or not it is there."""
    return CACHE.expanduser() / TREE


def locate():
    """Root folder of the PaddleClas in use, which holds `ppcls/`.

    Raises:
        HostError: none found, or `PADDLECLAS_HOME` is not one.
    """
    home = os.environ.get("PADDLECLAS_HOME")
    if home:
        root = Path(home).expanduser().resolve()
        if not is_full_tree(root):
            raise HostError(
                f"PADDLECLAS_HOME={home} is not a PaddleClas clone: it has no "
                "ppcls/engine/engine.py. Point it at the folder that holds `ppcls/` and `tools/`, "
                "or unset it"
            )
        return root
    spec = importlib.util.find_spec("ppcls")
    for location in (spec.submodule_search_locations or []) if spec else []:
        if is_full_tree(Path(location).parent):
            return Path(location).parent
    if is_full_tree(cached_tree()):
        return cached_tree()
    raise HostError(f"PaddleClas's trainer was not found: {REMEDIES}")


def describe(root):
    """One line on the tree at `root`: its version where it says so, and its origin."""
    origin = root / ORIGIN
    if origin.is_file():
        return f"{root} ({origin.read_text().strip()})"
    return str(root)


def fetch_from_pypi():
    """Puts the PaddleClas tree of the pinned wheel into the cache; returns its path.

    Raises:
        HostError: no pip, no network, another file than the pinned one. The cache is unchanged.
    """
    with tempfile.TemporaryDirectory() as folder:
        wheel = _download_wheel(folder)
        digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
        if digest != WHEEL_SHA256:
            raise HostError(
                f"{wheel.name} from the package index has SHA-256 {digest}, not the pinned "
                f"{WHEEL_SHA256}: the index or a proxy handed out another file; nothing was unpacked"
            )
        with zipfile.ZipFile(wheel) as archive:
            members = [m for m in archive.namelist() if m.startswith(f"{TREE}/")]
            archive.extractall(folder, members)
        return _install_tree(Path(folder) / TREE, f"PaddleClas 2.3 from {WHEEL}")


def _download_wheel(folder):
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--dest", folder, WHEEL]
    result = subprocess.run(command, capture_output=True, text=True)
    wheels = list(Path(folder).glob("*.whl"))
    if result.returncode or not wheels:
        lines = [line for line in result.stderr.splitlines() if line.startswith("ERROR")]
        reason = lines[0] if lines else f"pip ended with status {result.returncode}"
        raise HostError(
            f"cannot download {WHEEL}: {reason}. Check the network and the package index, "
            "or set PADDLECLAS_HOME to a clone of PaddleClas"
        )
    return wheels[0]


def clone(release, url=GIT_URL):
    """Clones `release` (a branch or tag) from `url` into the cache; returns its path.

    Raises:
        HostError: unknown release, unreachable address, or no trainer in it. The cache is unchanged.
    """
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / TREE
        command = ["git", "clone", "--quiet", "--depth", "1", "--branch", release, url, str(root)]
        try:
            result = subprocess.run(
                command, capture_output=True, text=True, env={**os.environ, "GIT_TERMINAL_PROMPT": "0"}
            )
        except FileNotFoundError:
            raise HostError("git is not installed; leave out --release to fetch from PyPI") from None
        if result.returncode:
            reason = (result.stderr.strip() or f"git ended with {result.returncode}").splitlines()[-1]
            raise HostError(
                f"cannot clone {release} from {url}: {reason}. Releases that work: "
                f"{', '.join(RELEASES)}; leave out --release to fetch from PyPI"
            )
        if not is_full_tree(root):
            raise HostError(f"{release} of {url} is not PaddleClas: it has no ppcls/engine/engine.py")
        shutil.rmtree(root / ".git")
        return _install_tree(root, f"{release} from {url}")


def _install_tree(tree, origin):
    """Moves `tree` into the cache in one step, replacing what was there."""
    (tree / ORIGIN).write_text(origin + "\n")
    target = cached_tree()
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as staging:
        staged = Path(staging) / TREE
        shutil.copytree(tree, staged)
        if target.exists():
            os.replace(target, Path(staging) / "old")
        os.replace(staged, target)
    return target
