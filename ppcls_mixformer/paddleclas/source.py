"""Where PaddleClas's trainer comes from: a clone, an importable `ppcls`, or the tree on PyPI.

The `paddleclas` wheel has no trainer. `PADDLECLAS_HOME` (a clone) is taken first, then a full
`ppcls` that Python can import, then the tree that `python -m ppcls_mixformer fetch` put in the
cache.
"""

import contextlib
import errno
import hashlib
import importlib.util
import itertools
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
ORIGIN = "ORIGIN"  # file in a cached tree: where it is from, then details

# The one release on PyPI that carries a whole PaddleClas tree (2.3): trainer, data and tools.
WHEEL = "paddlex==2.1.0"
WHEEL_SHA256 = "be927f24e1b158b2ec7e88adb5507df5ad3e960ac374d808ef0d1c9d341109e7"

GIT_URL = "https://github.com/PaddlePaddle/PaddleClas.git"
RELEASES = ("release/2.4", "release/2.5", "release/2.6", "develop")
PATIENCE = 30  # seconds that pip and git wait for a server that sends nothing

# A file that came with each release, newest first: an unpacked archive names its release nowhere.
MARKS = {
    "2.6 or develop": "ppcls/utils/save_result.py",
    "2.5": "ppcls/loss/mgd_loss.py",
    "2.4": "ppcls/loss/dkdloss.py",
}

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
        root = Path(os.path.expanduser(home)).resolve()
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
    """One line on the tree at `root`: which PaddleClas it is, as far as that shows, and its path."""
    release = next((r for r, mark in MARKS.items() if (root / mark).is_file()), "2.3 or older")
    return f"{', '.join(_origin(root)) or f'PaddleClas {release}{_checkout(root)}'}, in {root}"


def _origin(root):
    """Lines of ORIGIN in a cached tree: where it is from, and the commit of a clone."""
    path = root / ORIGIN
    return path.read_text().splitlines() if path.is_file() else []


def _checkout(root):
    """Branch or tag, and commit, where `root` is a git checkout of its own."""
    if not (root / ".git").exists():  # git would answer for a repository further up
        return ""
    try:
        shown = _git("-C", str(root), "show", "--no-patch", "--format=%h%n%D", "HEAD")
    except HostError:
        return ""
    commit, _, names = shown.partition("\n")
    names = [name for name in names.replace("HEAD -> ", "").split(", ") if name != "HEAD"]
    return f" ({', '.join([*names[:1], f'commit {commit}'])})"


def fetch_from_pypi():
    """Puts the PaddleClas tree of the pinned wheel into the cache, if it is not there; returns its path.

    Raises:
        HostError: no pip, no network, another file than the pinned one, or no room. The cache is unchanged.
    """
    origin = f"PaddleClas 2.3 from {WHEEL}"
    if not _is_cached(origin):
        print(f"fetching {WHEEL} with pip", flush=True)
        with _staging() as folder:
            wheel = _download_wheel(folder)
            digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
            if digest != WHEEL_SHA256:
                raise HostError(
                    f"{wheel.name} from the package index has SHA-256 {digest}, not the pinned "
                    f"{WHEEL_SHA256}: the index or a proxy handed out another file; nothing was unpacked"
                )
            with zipfile.ZipFile(wheel) as archive:
                archive.extractall(folder)
            _install(folder, origin)
    return cached_tree()


def _download_wheel(folder):
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:"]
    command += ["--timeout", str(PATIENCE), "--retries", "1", "--dest", str(folder), WHEEL]
    result = subprocess.run(command, capture_output=True, text=True)
    wheels = list(folder.glob("*.whl"))
    if result.returncode or not wheels:
        lines = result.stderr.splitlines() or [f"pip ended with status {result.returncode}"]
        error = next((line for line in lines if line.startswith("ERROR: ")), lines[-1])
        reason = error.removeprefix("ERROR: ").rstrip(".")
        raise HostError(
            f"cannot download {WHEEL}: {reason}. Check pip, the network and the package index, "
            "or set PADDLECLAS_HOME to a clone of PaddleClas"
        )
    return wheels[0]


def clone(release, url=GIT_URL):
    """Clones `release` (a branch or tag) from `url` into the cache, if it is not there; returns its path.

    Raises:
        HostError: no git, unknown release, unreachable address, no trainer in it, or no room. The cache
            is unchanged.
    """
    origin = f"PaddleClas {release} from {url}"
    if not _is_cached(origin):
        print(f"cloning {release} from {url}", flush=True)
        with _staging() as folder:
            root = folder / TREE
            try:
                _git("clone", "--quiet", "--depth", "1", "--branch", release, "--", url, str(root))
            except HostError as error:
                raise HostError(
                    f"cannot clone {release} from {url}: {error}. Releases that work: "
                    f"{', '.join(RELEASES)}; leave out --release to fetch from PyPI"
                ) from None
            if not is_full_tree(root):
                raise HostError(f"{release} of {url} is not PaddleClas: it has no ppcls/engine/engine.py")
            commit = _git("-C", str(root), "rev-parse", "--short", "HEAD")
            shutil.rmtree(root / ".git")
            _install(folder, f"{origin}\ncommit {commit}")
    return cached_tree()


def _git(*arguments):
    """What a git command prints; a HostError holds what git said against it."""
    patience = ["-c", "http.lowSpeedLimit=1", "-c", f"http.lowSpeedTime={PATIENCE}"]
    plain = {**os.environ, "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}
    try:
        result = subprocess.run(["git", *patience, *arguments], capture_output=True, text=True, env=plain)
    except FileNotFoundError:
        raise HostError("git is not installed") from None
    if result.returncode:
        words = " ".join(result.stderr.split()).rstrip(".")
        raise HostError(words or f"git ended with status {result.returncode}")
    return result.stdout.strip()


def _is_cached(origin):
    """True where the cached tree is a full one from `origin`."""
    return is_full_tree(cached_tree()) and _origin(cached_tree())[:1] == [origin]


@contextlib.contextmanager
def _staging():
    """A folder beside the cached tree, gone afterwards; says so in one line where it cannot be written."""
    cache = CACHE.expanduser()
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache, prefix=".fetch-") as folder:
            yield Path(folder)
    except OSError as error:
        raise HostError(f"cannot write to {cache}: {error}; the tree in it is unchanged") from None


def _install(folder, origin):
    """Makes the finished tree in `folder` the cached one, whatever other fetches do at the same time."""
    (folder / TREE / ORIGIN).write_text(origin + "\n")
    for count in itertools.count():
        with contextlib.suppress(FileNotFoundError):
            os.replace(cached_tree(), folder / f"old{count}")
        try:
            return os.replace(folder / TREE, cached_tree())
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
