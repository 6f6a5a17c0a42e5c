"""Exports a checkpoint for Paddle inference, in both of its formats, and to ONNX, with what readers need.

`inference.json` is Paddle 3's program; `inference.pdmodel` is the older one, which the `paddleclas` command
insists on. Both read the same `inference.pdiparams`. `inference.yml` has the preprocessing and the names of
the classes, and `README.md` says how to read it all and from what it came.
"""

import filecmp
import logging
import os
from pathlib import Path
from typing import NamedTuple

import numpy as np
import paddle

from ppcls_mixformer.hosting import onnx
from ppcls_mixformer.hosting.children import run_module
from ppcls_mixformer.hosting.errors import UserError, first_line
from ppcls_mixformer.hosting.inference import find_program, predictor
from ppcls_mixformer.hosting.whole import publish, scratch
from ppcls_mixformer.paddleclas import describe, readers, readme, web
from ppcls_mixformer.paddleclas.commands import build_engine
from ppcls_mixformer.paddleclas.program import has_blocks, outputs_of, write_program
from ppcls_mixformer.predict import description as descriptions
from ppcls_mixformer.predict import names, programs

logger = logging.getLogger(__name__)

READERS = {
    "inference.json": "Paddle 3: paddle.inference, paddle.jit.load, `python -m ppcls_mixformer predict`",
    "inference.pdmodel": "the `paddleclas` command, Paddle 2 and 3: paddle.inference",
    "inference.onnx": "ONNX Runtime and others",
    "inference_fp16.onnx": "ONNX Runtime and others on GPUs, in browsers and on phones, "
    "`python -m ppcls_mixformer predict --use_fp16 True`",
    web.PAGE: "browsers, from any server of files, such as `python -m http.server --directory FOLDER/web`",
}
WRITERS = {
    "inference.json": "paddlepaddle 3",
    "inference.pdmodel": "paddlepaddle 3.1.1",
    "inference.onnx": "paddlepaddle 3.1.1 or 3.3.1",
    web.PAGE: "paddlepaddle 3.1.1 or 3.3.1",
}
ONNX_TOLERANCE = 1e-4  # absolute, on the exported scores
HALF_TOLERANCE = 1e-2  # relative to the largest score; trained networks reach 7e-3, fresh ones 2e-4


class NotWritten(NamedTuple):
    """A file that cannot be written, and why."""

    name: str
    reason: str

    def __str__(self):
        writers = WRITERS.get(self.name, "")
        remedy = (
            f"; to get it, export with {writers}" if writers and paddle.__version__ not in writers else ""
        )
        return f"{self.name} was not written: {self.reason}. It is read by {READERS[self.name]}{remedy}"


def write_export(argv):
    """Writes what this Paddle can write into Global.save_inference_dir and prints the files.

    An earlier export is replaced only once the new one is complete.

    Args:
        argv: `-c CONFIG -o Global.pretrained_model=PATH`, and `--onnx`, `--fp16`, `--no-fuse`, `--features`,
            `--saliency`, `--web` or `--check N`.

    Raises:
        UserError: something about the set-up, the config or a file that a user can fix.
    """
    engine, flags = build_engine(argv, "export")
    config, network = engine.config, engine.model
    settings = config["Global"]
    target, origin = Path(settings["save_inference_dir"]), readme.origin_of(config, flags)
    described, known = _described(config), describe.known_names(config)
    paths = _checked(config, flags.check, described)
    outputs = outputs_of(engine, flags.features, flags.saliency)
    runtime = web.check(target, described) if flags.web else None
    with scratch() as staging:
        settings["save_inference_dir"] = str(staging)
        write_program(engine, flags.fuse, flags.features, flags.saliency)
        missing = [write_other_program(staging, argv)]
        if flags.onnx:
            missing.append(write_onnx(staging, settings["image_shape"]))
        if flags.fp16 and flags.onnx:
            missing.append(write_half(staging, settings["image_shape"]))
        if described:
            label_names = _label_names(known, staging, described.image_shape)
            described = described._replace(label_names=label_names, outputs=outputs)
            descriptions.write(staging / descriptions.NAME, described)
        found = _compared(staging, paths, scores_of(network, config), described) if paths else []
        readme.write(staging, target, described, origin, found, READERS, outputs)
        publish(staging, target, asked_of(target))
    if flags.web:
        missing.append(write_page(engine, flags, target, described, runtime))
    for name, read_by in READERS.items():
        if (target / name).exists() and (flags.web or name != web.PAGE):
            print(f"{target / name}: read by {read_by}")
    for line in (*filter(None, missing), *found):
        print(line)


def asked_of(target):
    """Names of what readers of an export ask for first; but somebody else's page in `target`, which stays."""
    names = [*READERS, "inference.pdiparams.info", descriptions.NAME]
    return [name for name in names if name != web.PAGE or web.is_there(target)]


def write_page(engine, flags, target, described, runtime):
    """Writes the page of `--web` beside the export in `target`; returns what is missing, if it cannot.

    Its network gives the spatial gates of each stage as well, where it has any.

    Args:
        described: the export's `Description`.
        runtime: what `web.check` has returned.
    """
    settings, saliency = engine.config["Global"], has_blocks(engine)
    outputs = outputs_of(engine, False, saliency)
    with scratch() as folder:
        settings["save_inference_dir"] = str(folder)
        write_program(engine, flags.fuse, saliency=saliency)
        missing = write_onnx(folder, settings["image_shape"])
        if flags.fp16 and missing is None:
            missing = write_half(folder, settings["image_shape"])
        if missing is not None:
            return NotWritten(web.PAGE, missing.reason)
        model = folder / (programs.HALF if flags.fp16 else "inference.onnx")
        web.write(target, model, described, outputs, runtime)
    return None


def _checked(config, count, described):
    """Paths of `count` pictures on which readers are compared; none, with a warning, if they cannot be."""
    if count and not described:
        logger.warning("--check: without %s no reader knows how to prepare pictures", descriptions.NAME)
        return []
    return readers.pictures_of(config, count) if count else []


def _compared(staging, paths, scores, described):
    """How readers agree; nothing, with a warning, where pictures cannot be read: the export is good."""
    try:
        return list(readers.compare(staging, paths, scores, described))
    except UserError as error:
        logger.warning("--check: %s", error)
        return []


def _described(config):
    """The export's `Description`; None, with a warning, where `inference.yml` cannot say what is done.

    Raises:
        UserError: its pictures are of another size than its program takes.
    """
    try:
        return describe.describe(config)
    except ValueError as error:
        logger.warning(
            "%s is not written (%s): predict and others need flags to prepare pictures",
            descriptions.NAME,
            error,
        )
        return None


def _label_names(known, folder, shape):
    """`known` names for each class of the program in `folder`, which is run for their number."""
    if known is None or shape is None:
        return None
    scores = predictor(find_program(folder))(np.zeros([1, *shape], "float32"))[0]
    return names.fit(known, scores.shape[-1], describe.NAMES_KEY)


def scores_of(network, config):
    """From images `[N, C, H, W]` to `[scores]` of the trained `network`, on numpy: what is exported of it."""
    from ppcls.engine.engine import ExportModel

    exported = ExportModel(config["Arch"], network, config["Global"].get("use_multilabel", False))

    def run(images):
        exported.eval()
        with paddle.no_grad():
            return [exported(paddle.to_tensor(images)).numpy()]

    return run


def write_other_program(staging, argv):
    """Adds the format that `write_program` did not write; returns what is missing, if it cannot."""
    version = paddle.__version__
    if (staging / "inference.pdmodel").exists():
        return NotWritten("inference.json", f"only Paddle 3 writes it, this is {version}")
    with scratch() as other:
        result = write_in_older_format(argv, other)
        if result.returncode:
            errors = [line.strip() for line in result.stdout.splitlines() if "Error" in line]
            error = errors[-1] if errors else f"status {result.returncode}"
            return NotWritten(
                "inference.pdmodel",
                f"paddlepaddle {version} cannot write this network in the older format ({error})",
            )
        if not filecmp.cmp(other / "inference.pdiparams", staging / "inference.pdiparams", shallow=False):
            return NotWritten(
                "inference.pdmodel",
                f"paddlepaddle {version} gave it other parameters than inference.json, and both would be "
                "called inference.pdiparams",
            )
        os.replace(other / "inference.pdmodel", staging / "inference.pdmodel")
    return None


def write_in_older_format(argv, folder):
    """Runs `program.main` in a process of its own: the format is fixed when Paddle is imported."""
    module, target = "ppcls_mixformer.paddleclas.program", f"Global.save_inference_dir={folder}"
    return run_module(module, *argv, "-o", target, FLAGS_enable_pir_api="0")


def write_onnx(staging, image_shape):
    """Adds `inference.onnx`, batch dynamic, if ONNX Runtime gives the scores of the export in `staging`.

    Returns what is missing, if not.
    """
    target, program = staging / "inference.onnx", find_program(staging)

    def unlike(path):
        error = onnx.largest_error(path, program, image_shape)
        return None if error <= ONNX_TOLERANCE else f"{error:.1e}"

    reason = onnx.write(program, target, unlike)
    return reason and NotWritten(target.name, reason)


def write_half(staging, image_shape):
    """Adds `inference_fp16.onnx` if it gives the scores of the `inference.onnx` in `staging`.

    Returns what is missing, if not.
    """
    source, target = staging / "inference.onnx", staging / "inference_fp16.onnx"
    if not source.exists():
        return NotWritten(target.name, "it is made from inference.onnx")
    try:
        reason = _unfit_for_half(source, target, image_shape)
    except Exception as error:  # the converter's and ONNX Runtime's own, of many types
        reason = f"ONNX Runtime cannot convert this network ({first_line(error)})"
    if reason is None:
        return None
    target.unlink(missing_ok=True)
    return NotWritten(target.name, reason)


def _unfit_for_half(source, target, image_shape):
    """Writes `target`, which is `source` in half precision; why it is of no use, None if it is."""
    largest, limit = onnx.largest_value(source, image_shape), np.finfo("float16").max
    if not largest <= limit:
        return f"this network computes with numbers up to {largest:.3g}, and half precision ends at {limit}"
    onnx.halve(source, target)
    error = onnx.relative_error(target, source, image_shape)
    if not error <= HALF_TOLERANCE:
        return f"its scores differ by {error:.1e} of the largest one"
    return None
