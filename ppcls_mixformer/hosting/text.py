"""Text files in the encodings that people have."""

import codecs
import re
from pathlib import Path

from ppcls_mixformer.hosting.errors import UserError

LINE_END = re.compile(r"\r\n|\r|\n")  # and none of the others that str.splitlines knows: names may have them


def read_lines(path):
    """The lines of a text file in UTF-8, with or without a byte-order mark, UTF-16 or GBK; stripped.

    Raises:
        UserError: it cannot be read, or is no text.
    """
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from None
    return [line.strip() for line in LINE_END.split(_decoded(content, path))]


def _decoded(content, path):
    wide = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    for encoding in ("utf-16",) if wide else ("utf-8-sig", "gb18030"):
        try:
            text = content.decode(encoding)
        except UnicodeDecodeError:
            continue
        if "\0" not in text:
            return text
    raise UserError(f"{path} is no text in UTF-8: save it as that")
