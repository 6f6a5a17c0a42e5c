"""PaddleDetection as the host: detection, instance segmentation, keypoints and LVIS on these backbones."""

from unittest import mock

from ppcls_mixformer.hosting import source


def register():
    """Finds PaddleDetection, bridges it to this Paddle and registers all that configs can name.

    Returns its root folder.

    Raises:
        ppcls_mixformer.hosting.errors.HostError: PaddleDetection was not found.
    """
    root = source.make_importable(source.PADDLEDET)
    with mock.patch("builtins.print"):  # it prints which packages for tracking it lacks
        from ppcls_mixformer.paddledet import backbone, bridges, keypoint, lvis_data  # noqa: F401

    bridges.apply()
    return root
