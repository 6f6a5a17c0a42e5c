"""Puts a host's tree into the cache: from the package index, with a pinned hash, or a clone."""

import contextlib
import hashlib
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from ppcls_mixformer.hosting import source
from ppcls_mixformer.hosting.errors import UserError
from ppcls_mixformer.hosting.whole import swap_folder


def fetch_from_pypi(host):
    """Puts the tree of the pinned wheel into the cache, if it is not there; returns its path.

    Raises:
        UserError: no pip, no network, another file than the pinned one, or no room. The cache is unchanged.
    """
    origin = f"{host.name} {host.release} from {host.requirement}"
    if not _is_cached(host, origin):
        print(f"fetching {host.requirement} with pip", flush=True)
        with _staging() as folder:
            wheel = _download_wheel(host, folder)
            digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
            if digest != host.sha256:
                raise UserError(
                    f"{wheel.name} from the package index has SHA-256 {digest}, not the pinned "
                    f"{host.sha256}: the index or a proxy handed out another file; nothing was unpacked"
                )
            with zipfile.ZipFile(wheel) as archive:
                archive.extractall(folder / "wheel")
            _install(host, folder / "wheel" / host.wheel_folder, origin)
    return source.cached_tree(host)


def _download_wheel(host, folder):
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:"]
    command += ["--timeout", str(source.PATIENCE), "--retries", "1", "--dest", str(folder), host.requirement]
    result = subprocess.run(command, capture_output=True, text=True)
    wheels = list(folder.glob("*.whl"))
    if result.returncode or not wheels:
        lines = result.stderr.splitlines() or [f"pip ended with status {result.returncode}"]
        error = next((line for line in lines if line.startswith("ERROR: ")), lines[-1])
        reason = error.removeprefix("ERROR: ").rstrip(".")
        raise UserError(
            f"cannot download {host.requirement}: {reason}. Check pip, the network and the package "
            f"index, or set {host.home} to a clone of {host.name}"
        )
    return wheels[0]


def clone(host, release, url):
    """Clones `release` (a branch or tag) from `url` into the cache, if it is not there; returns its path.

    Raises:
        UserError: no git, unknown release, unreachable address, no trainer in it, or no room. The cache
            is unchanged.
    """
    origin = f"{host.name} {release} from {url}"
    if not _is_cached(host, origin):
        print(f"cloning {release} from {url}", flush=True)
        with _staging() as folder:
            root = folder / "clone"
            try:
                source.git("clone", "--quiet", "--depth", "1", "--branch", release, "--", url, str(root))
            except UserError as error:
                raise UserError(
                    f"cannot clone {release} from {url}: {error}. Releases that work: "
                    f"{', '.join(host.releases)}; leave out --release to fetch from PyPI"
                ) from None
            if not source.is_full_tree(host, root):
                raise UserError(f"{release} of {url} is not {host.name}: it has no {host.mark}")
            commit = source.git("-C", str(root), "rev-parse", "--short", "HEAD")
            shutil.rmtree(root / ".git")
            _install(host, root, f"{origin}\ncommit {commit}")
    return source.cached_tree(host)


def _is_cached(host, origin):
    """True where the cached tree is a full one from `origin`."""
    tree = source.cached_tree(host)
    return source.is_full_tree(host, tree) and source.origin_of(tree)[:1] == [origin]


@contextlib.contextmanager
def _staging():
    """A folder beside the cached tree, gone afterwards; says so in one line where it cannot be written."""
    cache = source.CACHE.expanduser()
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache, prefix=".fetch-") as folder:
            yield Path(folder)
    except OSError as error:
        raise UserError(f"cannot write to {cache}: {error}; the tree in it is unchanged") from None


def _install(host, tree, origin):
    """Makes the finished `tree` the cached one, whatever other fetches do at the same time."""
    (tree / source.ORIGIN).write_text(origin + "\n")
    swap_folder(tree, source.cached_tree(host))
