"""A small classifier, and its export."""

import paddle
from commands import HAS_ONNX

from ppcls_mixformer.hosting import onnx
from ppcls_mixformer.hosting.inference import find_program
from ppcls_mixformer.predict import description as descriptions
from ppcls_mixformer.predict.description import Description

SHAPE = [3, 16, 24]
LABELS = ["goldfish, Carassius auratus", "丁鱥", "shark"]
TRANSFORMS = [
    {"ResizeImage": {"resize_short": 24, "interpolation": "bicubic", "backend": "pil"}},
    {"CropImage": {"size": [24, 16]}},
    {"NormalizeImage": {"scale": 1 / 255, "order": ""}},
    {"ToCHWImage": None},
]
DESCRIPTION = Description(TRANSFORMS, LABELS, topk=2, image_shape=SHAPE, model_name="Small")


class Small(paddle.nn.Layer):
    """Scores of three classes, and the twelve features that they are made of."""

    def __init__(self, activation):
        super().__init__()
        self.head = paddle.nn.Linear(12, len(LABELS))
        self.activation = activation

    def forward(self, x):
        features = paddle.nn.functional.adaptive_avg_pool2d(x, 2).flatten(1)
        return self.activation(self.head(features)), features


def export(folder, activation, description, sides=None):
    """Writes the network with random weights and `inference.yml`, with fixed sides as ONNX, too."""
    paddle.seed(0)
    network = Small(activation)
    network.eval()
    spec = [paddle.static.InputSpec([None, 3, *(sides or SHAPE[1:])], "float32")]
    paddle.jit.save(paddle.jit.to_static(network, input_spec=spec, full_graph=True), f"{folder}/inference")
    if HAS_ONNX and sides is None:  # paddle2onnx dies of a pooling of any size
        onnx.convert(find_program(folder), folder / "inference.onnx")
    descriptions.write(folder / descriptions.NAME, description)
    return folder
