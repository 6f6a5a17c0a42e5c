"""`predict`: pictures through a trained network, as PaddleSeg does it, and what it gives of them in files."""

import inspect
import logging
import os

import cv2
import numpy as np
import paddle
from paddleseg.core import infer
from paddleseg.transforms import Compose
from tqdm import tqdm

from ppcls_mixformer.hosting import pictures
from ppcls_mixformer.hosting.errors import UserError, first_line
from ppcls_mixformer.hosting.text import read_lines
from ppcls_mixformer.paddleseg import lists, pixels, results
from ppcls_mixformer.paddleseg.classes import class_names, count_classes, palette
from ppcls_mixformer.predict import sources
from ppcls_mixformer.predict.results import check_failures

logger = logging.getLogger(__name__)


def find_pictures(place):
    """The pictures that `--image_path` names, all different, and the folder in which they are, or None.

    Args:
        place: a picture, a folder, or a file with the path of a picture on each line, relative to its own
            folder; a class map behind it is left aside there.

    Raises:
        UserError: there are none.
    """
    if os.path.isdir(place):
        try:
            return [source.name for source in sources.find(place)], place
        except UserError as error:
            raise UserError(f"--image_path: {error}") from None
    if not os.path.isfile(place):
        raise UserError(f"--image_path: {place} is neither a picture nor a folder or a list of pictures")
    if is_picture(place):
        return [place], None
    folder = os.path.dirname(place)
    paths = [_first_in(line, folder) for line in filter(None, read_lines(place))]
    if not any(map(is_picture, paths)):
        first = f"{paths[0]} does not exist or is not a picture" if paths else "it is empty"
        raise UserError(f"--image_path: {place} is no list of pictures: {first}")
    return list(dict.fromkeys(paths)), folder


def _first_in(line, folder):
    """The path of the picture that a line of a list names, with or without a class map behind it."""
    whole = os.path.join(folder, lists.found(line, folder))
    if os.path.exists(whole):
        return whole
    pair = lists.pair_in(line, folder, " ")
    return os.path.join(folder, pair[0] if pair else line.split()[0])


def is_picture(path):
    """Whether there is a file with the name or the head of a picture."""
    return os.path.isfile(path) and (path.lower().endswith(sources.SUFFIXES) or cv2.haveImageReader(path))


def run(builder, flags, options):
    """Writes what the network sees in each picture, and a legend, into `--save_dir`.

    Args:
        options: the config's `test_config` and what the flags say, for scales, flips and sliding windows.

    Raises:
        UserError: pictures without a result, after all others.
    """
    found, root = find_pictures(flags.image_path)
    jobs = list(zip(found, results.names_of(found, root)))
    rank, processes = paddle.distributed.get_rank(), paddle.distributed.get_world_size()
    colors = palette(flags.custom_color)
    if rank == 0:
        labels = class_names(builder) or [""] * count_classes(builder)
        results.write_legend(flags.save_dir, labels, colors)
    builder.model.eval()
    prepare, outcomes = Compose(builder.val_transforms), []
    for path, names in tqdm(jobs[rank::processes], unit="picture", disable=None):
        outcomes.append({"file_name": path})
        try:
            picture = read(path)
            classes = segment(builder.model, prepare, picture, options)
        except (OSError, ValueError, UserError, cv2.error) as error:  # too large for Padding or for memory, …
            outcomes[-1]["error"] = getattr(error, "strerror", None) or first_line(error)
            logger.warning("%s: %s", path, outcomes[-1]["error"])
            continue
        results.write(flags.save_dir, names, picture, classes, colors)
    folders = " and ".join(os.path.join(flags.save_dir, name) for name in (results.MAPS, results.MIXED))
    logger.info("maps of class numbers, and pictures under them, are in %s", folders)
    check_failures(outcomes)


def read(path):
    """A picture, BGR, uint8 `[H, W, 3]`.

    Raises:
        OSError, Unreadable: it cannot be read.
    """
    data = np.frombuffer(sources.Source(path).data(), "uint8")
    return np.ascontiguousarray(pictures.imdecode(data, pictures.IN_COLOR))


def segment(model, prepare, picture, options):
    """The number of the class of each pixel, int32 `[H, W]`.

    Args:
        prepare: PaddleSeg's transforms.
        picture: BGR, uint8 `[H, W, 3]`.
        options: see `run`.
    """
    sample = prepare({"img": picture.astype("float32")})
    height, width = sample["img"].shape[-2:]
    if height * width > pixels.LARGE and not options.get("is_slide"):
        logger.warning(
            "%dx%d pixels go through the network as a whole: B0 took 1.4 KB of memory for each; where that "
            "is too much, resize pictures in val_dataset.transforms, or add %s",
            width,
            height,
            pixels.WINDOWS,
        )
    images = paddle.to_tensor(sample["img"][np.newaxis])
    options = dict(options)
    call = infer.aug_inference if options.pop("aug_pred", False) else infer.inference
    known = inspect.signature(call).parameters
    options = {key: value for key, value in options.items() if key in known}
    with paddle.no_grad():
        classes, _ = call(model, images, trans_info=sample["trans_info"], **options)
    return classes.numpy()[0, 0]
