"""What every host's bridges are built with. Nothing of a host is changed on disk."""

import os
from pathlib import Path

import paddle


def wrap(owner, name, wrapper):
    """Replaces `owner.name` by `wrapper(owner.name)`, once."""
    original = getattr(owner, name)
    if not hasattr(original, "bridged"):
        replacement = wrapper(original)
        replacement.bridged = original
        setattr(owner, name, replacement)


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
