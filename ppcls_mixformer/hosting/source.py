"""Where a host's code comes from: a clone, an importable package, or what PyPI carries.

The folder that the host's own variable names (`PADDLECLAS_HOME`, …) is taken first, then a full
package that Python can import, then the tree that `python -m ppcls_mixformer fetch` put in the
cache. A cached tree is no installed package: it brings no requirements and disturbs none.
"""

import contextlib
import importlib.util
import logging
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Optional

from ppcls_mixformer.hosting import cli
from ppcls_mixformer.hosting.advice import untried_paddle
from ppcls_mixformer.hosting.errors import UserError, needs_paddle

logger = logging.getLogger(__name__)

CACHE = Path("~/.cache/ppcls_mixformer")
ORIGIN = "ORIGIN"  # file in a cached tree: where it is from, then details
PATIENCE = 30  # seconds that pip and git wait for a server that sends nothing


class Command(NamedTuple):
    """The wheel of a host's stock command: pip's name for it, its SHA-256, and the package in it."""

    requirement: str
    sha256: str
    package: str


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
        extra: of this package, which brings what the host imports.
        release: which one that is; size: how much there is to download.
        releases: branches and tags that work, of `git_url`.
        marks: a file that came with each release, newest first: an unpacked archive names its
            release nowhere.
        command: the wheel of its stock command, where that is no part of the tree.
    """

    key: str
    name: str
    package: str
    mark: str
    home: str
    requirement: str
    sha256: str
    wheel_folder: str
    extra: str
    release: str
    size: str
    git_url: str
    releases: tuple[str, ...]
    marks: dict[str, str]
    command: Optional[Command] = None

    @property
    def remedies(self):
        """What to do where it was not found."""
        return (
            f"run `python -m ppcls_mixformer fetch {self.key}` (from PyPI, {self.size}), or set "
            f"{self.home} to a clone of {self.name} ({', '.join(self.releases)})"
        )


def is_full_tree(host, root):
    """True where `root` holds the host with its trainer."""
    return (Path(root) / host.mark).is_file()


def cached_tree(host):
    """Path of the host's tree in the cache, whether or not it is there."""
    return CACHE.expanduser() / host.name


def locate(host):
    """Root folder of the host in use, which holds its package.

    Raises:
        UserError: none found, or its variable names something else.
    """
    home = os.environ.get(host.home)
    if home:
        root = Path(os.path.expanduser(home)).resolve()
        if not is_full_tree(host, root):
            raise UserError(
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
    raise UserError(f"{host.name}'s trainer was not found: {host.remedies}")


def make_importable(host):
    """Puts the tree in use first on Python's path; returns its root. Warns of a Paddle that was not tried.

    Raises:
        UserError: as `locate`; there is no Paddle.
    """
    root = locate(host)
    with requirements(host):
        import paddle
    cli.take_signals_back()
    untried = untried_paddle(paddle.__version__)
    if untried:
        logger.warning(untried)
    if str(root) not in sys.path:
        sys.path.insert(0, str(root))
    return root


@contextlib.contextmanager
def requirements(host):
    """Turns the import of a package that the host needs and that is not installed into a UserError."""
    try:
        yield
    except ModuleNotFoundError as error:
        remedy = f"ppcls_mixformer with its extra {host.extra}"
        if error.name == "cv2":  # several packages bring it, and an environment can hold only one of them
            remedy = "opencv-python, or another build of OpenCV"
        if error.name == "paddle":
            raise UserError(needs_paddle(host.name)) from None
        raise UserError(f"{host.name} needs {error.name}, which is not installed: install {remedy}") from None


def describe(host, root):
    """One line on the tree at `root`: which release it is, as far as that shows, and its path."""
    older = f"{host.release} or older"
    release = next((r for r, mark in host.marks.items() if (root / mark).is_file()), older)
    return f"{', '.join(origin_of(root)) or f'{host.name} {release}{_checkout(root)}'}, in {root}"


def origin_of(root):
    """Lines of ORIGIN in a cached tree: where it is from, and the commit of a clone."""
    path = root / ORIGIN
    return path.read_text().splitlines() if path.is_file() else []


def _checkout(root):
    """Branch or tag, and commit, where `root` is a git checkout of its own."""
    if not (root / ".git").exists():  # git would answer for a repository further up
        return ""
    try:
        shown = git("-C", str(root), "show", "--no-patch", "--format=%h%n%D", "HEAD")
    except UserError:
        return ""
    commit, _, names = shown.partition("\n")
    names = [name for name in names.replace("HEAD -> ", "").split(", ") if name != "HEAD"]
    return f" ({', '.join([*names[:1], f'commit {commit}'])})"


def git(*arguments):
    """What a git command prints; a UserError holds what git said against it."""
    patience = ["-c", "http.lowSpeedLimit=1", "-c", f"http.lowSpeedTime={PATIENCE}"]
    plain = {**os.environ, "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}
    try:
        result = subprocess.run(["git", *patience, *arguments], capture_output=True, text=True, env=plain)
    except FileNotFoundError:
        raise UserError("git is not installed") from None
    if result.returncode:
        words = " ".join(result.stderr.split()).rstrip(".")
        raise UserError(words or f"git ended with status {result.returncode}")
    return result.stdout.strip()
