"""Puts a host's tree into the cache: from the package index, with a pinned hash, or a clone.

Installs its stock command, too, where that is in another wheel and not installed.
"""

import base64
import contextlib
import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import zipfile

from ppcls_mixformer.hosting import archives, source
from ppcls_mixformer.hosting.errors import UserError, masked
from ppcls_mixformer.hosting.web import sha256_of
from ppcls_mixformer.hosting.whole import scratch, whole_folder


def fetch_from_pypi(host):
    """Puts the tree of the pinned wheel into the cache, if it is not there; returns its path.

    Raises:
        UserError: no pip, no network, another file than the pinned one, or no room. The cache is unchanged.
    """
    origin = f"{host.name} {host.release} from {host.requirement}"
    if not _is_cached(host, origin):
        print(f"fetching {host.requirement} with pip", flush=True)
        with _staging() as folder:
            instead = f"set {host.home} to a clone of {host.name}"
            wheel = _download_wheel(host.requirement, host.sha256, folder, instead)
            archives.unpack(wheel, folder / "wheel")
            _install(host, folder / "wheel" / host.wheel_folder, origin)
    return source.cached_tree(host)


def _download_wheel(requirement, sha256, folder, instead):
    """Path of the wheel of `requirement`, downloaded to `folder`; `instead` is what else a user can do."""
    asking = ("--no-deps", "--only-binary", ":all:", "--timeout", str(source.PATIENCE), "--retries", "1")
    error = _pip("download", *asking, "--dest", str(folder), requirement)
    wheel = next(folder.glob("*.whl"), None)
    if error or wheel is None:
        raise UserError(
            f"cannot download {requirement}: {error}. Check pip, the network and the package "
            f"index, or {instead}"
        )
    digest = sha256_of(wheel)
    if digest != sha256:
        raise UserError(
            f"{wheel.name} from the package index has SHA-256 {digest}, not the pinned {sha256}: the index "
            "or a proxy handed out another file; nothing was unpacked"
        )
    return wheel


def _pip(*arguments):
    """Runs pip; returns None, or why it failed."""
    result = subprocess.run([sys.executable, "-m", "pip", *arguments], capture_output=True, text=True)
    if not result.returncode:
        return None
    lines = result.stderr.splitlines() or [f"pip ended with status {result.returncode}"]
    error = next((line for line in lines if line.startswith("ERROR: ")), lines[-1])
    return error.removeprefix("ERROR: ").rstrip(".")


def install_command(host):
    """Installs the stock command of `host` beside this Python, if it is not there.

    Its wheel goes without what it requires: paddleclas 2.6.0 pins numpy 1.24.4 and OpenCV 4.6, which would
    replace newer ones and are not there for Python 3.12, though its code runs with today's.

    Raises:
        UserError: no pip, no network, another file than the pinned one, or no right to install it.
    """
    command = host.command
    if importlib.util.find_spec(command.package):
        return
    print(f"installing {command.requirement} with pip, without what its wheel pins", flush=True)
    with _staging() as folder:
        wheel = _download_wheel(command.requirement, command.sha256, folder, "install it yourself")
        (folder / "free").mkdir()
        _without_requirements(wheel, folder / "free" / wheel.name)
        # By its name: what is installed by its path, `pip freeze` lists as a file that is soon gone.
        places = ("--no-index", "--find-links", str(folder / "free"))
        error = _pip("install", "--no-deps", "--isolated", *places, command.requirement)
    if error:
        raise UserError(f"cannot install {command.requirement}: {error}; only the command `predict` needs it")


def _without_requirements(wheel, target):
    """Writes a copy of a wheel that requires nothing to `target`."""
    with zipfile.ZipFile(wheel) as old, zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as new:
        files = {item.filename: old.read(item) for item in old.infolist() if not item.is_dir()}
        (metadata,) = (name for name in files if name.endswith(".dist-info/METADATA"))
        files[metadata] = re.sub(rb"(?m)^Requires-Dist: .*\n", b"", files[metadata])
        digest = base64.urlsafe_b64encode(hashlib.sha256(files[metadata]).digest()).rstrip(b"=")
        row = b"%s,sha256=%s,%d" % (metadata.encode(), digest, len(files[metadata]))
        record = metadata.replace("METADATA", "RECORD")
        files[record] = re.sub(rb"(?m)^%s,[^\r\n]*" % re.escape(metadata.encode()), row, files[record])
        for name, content in files.items():
            new.writestr(name, content)


def clone(host, release, url):
    """Clones `release` (a branch or tag) from `url` into the cache, if it is not there; returns its path.

    Raises:
        UserError: no git, unknown release, unreachable address, no trainer in it, or no room. The cache
            is unchanged.
    """
    origin = masked(f"{host.name} {release} from {url}")
    if not _is_cached(host, origin):
        print(masked(f"cloning {release} from {url}"), flush=True)
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
        with scratch(cache) as folder:
            yield folder
    except OSError as error:
        raise UserError(f"cannot write to {cache}: {error}; the tree in it is unchanged") from None


def _install(host, tree, origin):
    """Makes the finished `tree` the cached one, whatever other fetches do at the same time."""
    (tree / source.ORIGIN).write_text(origin + "\n")
    with whole_folder(source.cached_tree(host)) as new:
        os.replace(tree, new)
