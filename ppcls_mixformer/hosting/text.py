"""Text files in the encodings that people have."""

import codecs
import re
from pathlib import Path

from ppcls_mixformer.hosting.errors import UserError

FOREIGN = re.compile(rb"[\x80-\xff]+")  # what is not ASCII
LINE_END = re.compile(r"\r\n|\r|\n")  # and none of the others that str.splitlines knows: names may have them


def read_lines(path):
    """The lines of a text file in UTF-8, with or without a byte-order mark, UTF-16, GBK or cp1252; stripped.

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
    for encoding in ("utf-16",) if wide else ("utf-8-sig", *_local_encodings(content)):
        try:
            text = content.decode(encoding)
        except UnicodeDecodeError:
            continue
        if "\0" not in text:
            return text
    raise UserError(f"{path} is no text in UTF-8: save it as that")


def _local_encodings(content):
    """What a text in the encoding of its machine may be in, the likelier first.

    Nearly every letter of GBK is two bytes above ASCII; those of Western Europe are one, mostly alone, and
    hardly ever more than two in a row.
    """
    runs = FOREIGN.findall(content)
    is_western = 2 * sum(len(run) % 2 for run in runs) > len(runs) and max(map(len, runs)) <= 2
    return ("cp1252", "gb18030") if is_western else ("gb18030",)
