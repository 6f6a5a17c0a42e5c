"""Networks exported for the comparison, each in a process of its own, which may die of a converter."""

from pathlib import Path

import numpy as np

from ppcls_mixformer.benchmark.worker import silence
from ppcls_mixformer.hosting.errors import UserError

LARGEST_ERROR = 1e-3  # of ONNX Runtime against Paddle, relative to the largest score


def export(name, folder, size):
    """Exports the network `name` with random weights to `folder`; returns what it is.

    Returns:
        dict: parameters (M) and multiply-adds (G), both counted, published accuracy (%) and family.
    """
    Path(folder).mkdir(parents=True, exist_ok=True)
    with silence():
        import paddle

        from benchmarks import models, modes, run

        paddle.seed(0)
        model = models.build(name, size)
        facts = run.describe(name, model, size)
        modes.export(model, paddle.zeros([1, 3, size, size]), folder)
    return {**facts, "family": models.family(name), "label": models.label(name)}


def convert(folder, size):
    """Adds the ONNX file to an export.

    Raises:
        UserError: ONNX Runtime does not give Paddle's scores with it; it is removed.
    """
    shape = (3, size, size)
    images = np.random.RandomState(0).standard_normal([1, *shape]).astype("float32")
    with silence():
        from ppcls_mixformer.hosting import inference, onnx

        program = inference.find_program(folder)
        target = program.with_suffix(".onnx")
        onnx.convert(program, target)
        largest = np.abs(inference.predictor(program, onednn=False)(images)[0]).max()
        error = onnx.largest_error(target, program, shape) / largest
    if not error <= LARGEST_ERROR:
        target.unlink()
        raise UserError(f"ONNX Runtime differs from Paddle by {error:.1e} of the largest score")
