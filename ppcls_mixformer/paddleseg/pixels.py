"""The class of each pixel of a large picture, without the logits of all classes at its size.

PaddleSeg resizes these all at once, 7 GB for 150 classes and 12 megapixels; those of sliding windows it adds
up in float64 and copies twice, 43 GB. Here they are looked at in parts, with the same result.
"""

import functools

import numpy as np
import paddle
from paddle.base import core
from paddleseg.core import infer

from ppcls_mixformer.hosting import memory
from ppcls_mixformer.hosting.errors import UserError

MOST = 2**27  # logits at a time, half a GB in float32
LARGE = 4_000_000  # pixels, above which windows are looked at band by band
ROWS = 32  # of a band at a time
PIECE = 128  # pixels of a side of the piece of a picture on which memory is measured
WINDOWS = "--is_slide --crop_size 512 512 --stride 384 384"


def in_parts(original):
    """Wraps `inference` and `aug_inference` of PaddleSeg, which give classes `[1, 1, H, W]` and logits.

    In the place of many logits it gives a function without arguments that computes them all.
    """

    @functools.wraps(original)
    def inference(model, im, trans_info=None, **options):
        whole = functools.partial(original, model, im, trans_info, **options)
        if trans_info is not None and not options.get("is_slide"):
            check_memory(model, im, options.get("scales", 1.0))
        if trans_info is None or options.get("use_multilabel"):
            return whole()
        if original.__name__ == "inference" and goes_by_bands(model, im, trans_info, options):
            classes = classes_of_windows(model, im, options["crop_size"], options["stride"])
            return infer.reverse_transform(classes, trans_info), lambda: whole()[1]
        _, logits = original(model, im, [], **options)
        undo = functools.partial(infer.reverse_transform, trans_info=trans_info, mode="bilinear")
        pixels = undo(logits[:, :1]).size
        if logits.shape[1] * pixels > MOST:
            return classes_of(logits, undo, max(MOST // pixels, 1)), lambda: undo(logits)
        logits = undo(logits)
        return paddle.argmax(logits, axis=1, keepdim=True, dtype="int32"), logits

    return inference


def check_memory(model, im, scales):
    """Refuses a picture that needs more memory in the network than is left; the system would end the run.

    Args:
        scales: by which it is also resized, a number or a list.
    """
    pixels = im.shape[-2] * im.shape[-1] * max(np.ravel(scales)) ** 2
    left = memory.available() if pixels > LARGE else None
    each = bytes_of_a_pixel(model, im) if left is not None else None
    if each and pixels * each > left:
        raise UserError(
            f"{im.shape[-1]}x{im.shape[-2]} pixels in the network as a whole need about "
            f"{pixels * each / 1e9:.1f} GB of memory, {left / 1e9:.1f} GB are left: resize pictures in "
            f"val_dataset.transforms, or use sliding windows: {WINDOWS}"
        )


def bytes_of_a_pixel(model, im):
    """Memory that the network takes for each pixel, measured on a piece of a picture.

    Returns:
        None where Paddle does not tell: it is none of the CPU's, or of an early release.
    """
    if not im.place.is_cpu_place() or not hasattr(core, "host_memory_stat_reset_peak_value"):
        return None
    piece = im[:, :, :PIECE, :PIECE]
    core.host_memory_stat_reset_peak_value("Allocated", 0)
    before = core.host_memory_stat_current_value("Allocated", 0)
    with paddle.no_grad():
        model(piece)
    peak = core.host_memory_stat_peak_value("Allocated", 0)
    return (peak - before) / (piece.shape[-2] * piece.shape[-1])


def of_all(softmax):
    """Wraps `softmax`, which then also takes what `in_parts` gives in the place of logits."""
    return lambda logits, **options: softmax(logits() if callable(logits) else logits, **options)


def classes_of(logits, undo, channels):
    """Which class has the largest logit, the first of equal ones, int32 `[N, 1, H, W]`.

    Args:
        logits: `[N, C, h, w]`.
        undo: from logits of some classes to those at the size of the picture.
        channels: how many classes are looked at together.
    """
    classes = best = None
    for first in range(0, logits.shape[1], channels):
        part = undo(logits[:, first : first + channels])
        largest = part.max(axis=1, keepdim=True)
        found = paddle.argmax(part, axis=1, keepdim=True, dtype="int32") + first
        if best is None:
            classes, best = found, largest
        else:
            is_better = largest > best
            classes, best = paddle.where(is_better, found, classes), paddle.maximum(largest, best)
    return classes


def goes_by_bands(model, im, trans_info, options):
    """Whether sliding windows give the classes without anything that needs the logits of all of them."""
    kinds = [item[0][0] if isinstance(item[0], list) else item[0] for item in trans_info]
    is_plain = getattr(model, "data_format", "NCHW") == "NCHW" and type(model).__name__ != "STFPM"
    is_large = im.shape[-2] * im.shape[-1] > LARGE
    return bool(options.get("is_slide")) and is_large and is_plain and "resize" not in kinds


def classes_of_windows(model, im, crop_size, stride):
    """The class of each pixel by the average of the logits of sliding windows, int32 `[1, 1, H, W]`.

    Rows that the windows further down do not reach are done with. Sums are in the order of PaddleSeg's.
    """
    (height, width), crop = im.shape[-2:], [min(*sides) for sides in zip(crop_size[::-1], im.shape[-2:])]
    tops, lefts = (starts(*sides) for sides in zip((height, width), crop_size[::-1], stride[::-1]))
    classes, sums = np.empty([height, width], "int32"), None
    counts = np.zeros([crop[0], width])
    for top, following in zip(tops, [*tops[1:], height]):
        for left in lefts:
            inside = slice(left, left + crop[1])
            logits = model(im[:, :, top : top + crop[0], inside])[0].numpy()[0, :, : crop[0], : crop[1]]
            sums = np.zeros([len(logits), crop[0], width]) if sums is None else sums
            sums[:, :, inside] += logits
            counts[:, inside] += 1
        done = following - top
        for row in range(0, done, ROWS):
            rows = slice(row, min(row + ROWS, done))
            classes[top + rows.start : top + rows.stop] = np.argmax(sums[:, rows] / counts[rows], axis=0)
        for plane in (*sums, counts):
            plane[: crop[0] - done] = plane[done:].copy()
            plane[crop[0] - done :] = 0
    return paddle.to_tensor(classes[np.newaxis, np.newaxis])


def starts(size, crop, stride):
    """Where windows begin along a side of a picture, the last of which ends with it."""
    count = -(-max(size - crop, 0) // stride) + 1
    return [max(min(number * stride + crop, size) - crop, 0) for number in range(count)]
