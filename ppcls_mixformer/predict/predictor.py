"""One picture after another through a network: none is lost, and those that cannot be read are named."""

import logging

import numpy as np
from tqdm import tqdm

from ppcls_mixformer.hosting.errors import UserError, first_line

logger = logging.getLogger(__name__)

PATIENCE = 2  # seconds before a progress bar shows


def predict(sources, prepare, classify, batch_size, progress=True):
    """Yields the result of each source, in their order.

    Args:
        sources: a list of `Source`.
        prepare: from a source to the network's input, float32 `[C, H, W]`.
        classify: from images of one size, `[N, C, H, W]`, and the sources to a list of results.
        batch_size: images that the network gets at once.
        progress: whether to show a bar on a terminal when it takes longer.

    Raises:
        UserError: the network refuses the images, or what is asked for is not clear.
    """
    if not isinstance(batch_size, int) or batch_size < 1:
        raise UserError(f"batch_size is {batch_size!r}; it takes a whole number above 0")
    hidden = None if progress else True  # None: hidden where there is no terminal
    with tqdm(total=len(sources), unit="picture", delay=PATIENCE, disable=hidden, leave=False) as bar:
        for start in range(0, len(sources), batch_size):
            batch = sources[start : start + batch_size]
            yield from _predict_batch(batch, prepare, classify)
            bar.update(len(batch))


def _predict_batch(sources, prepare, classify):
    prepared = [_prepared(source, prepare) for source in sources]
    results = [found if isinstance(found, dict) else None for found in prepared]
    by_size = {}
    for index, image in enumerate(prepared):
        if results[index] is None:
            by_size.setdefault(image.shape, []).append(index)
    for indices in by_size.values():
        images = np.stack([prepared[index] for index in indices])
        for index, found in zip(indices, classify(images, [sources[index] for index in indices])):
            results[index] = found
    return results


def _prepared(source, prepare):
    """The network's input, or the result of a picture that could not be had."""
    try:
        return prepare(source)
    except UserError:
        raise
    except Exception as error:  # whatever a decoder or a transform raises
        reason = (isinstance(error, OSError) and error.strerror) or first_line(error)
        if not isinstance(error, (OSError, ValueError)):
            reason = f"{type(error).__name__}: {reason}"
        logger.warning("%s: %s", source.name or "a picture", reason)
        return {"file_name": source.name, "error": reason}


def check_failures(results):
    """Raises a UserError that names pictures among `results` without an answer, if there are any.

    Args:
        results: of all pictures; only `error` and `file_name` are looked at.
    """
    failed = [found["file_name"] for found in results if "error" in found]
    if failed:
        more = f" and {len(failed) - 3} more" if len(failed) > 3 else ""
        names = ", ".join(map(str, failed[:3]))
        raise UserError(f"{len(failed)} of {len(results)} pictures have no answer: {names}{more}")
