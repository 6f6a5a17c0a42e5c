"""Transforms that PaddleClas does not have; a config names them like its own."""

import numpy as np
import ppcls.data.preprocess

from ppcls_mixformer.predict import transforms


class PadImage(transforms.PadImage):
    """Pads a picture on all sides to at least `size`, for the crop that follows; as readers of exports do."""

    def __call__(self, img):
        """`uint8` `[H, W, 3]`; pictures of Pillow are taken, too."""
        return super().__call__(np.asarray(img))


def register():
    """Makes the transforms known to PaddleClas."""
    ppcls.data.preprocess.PadImage = PadImage
