"""Reads an export in a fresh process and prints how far each reader's scores are from those in a file.

`clas_read_export.py READERS FOLDER REFERENCE`: READERS are some of jit, onnx, json, json-plain, pdmodel,
pdmodel-plain, with commas between, the plain ones being without oneDNN; REFERENCE an npz file with `images`
and `scores`.
"""

import sys
from pathlib import Path

import numpy as np
import paddle

from ppcls_mixformer.hosting import onnx
from ppcls_mixformer.hosting.inference import predictor


def reader_of(name, folder):
    """A function from images `[N, 3, H, W]` to scores `[N, K]`."""
    if name == "jit":
        model = paddle.jit.load(str(folder / "inference"))
        return lambda images: model(paddle.to_tensor(images)).numpy()
    if name == "onnx":
        session = onnx.session(folder / "inference.onnx")
        return lambda images: session.run(None, {session.get_inputs()[0].name: images})[0]
    suffix, _, plain = name.partition("-")
    run = predictor(folder / f"inference.{suffix}", onednn=not plain)
    return lambda images: run(images)[0]


reference = np.load(sys.argv[3])
for reader in sys.argv[1].split(","):
    predict = reader_of(reader, Path(sys.argv[2]))
    for batch in (1, 8):
        scores = predict(reference["images"][:batch])
        assert scores.shape == (batch, 10), scores.shape
        print("error", reader, np.abs(scores - reference["scores"][:batch]).max())
