"""Packages on npm: a tarball with a pinned hash is kept in the cache, and files are read out of it."""

import http.client
import os
import tarfile
from typing import NamedTuple

from ppcls_mixformer.hosting import source
from ppcls_mixformer.hosting.errors import UserError, first_line
from ppcls_mixformer.hosting.web import download, sha256_of
from ppcls_mixformer.hosting.whole import whole_file

REGISTRY = "https://registry.npmjs.org"
VARIABLE = "NPM_CONFIG_REGISTRY"  # npm's own, which names a mirror


class Package(NamedTuple):
    """A release on npm, and the SHA-256 of its tarball."""

    name: str
    version: str
    sha256: str

    @property
    def tarball(self):
        """The tarball's file name."""
        return f"{self.name}-{self.version}.tgz"

    @property
    def path(self):
        """Where it is in the cache, or will be."""
        return source.CACHE.expanduser() / "npm" / self.tarball


def fetch(package):
    """Path of the package's tarball in the cache, downloaded when it is not there or damaged.

    Raises:
        UserError: no network, another file than the pinned one, or no room. The cache is unchanged.
    """
    if package.path.exists() and sha256_of(package.path) == package.sha256:
        return package.path
    registry = (os.environ.get(VARIABLE) or REGISTRY).rstrip("/")
    url = f"{registry}/{package.name}/-/{package.tarball}"
    print(f"fetching {package.tarball} from npm", flush=True)
    try:
        package.path.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(package.path) as part:
            download(url, part, source.PATIENCE, package.tarball)
            _check(package, url, sha256_of(part))
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise UserError(
            f"cannot download {url}: {first_line(error)}. Put it at {package.path} by other means, or name a "
            f"mirror of npm in {VARIABLE}"
        ) from None
    return package.path


def read(tarball, names):
    """Yields the bytes of each of the files `names` in a package's tarball, whose hash was checked."""
    with tarfile.open(tarball) as archive:
        for name in names:
            with archive.extractfile(f"package/{name}") as file:
                yield file.read()


def _check(package, url, found):
    if found != package.sha256:
        raise UserError(
            f"{url} has SHA-256 {found}, not the pinned {package.sha256}: the registry or a proxy handed out "
            "another file; it was not kept"
        )
