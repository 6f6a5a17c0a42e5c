"""Packaging. Requirements are ranges; exact versions, each with its reason, are in constraints.txt."""

from pathlib import Path

from setuptools import find_packages, setup

OLDER, NEWER = 'python_version < "3.12"', 'python_version >= "3.12"'

# What the code of PaddleClas and of the `paddleclas` wheel imports, beside OpenCV in any of its builds.
PADDLECLAS_CODE = [
    "easydict",
    "faiss-cpu",
    "prettytable",
    "requests",
    "scikit-learn",
    "scipy",
    "setuptools<81",  # imported by Paddle; the newest that has PaddleDetection's pkg_resources
    "six",
    "visualdl>=2.2",
]

# The wheel's own metadata pins numpy 1.24.4 and OpenCV 4.6, which Python 3.12 has no wheels of; there the
# command `fetch` installs it without its requirements.
PADDLECLAS = [
    f"paddleclas==2.6.0; {OLDER}",  # newest
    f"opencv-python>=4.10; {NEWER}",  # earlier ones fail under numpy 2
    *(f"{requirement}; {NEWER}" for requirement in PADDLECLAS_CODE),
]

# What PaddleDetection and PaddleSeg import; they themselves are fetched (hosting/source.py says why).
DENSE = [
    "lvis==0.5.3",  # the metric of LVIS; the bridge for np.float is for this release
    "matplotlib",
    "opencv-python",
    "pandas",
    "pycocotools",
    "requests",
    "scikit-learn",
    "scipy",
    "setuptools<81",
    "six",
]

DEMO = [
    "matplotlib>=3.7",  # curves, picture sheets and reports; earlier ones have no legends outside of axes
    "scikit-image",  # carries the photographs of the scenes
    "scikit-learn",  # carries the digits
]

ONNX = [
    'paddle2onnx>=1.3.1; python_version < "3.13"',  # 2.1.0 for Paddle 3, 1.3.1 for 2.6; no wheel for 3.13
    'onnx>=1.16.1,<=1.17.0; python_version < "3.13"',  # what paddle2onnx 2.1.0 takes; 1.3.1 does not say
    "onnxruntime>=1.16",  # folds and checks what was converted; earlier ones need PyTorch for half precision
]

# In an environment without paddleclas: OpenCV's package is another one there, and numpy is older than 2.4.
PADDLEX = [
    "onnxruntime>=1.16",
    "paddlepaddle>=3",  # 2 does not read inference.json
    "paddlex[serving]>=3.7.2,<4",  # earlier ones have no registry of models, or another one
    'paddlex[cv]; python_version < "3.13"',
    # What cv stands for: it asks for a pycocotools up to 2.0.8, which has no wheels for Python 3.13.
    *(
        f'{requirement}; python_version >= "3.13"'
        for requirement in (
            "faiss-cpu",
            "matplotlib",
            "opencv-contrib-python==4.10.0.84",
            "pycocotools",
            "pypdfium2>=4",
            "scikit-image",
        )
    ),
]

SAFETENSORS = ["safetensors>=0.4"]  # checkpoints that are no pickles

setup(
    name="ppcls_mixformer",
    version="0.1.0",
    description="MixFormer backbones (CVPR 2022, B0 to B6) for PaddleClas, PaddleDetection and PaddleSeg",
    long_description=Path("README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    # Configs and demo lie at the top of the checkout, and in the package where it is installed.
    packages=[
        *find_packages(include=["ppcls_mixformer", "ppcls_mixformer.*"]),
        "ppcls_mixformer.configs",
        "ppcls_mixformer.demo",
    ],
    package_dir={"ppcls_mixformer.configs": "configs", "ppcls_mixformer.demo": "demo"},
    package_data={
        "ppcls_mixformer.configs": ["**/*.yaml", "**/*.yml"],
        "ppcls_mixformer.paddleclas": ["webpage/*"],
        "ppcls_mixformer.selftest": ["golden/*"],
    },
    entry_points={"console_scripts": ["ppcls-mixformer = ppcls_mixformer.__main__:main"]},
    python_requires=">=3.9",
    install_requires=["numpy>=1.21", "pillow>=9", "pyyaml>=5.1", "tqdm>=4.60"],
    extras_require={
        "cpu": ["paddlepaddle>=2.6.2", *PADDLECLAS],
        "gpu": ["paddlepaddle-gpu>=2.6.2", *PADDLECLAS],
        "paddleclas": PADDLECLAS_CODE,  # for a Paddle, a numpy and an OpenCV of one's own, on every Python
        "dense": DENSE,
        "demo": DEMO,
        "onnx": ONNX,
        "paddlex": PADDLEX,
        "safetensors": SAFETENSORS,
        "test": [*DENSE, *DEMO, *ONNX, *SAFETENSORS, "pytest>=8", "pytest-xdist>=3", "ruff"],
    },
)
