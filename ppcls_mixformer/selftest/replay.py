"""Models and inputs as the golden files of the published architecture were made with."""

import zlib
from pathlib import Path

import numpy as np
import paddle

from ppcls_mixformer import zoo

FOLDER = Path(__file__).parent / "golden"


def golden_value(name, shape, position_bias=0.5):
    """The value that most golden files were made with, from the entry's own name."""
    random = np.random.RandomState(zlib.crc32(name.encode()))
    if name.endswith("_variance") or (len(shape) == 1 and name.endswith(".weight")):
        return random.uniform(0.5, 1.5, shape)
    if name.endswith("relative_position_bias_table"):
        return position_bias * random.standard_normal(shape)
    if len(shape) == 1:
        return 0.1 * random.standard_normal(shape)
    fan_in = np.prod(shape[1:]) if len(shape) == 4 else shape[0]
    return random.standard_normal(shape) / np.sqrt(fan_in)


def trajectory_value(name, shape):
    """The value that the golden training run started from: norms and biases as a fresh network has them."""
    if len(shape) > 1:
        return golden_value(name, shape, position_bias=0.02)
    return np.ones(shape) if name.endswith((".weight", "_variance")) else np.zeros(shape)


def golden_model(name, value=golden_value, **arguments):
    """The variant `name` without stochastic depth, each entry of the state dict from `value(name, shape)`."""
    model = getattr(zoo, name)(drop_path_rate=0.0, **arguments)
    for key, entry in model.state_dict().items():
        if not key.endswith("relative_position_index"):
            entry.set_value(value(key, tuple(entry.shape)).astype("float32"))
    return model


def images(seed, *shape):
    return paddle.to_tensor(np.random.RandomState(seed).standard_normal(shape).astype("float32"))
