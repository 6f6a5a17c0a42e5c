"""Downloads of published checkpoints: a file is in the cache only once it is complete and accepted.

Their authors give no hashes. The SHA-256 of a file is recorded when it comes, and compared from then on, also
where it is downloaded again.
"""

import contextlib
import hashlib
import http.client
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Optional

from ppcls_mixformer.hosting.errors import first_line
from ppcls_mixformer.hosting.web import download, sha256_of
from ppcls_mixformer.hosting.whole import whole_file
from ppcls_mixformer.weights.errors import WeightsError

CACHE = Path("~/.cache/paddle/hapi/weights")  # Paddle's own
RECORDS = Path("~/.cache/ppcls_mixformer/weights")  # a file of the form of sha256sum for each checkpoint
TIMEOUT = 10  # seconds to the answer, and then without a byte


@dataclass(frozen=True)
class Published:
    """Address of a published checkpoint; `sha256` is None where its authors gave none."""

    url: str
    sha256: Optional[str] = None

    @property
    def path(self):
        """Where it is in the cache, or will be."""
        return CACHE.expanduser() / self.url.rsplit("/", 1)[-1]

    @property
    def record(self):
        """Where its SHA-256 is recorded, or will be."""
        return RECORDS.expanduser() / f"{self.path.name}.sha256"

    def expected_sha256(self):
        """The SHA-256 that the file must have, None where there is no saying."""
        if self.sha256 is None and self.record.is_file():
            return self.record.read_text().partition(" ")[0]
        return self.sha256


@dataclass(frozen=True)
class Linked(Published):
    """Address of a checkpoint that a user names; two of them may end in the same file name."""

    @property
    def path(self):
        """Where it is in the cache, or will be."""
        name = super().path.name.partition("?")[0]
        return CACHE.expanduser() / f"{hashlib.sha256(self.url.encode()).hexdigest()[:12]}-{name}"


def fetch(published, fits):
    """Path of a published checkpoint in Paddle's cache, downloaded when it is not there.

    Processes that do the same at once do no harm: each writes a file of its own until it is accepted.

    Args:
        fits: called with the path of the complete download; raises a WeightsError to refuse it, or a
            ValueError that says why it cannot be read.

    Raises:
        WeightsError: unreachable, cut short, unreadable, another SHA-256, refused, or no room for it.
    """
    if not published.path.exists():
        _download(published, fits)
    else:
        check_cached(published)
    return published.path


def check_cached(published):
    """Checks the SHA-256 of the file in the cache, where there is one to compare with.

    Raises:
        WeightsError: the file has another one.
    """
    try:
        _check_sha256(published, published.path)
    except ValueError as error:
        raise WeightsError(f"{published.path}: {error}; delete it to download it again") from None


def take(published, source, fits):
    """Puts the file `source`, fetched by other means, into the cache, checked as a download is.

    Raises:
        WeightsError: refused by `fits`, another SHA-256 than recorded, or no room for it.
    """
    try:
        with _arriving(published, fits) as part:
            shutil.copyfile(source, part)
    except WeightsError:
        raise
    except OSError as error:
        raise WeightsError(f"cannot copy {source} to {published.path}: {first_line(error)}") from None
    except ValueError as error:
        raise WeightsError(f"{source}: {error}") from None


def _download(published, fits):
    try:
        with _arriving(published, fits) as part:
            download(published.url, part, TIMEOUT, published.path.name)
    except WeightsError:
        raise
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise WeightsError(
            f"cannot download {published.url}: {first_line(error)}. Fetch it by other means and put it at "
            f"{published.path}, or pass its path as pretrained"
        ) from None


@contextlib.contextmanager
def _arriving(published, fits):
    """Yields the path of a file to write, which is then checked, put into the cache and recorded."""
    published.path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(published.path) as part:
        yield part
        _check_sha256(published, part)
        fits(part)
        record(published, part)


def record(published, path):
    """Records the SHA-256 of the file at `path` as that of the published checkpoint."""
    published.record.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(published.record) as part:
        part.write_text(f"{sha256_of(path)}  {published.path.name}\n")


def _check_sha256(published, path):
    """Raises a ValueError unless the file at `path` has the SHA-256 that is expected, if any is."""
    expected = published.expected_sha256()
    if expected is None:
        return
    found = sha256_of(path)
    if found == expected:
        return
    recorded = f", recorded in {published.record} at an earlier download: remove that if theirs is a new file"
    raise ValueError(f"the file has SHA-256 {found}, not {expected}{'' if published.sha256 else recorded}")
