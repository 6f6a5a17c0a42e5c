"""State dicts as `.safetensors` files, for those whose rules forbid pickles."""

from pathlib import Path

from ppcls_mixformer.hosting.errors import first_line
from ppcls_mixformer.weights.errors import WeightsError

SUFFIX = ".safetensors"


METADATA = "__metadata__"  # a key of the format's own


def read(path):
    """The state dict, of arrays, in the `.safetensors` file at `path`.

    Raises:
        WeightsError: the package safetensors is missing.
        ValueError: damaged, of types that numpy lacks (bfloat16), or something else.
    """
    load = _library().load_file
    try:
        return load(path)
    except Exception as error:  # the library's own, of many types
        raise ValueError(
            f"not a whole safetensors file, or of types unknown here ({first_line(error)})"
        ) from None


def write(state, path):
    """Writes a state dict of arrays to the file at `path`.

    Raises:
        WeightsError: the package safetensors is missing.
        OSError: a full disk, for one.
        ValueError: a name that the format has for itself.
    """
    if METADATA in state:
        raise ValueError(f"a tensor must not be called {METADATA}")
    content = _library().save(state)  # its save_file makes files that only their owner can read
    Path(path).write_bytes(content)


def _library():
    try:
        import safetensors.numpy
    except ImportError:
        raise WeightsError(
            f"the package safetensors, which {SUFFIX} files need, is not installed: pip install safetensors"
        ) from None
    return safetensors.numpy
