"""The command `convert`: checkpoints between `.pdparams`, which is a pickle, and `.safetensors`."""

import argparse
from pathlib import Path

import numpy as np
import paddle

from ppcls_mixformer.hosting.errors import UserError
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
    if not target.parent.is_dir():
        raise UserError(f"{target}: there is no folder {target.parent}")
    state = {name: np.ascontiguousarray(value) for name, value in read_checkpoint(source).items()}
    with whole_file(target) as part:
        if target.suffix == tensors.SUFFIX:
            tensors.write(state, part)
        else:
            paddle.save({name: paddle.to_tensor(value) for name, value in state.items()}, str(part))
    print(f"{target}: {len(state)} tensors")
