"""`infer`: pictures through a checkpoint, by the predictor of exports; PaddleClas prepares and ranks."""

import contextlib
import logging
import os
import pkgutil

import numpy as np
import paddle
import ppcls.data.postprocess

from ppcls_mixformer.hosting.errors import UserError, placed
from ppcls_mixformer.hosting.patches import replace_once
from ppcls_mixformer.hosting.text import read_lines
from ppcls_mixformer.hosting.whole import whole_file
from ppcls_mixformer.paddleclas import distillation
from ppcls_mixformer.paddleclas.backbone import MixFormer
from ppcls_mixformer.paddleclas.describe import NAMES_KEY
from ppcls_mixformer.predict import names, predictor, results
from ppcls_mixformer.predict.sources import find, find_listed

logger = logging.getLogger(__name__)


def names_as_people_have_them():
    """All releases: a class without a name is a KeyError, and a file of another form is left out in silence.

    The locale's encoding is taken.
    """
    package = ppcls.data.postprocess
    for module in pkgutil.iter_modules(package.__path__):
        for part in vars(getattr(package, module.name)).values():
            if isinstance(part, type) and "parse_class_id_map" in vars(part):
                replace_once(part, "parse_class_id_map", _read_strictly)


def _read_strictly(original):
    def parse_class_id_map(self, class_id_map_file):
        return None if class_id_map_file is None else names.read(class_id_map_file)

    return parse_class_id_map


def find_pictures(infer):
    """The pictures that the section `Infer` names: a file, a folder, an address, or those of `infer_list`.

    Raises:
        UserError: there are none; names the key.
    """
    place, listing = str(infer["infer_imgs"]), infer.get("infer_list")
    with placed("Infer.infer_list" if listing else "Infer.infer_imgs"):
        if not listing:
            return find(place)
        lines = [line for line in read_lines(listing) if line]
        return [found for line in lines for found in find_listed(f"{place}/{line.split(chr(9))[0]}")]


def run(engine, flags):
    """Prints the result of each picture of Infer.infer_imgs, a dict on a line; `save` writes them as well.

    Args:
        engine: PaddleClas's.
        flags: `save` and `features`, paths of files to write, or None.

    Raises:
        UserError: something about a file that a user can fix; pictures that cannot be read, after all others.
    """
    infer = engine.config["Infer"]
    if flags.features is not None:
        _check_features(flags)
    if infer.get("save_dir"):
        logger.warning("Infer.save_dir does nothing here: --save FILE writes the results")
    rank, processes = paddle.distributed.get_rank(), paddle.distributed.get_world_size()
    sources = find_pictures(infer)[rank::processes]
    engine.model.eval()
    if flags.features is not None:
        save_features(engine, sources, infer["batch_size"], flags.features)
        return
    stream = predictor.predict(sources, preparing(engine), _ranking(engine), infer["batch_size"])
    results.hand_out(stream, str, flags.save)


def preparing(engine):
    """From a `Source` to the network's input, by the transforms of PaddleClas's `engine`."""

    def prepare(source):
        picture = source.data()
        for process in engine.preprocess_func:
            picture = process(picture)
        return np.asarray(picture)

    return prepare


def _ranking(engine):
    """From images and their sources to results, by the network and the postprocessing of the `engine`."""
    post, keys = distillation.chosen_output(engine)

    def rank(images, batch):
        output = _forward(engine, engine.model, images)
        logits = distillation.one_of(output[0] if isinstance(output, (list, tuple)) else output, keys)
        known = getattr(post, "class_id_map", None)
        if isinstance(known, names.Names) and isinstance(logits, paddle.Tensor):
            post.class_id_map = dict(enumerate(names.fit(known, logits.shape[-1], NAMES_KEY)))
        return post(logits, [source.name for source in batch])

    return rank


def casting(engine):
    """The precision in which PaddleClas's `engine` runs a network, as a context."""
    automatic = getattr(engine, "auto_cast", None)  # of PaddleClas 2.6, where mixed precision is asked for
    return automatic(is_eval=True) if automatic else contextlib.nullcontext()


def _forward(engine, network, images):
    with paddle.no_grad(), casting(engine):
        return network(paddle.to_tensor(images))


def _check_features(flags):
    """Refuses a file for features that says no such thing, and flags that mean nothing beside it."""
    if not flags.features.lower().endswith(".npz") or os.path.isdir(flags.features):
        raise UserError(f"--features {flags.features}: features are saved in a file that ends in .npz")
    if flags.save is not None or flags.tta:
        other = "--tta" if flags.save is None else "--save"
        raise UserError(f"{other} is for classes, which --features does not compute: leave one of them out")


def save_features(engine, sources, batch_size, path):
    """Writes pooled features to an `.npz` file: `features` `[N, D]`, and `file_names` in their order.

    Raises:
        UserError: the network is no MixFormer, or pictures could not be read; the others are in the file.
    """
    network = getattr(engine.model, "_layers", engine.model)
    if not isinstance(network, MixFormer):
        raise UserError(f"--features: Arch.name is {engine.config['Arch']['name']}, but it needs a MixFormer")

    def classify(images, batch):
        rows = _forward(engine, network.forward_features, images).astype("float32").numpy()
        return [{"file_name": source.name, "row": row} for row, source in zip(rows, batch)]

    found = list(predictor.predict(sources, preparing(engine), classify, batch_size))
    kept = [result for result in found if "error" not in result]
    if kept:
        with whole_file(path) as part, open(part, "wb") as file:
            rows = np.stack([result["row"] for result in kept])
            np.savez(file, features=rows, file_names=[result["file_name"] for result in kept])
        logger.info("%s: features of %d pictures", path, len(kept))
    results.check_failures(found)
