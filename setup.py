"""Packaging; every pin of the project is here, with its reason."""

from pathlib import Path

from setuptools import find_packages, setup

PADDLECLAS = [
    "paddleclas==2.6.0",  # newest; it pins numpy 1.24.4, and so Python 3.9 to 3.11
    "pillow<12",  # Pillow 13 refuses the posterize of 0 bits that TimmAutoAugment asks for
]

# What PaddleDetection and PaddleSeg import; they themselves are fetched (hosting/source.py says why).
DENSE = [
    "lvis==0.5.3",  # the metric of LVIS; the bridge for np.float is for this release
    "protobuf<7",  # PaddleSeg's training in several processes reads what protobuf 7 no longer has
    "pycocotools",
    "scipy",
]

DEMO = [
    "matplotlib",  # curves and picture sheets
    "scikit-image",  # carries the photographs of the scenes
    "scikit-learn",  # carries the digits
]

ONNX = [
    "paddle2onnx==2.1.0",  # newest; earlier ones do not read inference.json
    "onnxruntime",  # checks what was converted
]

setup(
    name="ppcls_mixformer",
    version="0.1.0",
    description="MixFormer backbones (CVPR 2022, B0 to B6) for PaddleClas, PaddleDetection and PaddleSeg",
    long_description=Path("README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    # The configs lie at the top of the checkout and in the package where it is installed.
    packages=[*find_packages(include=["ppcls_mixformer", "ppcls_mixformer.*"]), "ppcls_mixformer.configs"],
    package_dir={"ppcls_mixformer.configs": "configs"},
    package_data={"ppcls_mixformer.configs": ["**/*.yaml", "**/*.yml"]},
    entry_points={"console_scripts": ["ppcls-mixformer = ppcls_mixformer.__main__:main"]},
    python_requires=">=3.9,<3.12",
    install_requires=["numpy>=1.21", "pillow>=9", "pyyaml>=5.1", "tqdm>=4.60"],
    extras_require={
        "cpu": ["paddlepaddle==3.1.1", *PADDLECLAS],  # newest that writes the .pdmodel paddleclas insists on
        "gpu": ["paddlepaddle-gpu==2.6.2", *PADDLECLAS],  # newest GPU wheel on PyPI
        "paddleclas": PADDLECLAS,  # for a Paddle of one's own
        "dense": DENSE,
        "demo": DEMO,
        "onnx": ONNX,
        "test": [*DENSE, *DEMO, *ONNX, "pytest>=8", "ruff==0.14.5"],
    },
)
