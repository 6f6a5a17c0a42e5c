"""How readers of an export agree with the checkpoint, on pictures of the evaluation set: `--check N`."""

import importlib.util
import logging
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple, Optional

import numpy as np
import paddle

from ppcls_mixformer.hosting.errors import UserError, first_line
from ppcls_mixformer.hosting.whole import scratch
from ppcls_mixformer.paddleclas import HOST, lists
from ppcls_mixformer.predict import programs
from ppcls_mixformer.predict.classifier import Classifier

logger = logging.getLogger(__name__)

STOCK = "the stock `paddleclas` command"
RUN_STOCK = "from paddleclas.paddleclas import main; main()"  # what its script does
STOCK_LINE = re.compile(r"class_ids: \[(\d+)\].*filename: (\S+)")
STOCK_SUFFIXES = (".jpg", ".png", ".jpeg", ".JPEG", ".JPG", ".bmp")


class Agreement(NamedTuple):
    """What one reader gives, beside the checkpoint.

    Attributes:
        reader: its name.
        same: pictures that get the same class; None where it was not asked, for a `reason`.
        total: pictures that it was asked for.
        error: largest difference of a score; None where the reader shows too few digits.
        reason: why it was not asked.
    """

    reader: str
    same: Optional[int]
    total: int = 0
    error: Optional[float] = None
    reason: str = ""

    def __str__(self):
        if self.same is None:
            return f"{self.reader}: not compared, {self.reason}"
        error = "" if self.error is None else f", scores differ by {self.error:.1e} at most"
        return f"{self.reader}: the class of {self.same} of {self.total} pictures{error}"


def pictures_of(config, count):
    """Paths of `count` pictures of the evaluation set, from all over its list.

    Raises:
        UserError: the config names no list of them; `count` is no number of pictures.
    """
    if count < 0:
        raise UserError(f"--check is {count}; it takes a number of pictures")
    dataset = ((config.get("DataLoader") or {}).get("Eval") or {}).get("dataset") or {}
    path = dataset.get("cls_label_path")
    if dataset.get("name") not in lists.DATASETS or not isinstance(path, str):
        raise UserError("--check compares pictures of DataLoader.Eval, whose dataset has no list of them")
    if not os.path.isfile(path):
        raise UserError(f"--check: DataLoader.Eval.dataset.cls_label_path: there is no file {path}")
    images = lists.read(path, dataset.get("delimiter"), dataset["name"] == "MultiLabelDataset").images
    chosen = np.unique(np.linspace(0, len(images) - 1, min(count, len(images))).round().astype(int))
    return [os.path.join(dataset.get("image_root") or "", images[index]) for index in chosen]


def compare(folder, paths, network, description):
    """An `Agreement` of each reader of the export in `folder` with the trained `network`.

    Args:
        network: from images `[N, C, H, W]` to `[scores]`, on numpy.
        description: of the export.

    Raises:
        UserError: a picture cannot be read.
    """
    checkpoint = programs.Program(network, "checkpoint", folder)
    expected = Classifier(folder, checkpoint).scores(paths)
    for engine in programs.ENGINES:
        if not programs.has(folder, engine):
            yield Agreement(engine, None, reason="its file was not written")
        elif not programs.is_installed(engine):
            yield Agreement(engine, None, reason="it is not installed")
        else:
            yield agreement(engine, Classifier(folder, engine).scores(paths), expected)
    if (Path(folder) / programs.HALF).exists():
        half = Classifier(folder, programs.ONNX, use_fp16=True)
        yield agreement(f"{programs.ONNX}, {programs.HALF}", half.scores(paths), expected)
    yield of_stock(folder, paths, expected, description)


def agreement(reader, found, expected):
    """The `Agreement` of the scores that a reader `found` with the checkpoint's, `[N, classes]` both."""
    same = int((found.argmax(1) == expected.argmax(1)).sum())
    return Agreement(reader, same, len(found), float(np.abs(found - expected).max()))


def of_stock(folder, paths, expected, description):
    """The `Agreement` of the stock command, which resizes with OpenCV whatever the export says."""
    if importlib.util.find_spec(HOST.command.package) is None:
        return Agreement(STOCK, None, reason=f"{HOST.command.package} is not installed")
    if paddle.__version__.startswith("2."):
        return Agreement(STOCK, None, reason="it dies of std::bad_alloc on Paddle 2")
    if not (Path(folder) / "inference.pdmodel").exists():
        return Agreement(STOCK, None, reason="it needs inference.pdmodel")
    if description.independent:
        return Agreement(STOCK, None, reason="it takes labels for exclusive")
    try:
        sizes = _sizes(description.transform_ops)
    except ValueError as error:
        return Agreement(STOCK, None, reason=str(error))
    known = {n: path for n, path in enumerate(paths) if path.endswith(STOCK_SUFFIXES)}
    with scratch() as pictures:
        for number, path in known.items():
            os.symlink(os.path.abspath(path), pictures / f"{number}{Path(path).suffix}")
        result = _run_stock(folder, pictures, sizes)
    classes = {int(Path(name).stem): int(found) for found, name in STOCK_LINE.findall(result.stdout)}
    if set(classes) != set(known):
        lines = [line for line in result.stdout.splitlines() if "Error" in line] or ["it gave no answers"]
        return Agreement(STOCK, None, reason=first_line(lines[-1]))
    best = expected.argmax(1)
    return Agreement(STOCK, sum(classes[n] == best[n] for n in known), len(known))


def _sizes(transform_ops):
    """The flags by which the stock command comes nearest to `transform_ops`.

    Raises:
        ValueError: it cannot do that; one line.
    """
    arguments = {name: value or {} for entry in transform_ops for name, value in entry.items()}
    short = arguments.get("ResizeImage", {}).get("resize_short")
    crop = arguments.get("CropImage", {}).get("size")
    crop = crop[0] if isinstance(crop, (list, tuple)) and crop[0] == crop[-1] else crop
    if list(arguments) != ["ResizeImage", "CropImage", "NormalizeImage", "ToCHWImage"]:
        raise ValueError("it only resizes, crops and normalizes")
    if not short or not isinstance(crop, int):
        raise ValueError("it only has a short side and a square crop")
    return ["--resize_short", str(short), "--crop_size", str(crop)]


def _run_stock(folder, pictures, sizes):
    flags = ["--inference_model_dir", str(folder), "--infer_imgs", str(pictures), *sizes]
    return subprocess.run(
        [sys.executable, "-c", RUN_STOCK, *flags, "--topk", "1", "--use_gpu", "False"],
        env={**os.environ, "FLAGS_enable_pir_api": "0"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
