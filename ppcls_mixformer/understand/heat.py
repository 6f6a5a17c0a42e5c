"""Maps of a network drawn over the picture that it saw."""

from importlib.util import find_spec

import numpy as np
from PIL import Image

from ppcls_mixformer.hosting.errors import UserError

COLOURS, COOLEST, HOTTEST = "turbo", 0.1, 0.88  # without its darkest blue and red
OPACITY = 0.75
LEGIBLE = 224  # pixels
ROUNDING = 1e-5  # of a value
PACKAGES = {"sklearn": "scikit-learn"}  # names of modules that are not those of their packages
LEAST = 1e-3  # between values of a map from 0 to 1; less is no difference to see
DIMMED = 0.35  # brightness of what a map says nothing about


def require(what, *modules):
    """Refuses `what` where one of the `modules` that draw and count is not installed.

    Raises:
        UserError: names them.
    """
    missing = [PACKAGES.get(module, module) for module in modules if find_spec(module) is None]
    if missing:
        raise UserError(f"{what} needs {' and '.join(missing)}: pip install {' '.join(missing)}")


def enlarged(values, stride, size):
    """A map `[height, width]`, one value every `stride` pixels, as one of a picture of `size` `(H, W)`.

    Interpolated between the middles of the positions. What a map has beyond the picture, which the network
    pads at the bottom and on the right, is cut off.
    """
    height, width = values.shape
    whole = Image.fromarray(np.ascontiguousarray(values, "float32"))
    return np.asarray(whole.resize((width * stride, height * stride), Image.BILINEAR))[: size[0], : size[1]]


def to_unit(values):
    """`values` from 0 to 1, the least to the greatest; all 0 where they are the same but for rounding."""
    low, high = float(values.min()), float(values.max())
    differ = high - low > ROUNDING * max(abs(low), abs(high))
    return (values - low) / (high - low) if differ else np.zeros_like(values)


def legible(picture):
    """The picture, enlarged where it is too small to be looked at, and how many times."""
    times = max(1, LEGIBLE // max(picture.shape[:2]))
    size = (picture.shape[1] * times, picture.shape[0] * times)
    return np.asarray(Image.fromarray(picture).resize(size, Image.BICUBIC)) if times > 1 else picture, times


def over(picture, heat):
    """The picture `uint8` `[H, W, 3]` under `heat` `[H, W]`, 0 to 1; it shines through where that is cool."""
    from matplotlib import colormaps

    opacity = OPACITY * np.clip(heat, 0, 1)[:, :, None]
    colours = colormaps[COLOURS](COOLEST + (HOTTEST - COOLEST) * heat)[:, :, :3] * 255
    return np.rint(picture * (1 - opacity) + colours * opacity).astype("uint8")


def of_map(picture, values, stride):
    """The picture under a map `[height, width]` of shares, from its least to its greatest value."""
    drawn = enlarged(values, stride, picture.shape[:2])
    return over(picture, to_unit(drawn) if np.ptp(values) >= LEAST else np.zeros_like(drawn))


def of_grad_cam(picture, values, stride):
    """The picture under a Grad-CAM, in which 0 says that nothing speaks for the class."""
    heat = enlarged(values, stride, picture.shape[:2])
    return over(picture, heat / heat.max() if heat.max() > 0 else heat)


def of_window(picture, window, weights, stride):
    """The picture with the attention `weights` `[side, side]` over the `Window`, and dark elsewhere."""
    top, left = window.top * stride, window.left * stride
    below = picture[top : top + len(weights) * stride, left : left + len(weights) * stride]
    heat = enlarged(weights, stride, below.shape[:2])
    drawn = np.rint(picture * DIMMED).astype("uint8")
    drawn[top : top + len(below), left : left + below.shape[1]] = over(below, to_unit(heat))
    return drawn
