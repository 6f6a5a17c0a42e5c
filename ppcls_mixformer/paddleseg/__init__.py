"""PaddleSeg as the host: its trainer, data pipeline and metrics run these backbones."""

from ppcls_mixformer.hosting import source


def register():
    """Finds PaddleSeg, bridges it to this Paddle and registers all that configs can name.

    Returns its root folder.

    Raises:
        ppcls_mixformer.hosting.errors.HostError: PaddleSeg was not found.
    """
    root = source.make_importable(source.PADDLESEG)
    from ppcls_mixformer.paddleseg import backbone, bridges, data, upernet  # noqa: F401

    bridges.apply()
    return root
