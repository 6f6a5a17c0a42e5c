"""Exports a variant with random weights, fused and not, and classifies pictures with each, oneDNN on.

`clas_predict_variant.py FOLDER VARIANT`: FOLDER takes the pictures and one export at a time. Prints how far
the Classifier's scores are from the network's, and how far those are apart.
"""

import sys

import numpy as np
import paddle
from PIL import Image

import ppcls_mixformer
from ppcls_mixformer import Classifier
from ppcls_mixformer.network.fuse import fuse_for_inference
from ppcls_mixformer.predict.description import Description

SIDE, CLASSES = 64, 10
MEAN, STD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])


def build(name):
    """A network whose biases, norms and scores are not those of a fresh one, which hardly differ."""
    paddle.seed(0)
    network = getattr(ppcls_mixformer, name)(class_num=CLASSES)
    for parameter in network.parameters():
        if parameter.ndim == 1:
            parameter.set_value(parameter + 0.1 * paddle.randn(parameter.shape))
    network.head.weight.set_value(network.head.weight * 10)
    network.eval()
    return paddle.nn.Sequential(network, paddle.nn.Softmax())


def write(network, folder):
    spec = [paddle.static.InputSpec([None, 3, SIDE, SIDE], "float32")]
    program = paddle.jit.to_static(network, input_spec=spec, full_graph=True)
    paddle.jit.save(program, f"{folder}/inference")


folder, name = sys.argv[1:]
images = np.random.RandomState(0).randint(0, 256, (2, SIDE, SIDE, 3), "uint8")
pictures = [f"{folder}/{number}.png" for number in range(len(images))]
for picture, image in zip(pictures, images):
    Image.fromarray(image).save(picture)
images = paddle.to_tensor(((images / 255 - MEAN) / STD).transpose(0, 3, 1, 2).astype("float32"))
network = build(name)
with paddle.no_grad():
    expected = network(images).numpy()
transforms = [{"NormalizeImage": {"order": ""}}, {"ToCHWImage": None}]
for fused in (True, False):
    write(fuse_for_inference(network) if fused else network, folder)
    scores = Classifier(folder, "paddle", description=Description(transforms)).scores(pictures)
    error, spread = np.abs(scores - expected).max(), np.ptp(expected, 1).min()
    print(f"{'fused' if fused else 'plain'}: error {error:.1e} of {spread:.1e}", flush=True)
