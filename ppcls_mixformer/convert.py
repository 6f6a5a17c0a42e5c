"""The command `convert`: checkpoints between `.pdparams`, which is a pickle, and `.safetensors`."""

import argparse
from pathlib import Path

import numpy as np
import paddle

from ppcls_mixformer.hosting.errors import UserError, first_line
from ppcls_mixformer.hosting.whole import whole_file
from ppcls_mixformer.weights import tensors
from ppcls_mixformer.weights.checkpoint import find_file, read_checkpoint


def run_command(argv):
    """Writes a checkpoint in the other format; names, shapes, types and values stay as they are."""
    parser = argparse.ArgumentParser(description=run_command.__doc__)
    parser.add_argument("source", help="a .pdparams or a .safetensors file")
    parser.add_argument("target", nargs="?", help="the default: the same name with the other suffix")
    flags = parser.parse_args(argv)
    source = find_file(flags.source)
    other = ".pdparams" if source.suffix == tensors.SUFFIX else tensors.SUFFIX
    target = Path(flags.target or source.with_suffix(other))
    if {source.suffix, target.suffix} != {".pdparams", tensors.SUFFIX}:
        raise UserError(f"{source} to {target}: one must be .pdparams and the other {tensors.SUFFIX}")
    if not target.parent.is_dir() or target.is_dir():
        raise UserError(f"{target}: it is a folder, or there is no folder {target.parent}")
    state = {name: np.asarray(value, order="C") for name, value in read_checkpoint(source).items()}
    write = tensors.write if target.suffix == tensors.SUFFIX else save
    with whole_file(target) as part:
        try:
            write(state, part)
        except OSError:
            raise
        except Exception as error:  # theirs, of many types, about names and types of tensors
            raise UserError(f"{source} cannot be a {target.suffix} file: {first_line(error)}") from None
    print(f"{target}: {len(state)} tensors")


def save(state, path):
    """Saves a state dict of arrays as Paddle does one of tensors."""
    paddle.save({name: paddle.to_tensor(value) for name, value in state.items()}, str(path))
