"""State dicts as `.safetensors` files, for those whose rules forbid pickles."""

from ppcls_mixformer.weights.errors import WeightsError

SUFFIX = ".safetensors"


def read(path):
    """The state dict, of arrays, in the `.safetensors` file at `path`.

    Raises:
        WeightsError: the package safetensors is missing.
        ValueError: damaged, or something else.
    """
    try:
        return _library().load_file(path)
    except (OSError, KeyError, _error()) as error:
        raise ValueError(f"not a whole safetensors file ({str(error).splitlines()[0]})") from None


def write(state, path):
    """Writes a state dict of arrays to the file at `path`.

    Raises:
        WeightsError: the package safetensors is missing.
    """
    _library().save_file(state, path)


def _library():
    try:
        import safetensors.numpy
    except ImportError:
        raise WeightsError(
            f"the package safetensors, which {SUFFIX} files need, is not installed: pip install safetensors"
        ) from None
    return safetensors.numpy


def _error():
    import safetensors

    return safetensors.SafetensorError
