"""PaddleClas as the host: its trainer, data pipeline and predict command run these backbones."""

from ppcls_mixformer.hosting import source

# The `paddleclas` wheel has no trainer; this is the one release on PyPI that carries it.
HOST = source.Host(
    key="paddleclas",
    name="PaddleClas",
    package="ppcls",
    mark="ppcls/engine/engine.py",
    home="PADDLECLAS_HOME",
    requirement="paddlex==2.1.0",
    sha256="be927f24e1b158b2ec7e88adb5507df5ad3e960ac374d808ef0d1c9d341109e7",
    wheel_folder="PaddleClas",
    extra="paddleclas",
    release="2.3",
    size="1.6 MB",
    git_url="https://github.com/PaddlePaddle/PaddleClas.git",
    releases=("release/2.4", "release/2.5", "release/2.6", "develop"),
    marks={
        "2.6 or develop": "ppcls/utils/save_result.py",
        "2.5": "ppcls/loss/mgd_loss.py",
        "2.4": "ppcls/loss/dkdloss.py",
    },
    command=source.Command(
        requirement="paddleclas==2.6.0",
        sha256="3c12fd8994d95ed1b4fd60017cdbc12bb0e77a41a7921b022e9a6fb5d287fe8a",
        package="paddleclas",
    ),
)


def register():
    """Finds PaddleClas, bridges it to this Paddle and registers the backbones; returns its root folder.

    Raises:
        ppcls_mixformer.hosting.errors.UserError: PaddleClas was not found.
    """
    root = source.make_importable(HOST)
    with source.requirements(HOST):
        from ppcls_mixformer.paddleclas import backbone, bridges

    bridges.apply()
    backbone.register()
    return root
