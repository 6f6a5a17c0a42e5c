"""Reads an export with paddle.inference and with paddle.jit; prints how far both are from `reference.npz`.

That file, in the folder of the export, holds inputs x0, x1, … and the logits y0, y1, … of the trainer.
"""

import sys
from pathlib import Path

import numpy as np
import paddle

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from ppcls_mixformer.hosting.inference import find_program, predictor

folder, onednn = Path(sys.argv[1]), sys.argv[2] == "onednn"
data = np.load(folder / "reference.npz")
run = predictor(find_program(folder, "model"), onednn)
loaded = paddle.jit.load(str(folder / "model"))
for i in range(len(data.files) // 2):
    x, expected = data[f"x{i}"], data[f"y{i}"]
    logits = loaded(paddle.to_tensor(x))
    logits = logits[0] if isinstance(logits, (list, tuple)) else logits
    for y in (run(x)[0], logits.numpy()):
        assert y.shape == expected.shape, (y.shape, expected.shape)
        print("error", np.abs(y - expected).max())
