"""Results as PaddleX prints, saves and draws them."""

import functools

from paddlex.inference.models.image_classification import result as single
from paddlex.inference.models.image_multilabel_classification import result as independent
from paddlex.utils.fonts import Font

from ppcls_mixformer.hosting.patches import replaced

ROOM = 320  # pixels of a picture's width from which on PaddleX's letters can be read
LONGEST = 16384  # pixels of a side


class _Drawn:
    """Draws on small pictures, and without PaddleX's font.

    PaddleX 3.7.2 ends in "font size must be greater than 0" on a picture of less than 20 pixels, and without
    a network in the download of its font. `module` is the one that its drawing takes the font from.
    """

    module = None

    def _to_img(self):
        picture = self["input_img"]
        height, width = picture.shape[:2]
        times = max(1, min(-(-ROOM // width), LONGEST // height))
        self["input_img"] = picture.repeat(times, axis=0).repeat(times, axis=1)
        try:
            with replaced(self.module, "PINGFANG_FONT", _font(self.module.PINGFANG_FONT)):
                return super()._to_img()
        finally:
            self["input_img"] = picture


class SingleResult(_Drawn, single.TopkResult):
    """Of classes that exclude each other."""

    module = single


class IndependentResult(_Drawn, independent.MLClassResult):
    """Of independent labels."""

    module = independent


@functools.lru_cache(None)
def _font(usual):
    """PaddleX's `usual` font; where it cannot be downloaded, matplotlib's, which has no Chinese letters."""
    try:
        return usual if usual.path else usual
    except Exception:  # of its download, of many types
        from matplotlib import font_manager

        return Font(local_path=font_manager.findfont("DejaVu Sans"))
