"""PaddleClas as the host: its trainer, data pipeline and predict command run these backbones."""

from ppcls_mixformer.hosting import source


def register():
    """Finds PaddleClas, bridges it to this Paddle and registers the backbones; returns its root.

    Raises:
        ppcls_mixformer.hosting.errors.HostError: PaddleClas was not found.
    """
    root = source.make_importable(source.PADDLECLAS)
    from ppcls_mixformer.paddleclas import backbone, bridges

    bridges.apply()
    backbone.register()
    return root
