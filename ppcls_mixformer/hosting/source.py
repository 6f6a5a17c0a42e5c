"""Where a host's code comes from: a clone, an importable package, or what PyPI carries.

The folder that the host's own variable names (`PADDLECLAS_HOME`, …) is taken first, then a full
package that Python can import, then the tree that `python -m ppcls_mixformer fetch` put in the
cache. A cached tree is no installed package: it brings no requirements and disturbs none.
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
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, Tuple

from ppcls_mixformer.hosting.errors import HostError

CACHE = Path("~/.cache/ppcls_mixformer")
ORIGIN = "ORIGIN"  # file in a cached tree: where it is from, then details
PATIENCE = 30  # seconds that pip and git wait for a server that sends nothing


@dataclass(frozen=True)
class Host:
    """A framework whose trainer runs these backbones, and where to get it.

    Attributes:
        key: what `fetch` calls it.
        name: as its users call it; also the folder of its tree in the cache.
        package: what Python imports, a folder in the tree.
        mark: a file of the package that only a full tree has, relative to the tree.
        home: environment variable that names a clone.
        requirement: the release on PyPI that carries a full tree, `sha256` its wheel.
        wheel_folder: folder of that wheel that is the tree; "" where it is the whole wheel.
        release: which one that is; size: how much there is to download.
        releases: branches and tags that work, of `git_url`.
        marks: a file that came with each release, newest first: an unpacked archive names its
            release nowhere.
    """

    key: str
    name: str
    package: str
    mark: str
    home: str
    requirement: str
    sha256: str
    wheel_folder: str
    release: str
    size: str
    git_url: str
    releases: Tuple[str, ...]
    marks: Dict[str, str]

    @property
    def remedies(self):
        """What to do where it was not found."""
        return (
            f"run `python -m ppcls_mixformer fetch {self.key}` (from PyPI, {self.size}), or set "
            f"{self.home} to a clone of {self.name} ({', '.join(self.releases)})"
        )


# The `paddleclas` wheel has no trainer; this is the one release on PyPI that carries it.
PADDLECLAS = Host(
    key="paddleclas",
    name="PaddleClas",
    package="ppcls",
    mark="ppcls/engine/engine.py",
    home="PADDLECLAS_HOME",
    requirement="paddlex==2.1.0",
    sha256="be927f24e1b158b2ec7e88adb5507df5ad3e960ac374d808ef0d1c9d341109e7",
    wheel_folder="PaddleClas",
    release="2.3",
    size="1.6 MB",
    git_url="https://github.com/PaddlePaddle/PaddleClas.git",
    releases=("release/2.4", "release/2.5", "release/2.6", "develop"),
    marks={
        "2.6 or develop": "ppcls/utils/save_result.py",
        "2.5": "ppcls/loss/mgd_loss.py",
        "2.4": "ppcls/loss/dkdloss.py",
    },
)

# Both wheels ask for a numpy and an OpenCV that paddleclas does not bear, so they are not installed.
PADDLEDET = Host(
    key="paddledet",
    name="PaddleDetection",
    package="ppdet",
    mark="ppdet/engine/trainer.py",
    home="PADDLEDET_HOME",
    requirement="paddledet==2.6.0",
    sha256="a3cf717d61c771be000a7cd7f3cc6b254724aacf24db6bfcba1443c2f409deff",
    wheel_folder="",
    release="2.6",
    size="0.8 MB",
    git_url="https://github.com/PaddlePaddle/PaddleDetection.git",
    releases=("release/2.6", "develop"),
    marks={"develop": "ppdet/data/source/culane.py"},
)
PADDLESEG = Host(
    key="paddleseg",
    name="PaddleSeg",
    package="paddleseg",
    mark="paddleseg/core/train.py",
    home="PADDLESEG_HOME",
    requirement="paddleseg==2.8.0",
    sha256="299e70438e5a2df08ea169dfaee828c75c67c5015e958e9970ccc4d62a90d35c",
    wheel_folder="",
    release="2.8",
    size="0.4 MB",
    git_url="https://github.com/PaddlePaddle/PaddleSeg.git",
    releases=("release/2.8", "release/2.9", "develop"),
    marks={"develop": "paddleseg/core/export.py", "2.9": "paddleseg/models/efficientformerv2_seg.py"},
)
HOSTS = {host.key: host for host in (PADDLECLAS, PADDLEDET, PADDLESEG)}


def is_full_tree(host, root):
    """True where `root` holds the host with its trainer."""
    return (Path(root) / host.mark).is_file()


def cached_tree(host):
    """Path of the host's tree in the cache, whether or not it is there."""
    return CACHE.expanduser() / host.name


def locate(host):
    """Root folder of the host in use, which holds its package.

    Raises:
        HostError: none found, or its variable names something else.
    """
    home = os.environ.get(host.home)
    if home:
        root = Path(os.path.expanduser(home)).resolve()
        if not is_full_tree(host, root):
            raise HostError(
                f"{host.home}={home} is not a {host.name} clone: it has no "
                f"{host.mark}. Point it at the folder that holds `{host.package}/` and `tools/`, "
                "or unset it"
            )
        return root
    spec = importlib.util.find_spec(host.package)
    for location in (spec.submodule_search_locations or []) if spec else []:
        if is_full_tree(host, Path(location).parent):
            return Path(location).parent
    if is_full_tree(host, cached_tree(host)):
        return cached_tree(host)
    raise HostError(f"{host.name}'s trainer was not found: {host.remedies}")


def make_importable(host):
    """Puts the tree in use first on Python's path; returns its root.

    Raises:
        HostError: as `locate`.
    """
    root = locate(host)
    if str(root) not in sys.path:
        sys.path.insert(0, str(root))
    return root


def describe(host, root):
    """One line on the tree at `root`: which release it is, as far as that shows, and its path."""
    older = f"{host.release} or older"
    release = next((r for r, mark in host.marks.items() if (root / mark).is_file()), older)
    return f"{', '.join(_origin(root)) or f'{host.name} {release}{_checkout(root)}'}, in {root}"


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


def fetch_from_pypi(host):
    """Puts the tree of the pinned wheel into the cache, if it is not there; returns its path.

    Raises:
        HostError: no pip, no network, another file than the pinned one, or no room. The cache is unchanged.
    """
    origin = f"{host.name} {host.release} from {host.requirement}"
    if not _is_cached(host, origin):
        print(f"fetching {host.requirement} with pip", flush=True)
        with _staging() as folder:
            wheel = _download_wheel(host, folder)
            digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
            if digest != host.sha256:
                raise HostError(
                    f"{wheel.name} from the package index has SHA-256 {digest}, not the pinned "
                    f"{host.sha256}: the index or a proxy handed out another file; nothing was unpacked"
                )
            with zipfile.ZipFile(wheel) as archive:
                archive.extractall(folder / "wheel")
            _install(host, folder / "wheel" / host.wheel_folder, origin, folder)
    return cached_tree(host)


def _download_wheel(host, folder):
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:"]
    command += ["--timeout", str(PATIENCE), "--retries", "1", "--dest", str(folder), host.requirement]
    result = subprocess.run(command, capture_output=True, text=True)
    wheels = list(folder.glob("*.whl"))
    if result.returncode or not wheels:
        lines = result.stderr.splitlines() or [f"pip ended with status {result.returncode}"]
        error = next((line for line in lines if line.startswith("ERROR: ")), lines[-1])
        reason = error.removeprefix("ERROR: ").rstrip(".")
        raise HostError(
            f"cannot download {host.requirement}: {reason}. Check pip, the network and the package "
            f"index, or set {host.home} to a clone of {host.name}"
        )
    return wheels[0]


def clone(host, release, url):
    """Clones `release` (a branch or tag) from `url` into the cache, if it is not there; returns its path.

    Raises:
        HostError: no git, unknown release, unreachable address, no trainer in it, or no room. The cache
            is unchanged.
    """
    origin = f"{host.name} {release} from {url}"
    if not _is_cached(host, origin):
        print(f"cloning {release} from {url}", flush=True)
        with _staging() as folder:
            root = folder / "clone"
            try:
                _git("clone", "--quiet", "--depth", "1", "--branch", release, "--", url, str(root))
            except HostError as error:
                raise HostError(
                    f"cannot clone {release} from {url}: {error}. Releases that work: "
                    f"{', '.join(host.releases)}; leave out --release to fetch from PyPI"
                ) from None
            if not is_full_tree(host, root):
                raise HostError(f"{release} of {url} is not {host.name}: it has no {host.mark}")
            commit = _git("-C", str(root), "rev-parse", "--short", "HEAD")
            shutil.rmtree(root / ".git")
            _install(host, root, f"{origin}\ncommit {commit}", folder)
    return cached_tree(host)


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


def _is_cached(host, origin):
    """True where the cached tree is a full one from `origin`."""
    return is_full_tree(host, cached_tree(host)) and _origin(cached_tree(host))[:1] == [origin]


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


def _install(host, tree, origin, folder):
    """Makes the finished `tree` the cached one, whatever other fetches do at the same time.

    The one that was there goes to `folder`, on the same disk.
    """
    (tree / ORIGIN).write_text(origin + "\n")
    for count in itertools.count():
        with contextlib.suppress(FileNotFoundError):
            os.replace(cached_tree(host), folder / f"old{count}")
        try:
            return os.replace(tree, cached_tree(host))
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
