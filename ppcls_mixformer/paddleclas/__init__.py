"""PaddleClas as the host: its trainer, data pipeline and predict command run these backbones."""

import sys

from ppcls_mixformer.paddleclas.source import locate


def register():
    """Finds PaddleClas, bridges it to this Paddle and registers the backbones; returns its root.

    Raises:
        ppcls_mixformer.paddleclas.errors.HostError: PaddleClas was not found.
    """
    root = locate()
    if str(root) not in sys.path:
        sys.path.insert(0, str(root))
    from ppcls_mixformer.paddleclas import backbone, bridges

    bridges.apply()
    backbone.register()
    return root
