"""Models and inputs as the golden files of the published architecture were made with."""

import zlib
from pathlib import Path

import numpy as np
import paddle

import ppcls_mixformer

GOLDEN = Path(__file__).parent / "golden"


def golden_value(name, shape):
    """The value that the golden files were made with, from the entry's own name."""
    random = np.random.RandomState(zlib.crc32(name.encode()))
    if name.endswith("_variance") or (len(shape) == 1 and name.endswith(".weight")):
        return random.uniform(0.5, 1.5, shape)
    if name.endswith("relative_position_bias_table"):
        return 0.5 * random.standard_normal(shape)
    if len(shape) == 1:
        return 0.1 * random.standard_normal(shape)
    fan_in = np.prod(shape[1:]) if len(shape) == 4 else shape[0]
    return random.standard_normal(shape) / np.sqrt(fan_in)


def golden_model(name):
    model = getattr(ppcls_mixformer, name)(drop_path_rate=0.0)
    for key, value in model.state_dict().items():
        if not key.endswith("relative_position_index"):
            value.set_value(golden_value(key, tuple(value.shape)).astype("float32"))
    return model


def images(seed, *shape):
    return paddle.to_tensor(np.random.RandomState(seed).standard_normal(shape).astype("float32"))
