"""Words in figures: names of classes in fonts that have their letters."""

import functools

LONGEST = 22  # letters of a name in a figure
END = 9  # of these, those at its end, by which long names often differ
# Fonts with Chinese, Japanese and Korean letters, of which one is on most machines.
WIDE_FONTS = (
    "Noto Sans CJK SC",
    "Noto Sans CJK JP",
    "Source Han Sans SC",
    "WenQuanYi Micro Hei",
    "WenQuanYi Zen Hei",
    "Microsoft YaHei",
    "SimHei",
    "PingFang SC",
    "Hiragino Sans GB",
    "Arial Unicode MS",
)


@functools.lru_cache(maxsize=None)
def fonts():
    """Names of matplotlib's font and of those installed ones that have more letters."""
    from matplotlib import font_manager

    installed = set(font_manager.get_font_names())
    return ["DejaVu Sans", *(font for font in WIDE_FONTS if font in installed)]


@functools.lru_cache(maxsize=None)
def _letters():
    from matplotlib import font_manager, ft2font

    paths = [font_manager.findfont(font) for font in fonts()]
    return {letter for path in paths for letter in ft2font.FT2Font(path).get_charmap()}


def shown(name, number):
    """The name of class `number` as figures can have it: shortened, or the number where letters lack."""
    if any(ord(letter) not in _letters() for letter in name):
        return f"class {number}"
    return name if len(name) <= LONGEST else f"{name[: LONGEST - END - 1]}…{name[-END:]}"
