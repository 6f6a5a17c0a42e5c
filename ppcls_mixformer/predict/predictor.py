"""One picture after another through a network: none is lost, and those that cannot be read are named."""

import logging

import numpy as np
from tqdm import tqdm

from ppcls_mixformer.hosting.errors import UserError, reason_of

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
    check_whole("batch_size", batch_size, 1)
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
        reason = reason_of(error)
        if not isinstance(error, (OSError, ValueError)):
            reason = f"{type(error).__name__}: {reason}"
        logger.warning("%s: %s", source.name or "a picture", reason)
        return {"file_name": source.name, "error": reason}


def check_whole(name, value, least):
    """Refuses a `value` that is no whole number from `least` on, as a UserError."""
    if not isinstance(value, (int, np.integer)) or value < least:
        raise UserError(f"{name} is {value!r}; it takes a whole number from {least} on")
