"""PaddleSeg as the host: its trainer, data pipeline and metrics run these backbones."""

from ppcls_mixformer.hosting import source

# Fetched, not installed: its wheel asks for a numpy and an OpenCV that conflict with paddleclas.
HOST = source.Host(
    key="paddleseg",
    name="PaddleSeg",
    package="paddleseg",
    mark="paddleseg/core/train.py",
    home="PADDLESEG_HOME",
    requirement="paddleseg==2.8.0",
    sha256="299e70438e5a2df08ea169dfaee828c75c67c5015e958e9970ccc4d62a90d35c",
    wheel_folder="",
    extra="dense",
    release="2.8",
    size="0.4 MB",
    git_url="https://github.com/PaddlePaddle/PaddleSeg.git",
    releases=("release/2.8", "release/2.9", "develop"),
    marks={"develop": "paddleseg/core/export.py", "2.9": "paddleseg/models/efficientformerv2_seg.py"},
)


def register():
    """Finds PaddleSeg, bridges it to this Paddle and registers all that configs can name.

    Returns its root folder.

    Raises:
        ppcls_mixformer.hosting.errors.UserError: PaddleSeg was not found.
    """
    root = source.make_importable(HOST)
    with source.requirements(HOST):
        from ppcls_mixformer.paddleseg import backbone, bridges, data, upernet  # noqa: F401

    bridges.apply()
    return root
