"""Files that appear only once they are whole: checkpoints and exports."""

import os
import tempfile
from pathlib import Path

import paddle


def all_files_or_none(save_model):
    """`save_model` whose files appear only once all are whole; a job that dies before leaves the old ones."""

    def save_all(*args, **kwargs):
        written = []

        def save_aside(obj, path, *save_args, **save_kwargs):
            written.append(path)
            return save(obj, path + ".part", *save_args, **save_kwargs)

        save, paddle.save = paddle.save, save_aside
        try:
            result = save_model(*args, **kwargs)
        except BaseException:
            for path in written:
                Path(path + ".part").unlink(missing_ok=True)
            raise
        finally:
            paddle.save = save
        for path in written:
            os.replace(path + ".part", path)
        return result

    return save_all


def publish(staging, target, stale):
    """Moves the finished files of the folder `staging` into the folder `target`.

    Args:
        stale: names and patterns of what an earlier export may have left there, to be removed.
    """
    target.mkdir(parents=True, exist_ok=True)
    files = list(staging.iterdir())
    with tempfile.TemporaryDirectory(dir=target, prefix=".export-") as near:  # on the same disk
        for file in files:
            (Path(near) / file.name).write_bytes(file.read_bytes())
        for file in files:
            os.replace(Path(near) / file.name, target / file.name)
    names = {file.name for file in files}
    for old in (path for pattern in stale for path in target.glob(pattern) if path.name not in names):
        old.unlink()
