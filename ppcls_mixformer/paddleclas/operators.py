"""Transforms that PaddleClas does not have; a config names them like its own."""

import cv2
import numpy as np
import ppcls.data.preprocess


class PadImage:
    """Pads a picture of `uint8` [H, W, C] on all sides to at least `size`, for the crop that follows."""

    def __init__(self, size, value=0):
        """Pads to `size`, an integer or `[width, height]`, with the grey or colour `value`."""
        self.size = (size, size) if isinstance(size, int) else tuple(size)
        self.value = [value] * 3 if isinstance(value, (int, float)) else list(value)

    def __call__(self, img):
        """The padded picture; one that is large enough is returned as it is."""
        img = np.asarray(img)
        width = max(self.size[0] - img.shape[1], 0)
        height = max(self.size[1] - img.shape[0], 0)
        top, left = height // 2, width // 2
        if not (width or height):
            return img
        sides = (top, height - top, left, width - left)
        return cv2.copyMakeBorder(img, *sides, cv2.BORDER_CONSTANT, value=self.value)


def register():
    """Makes the transforms known to PaddleClas."""
    ppcls.data.preprocess.PadImage = PadImage
