"""PaddleDetection as the host: detection, instance segmentation, keypoints and LVIS on these backbones."""

import builtins

from ppcls_mixformer.hosting import source
from ppcls_mixformer.hosting.patches import replaced
from ppcls_mixformer.paddledet.lanes import packages_stood_in_for

# Fetched, not installed: its wheel asks for a numpy and an OpenCV that conflict with paddleclas.
HOST = source.Host(
    key="paddledet",
    name="PaddleDetection",
    package="ppdet",
    mark="ppdet/engine/trainer.py",
    home="PADDLEDET_HOME",
    requirement="paddledet==2.6.0",
    sha256="a3cf717d61c771be000a7cd7f3cc6b254724aacf24db6bfcba1443c2f409deff",
    wheel_folder="",
    extra="dense",
    release="2.6",
    size="0.8 MB",
    git_url="https://github.com/PaddlePaddle/PaddleDetection.git",
    releases=("release/2.6", "develop"),
    marks={"develop": "ppdet/data/source/culane.py"},
)


def register():
    """Finds PaddleDetection, bridges it to this Paddle and registers all that configs can name.

    Returns its root folder.

    Raises:
        ppcls_mixformer.hosting.errors.UserError: PaddleDetection was not found.
    """
    root = source.make_importable(HOST)
    # It prints which packages for tracking it lacks. Its loggers must find the real stdout meanwhile.
    silence = replaced(builtins, "print", lambda *args, **kwargs: None)
    with source.requirements(HOST), silence, packages_stood_in_for():
        from ppcls_mixformer.paddledet import backbone, bridges, keypoint, lvis_data  # noqa: F401

    bridges.apply()
    return root
