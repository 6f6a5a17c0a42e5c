"""Packaging; every pin of the project is here, with its reason."""

from pathlib import Path

from setuptools import find_packages, setup

ONNX = [
    "paddle2onnx==2.1.0",  # newest; earlier ones do not read inference.json
    "onnxruntime",  # checks what was converted
]

# What PaddleDetection and PaddleSeg import; they themselves are fetched (hosting/source.py says why).
DENSE = [
    "lvis==0.5.3",  # the metric of LVIS; the bridge for np.float is for this release
    "protobuf<7",  # PaddleSeg's training in several processes reads what protobuf 7 no longer has
    "pycocotools",
    "scikit-image",  # carries the photographs of tools/prepare_scenes.py
    "scipy",
]

setup(
    name="ppcls_mixformer",
    version="0.1.0",
    description="MixFormer backbones (CVPR 2022, B0 to B6) for PaddleClas, PaddleDetection and PaddleSeg",
    long_description=Path("README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    packages=find_packages(include=["ppcls_mixformer", "ppcls_mixformer.*"]),
    # paddleclas 2.6.0 pins numpy 1.24.4, which has wheels for Python 3.9 to 3.11.
    python_requires=">=3.9,<3.12",
    install_requires=[
        "paddleclas==2.6.0",  # the predict command that tools/predict.py wraps
        "numpy==1.24.4",  # as paddleclas 2.6.0 pins it
        "pillow<12",  # Pillow 13 refuses the posterize of 0 bits that TimmAutoAugment asks for
        "matplotlib",  # curve and picture sheet of the quick start
        "pyyaml",
        "scikit-learn",  # carries the digits of the quick start
        "tqdm",
    ],
    extras_require={
        "cpu": ["paddlepaddle==3.1.1"],  # newest that writes the .pdmodel paddleclas insists on
        "gpu": ["paddlepaddle-gpu==2.6.2"],  # newest GPU wheel on PyPI
        "dense": DENSE,
        "onnx": ONNX,
        "test": [*DENSE, *ONNX, "pytest>=8", "ruff==0.14.5"],
    },
)
