"""Files and folders that appear under their names only once they are whole."""

import contextlib
import errno
import itertools
import os
import shutil
import tempfile
import uuid
from pathlib import Path

import paddle

from ppcls_mixformer.hosting.patches import replaced


@contextlib.contextmanager
def whole_file(path):
    """Yields the path of a file to write beside `path`, which becomes `path` where the block ends well.

    Processes that write the same file at once do no harm: each has a file of its own until then. If the
    block raises, nothing is left of it.
    """
    path = Path(path)
    part = path.with_name(f"{path.name}.{uuid.uuid4().hex}.part")
    try:
        yield part
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def swap_folder(new, target):
    """Makes the finished folder `new` the folder `target`, whatever other processes do there at the time.

    The one that was there goes beside `new`, into a folder on the same disk that is the caller's to delete.
    """
    for count in itertools.count():
        with contextlib.suppress(FileNotFoundError):
            os.replace(target, f"{new}.old{count}")
        try:
            return os.replace(new, target)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise


def publish(staging, target, stale):
    """Moves the finished files of the folder `staging`, on any disk, into the folder `target`.

    Args:
        stale: names and patterns of what an earlier export may have left there, to be removed.
    """
    staging, target = Path(staging), Path(target)
    target.mkdir(parents=True, exist_ok=True)
    files = list(staging.iterdir())
    with tempfile.TemporaryDirectory(dir=target, prefix=".export-") as near:
        for file in files:
            shutil.copyfile(file, Path(near) / file.name)
        for file in files:
            os.replace(Path(near) / file.name, target / file.name)
    names = {file.name for file in files}
    for old in (path for pattern in stale for path in target.glob(pattern) if path.name not in names):
        old.unlink()


def saves_whole(save_model):
    """`save_model`, whose files by `paddle.save` appear together once all are whole.

    A job that dies before leaves the old ones.
    """

    def save_all(*args, **kwargs):
        with contextlib.ExitStack() as files:

            def save_aside(obj, path, *save_args, **save_kwargs):
                part = files.enter_context(whole_file(path))
                return save(obj, str(part), *save_args, **save_kwargs)

            with replaced(paddle, "save", save_aside) as save:
                return save_model(*args, **kwargs)

    return save_all
