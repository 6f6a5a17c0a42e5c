"""Whether an exported program and its `.pdiparams` are whole, which Paddle itself does not look at.

Paddle 3 writes them without a word onto a full disk, and makes up what is missing of the last tensor.
"""

import json
import math
import struct
from pathlib import Path

from ppcls_mixformer.hosting.errors import UserError

BYTES = {0: 1, 1: 2, 2: 4, 3: 8, 4: 2, 5: 4, 6: 8, 20: 1, 21: 1, 22: 2, 23: 8, 24: 16}  # by VarType.Type
TYPE, DIMENSION = 8, 16  # tags of protobuf's TensorDesc
PARAMETER = b'"#":"p"'  # how a parameter begins in Paddle 3's program


def check_program(program):
    """Refuses a program, such as `inference.json`, that is cut off, or whose parameters are.

    Raises:
        UserError: names the file.
    """
    program = Path(program)
    parameters = program.with_suffix(".pdiparams")
    if not parameters.is_file():
        raise UserError(f"{program} has no {parameters.name} beside it: export it again")
    content = program.read_bytes()
    if not content or program.suffix == ".json" and not _is_json(content):
        raise UserError(f"{program} is cut off or no program: export it again")
    size = parameters.stat().st_size
    try:
        expected, tensors = length(parameters)
    except (ValueError, LookupError, OverflowError, OSError, struct.error):
        expected, tensors = None, 0
    if size and expected == size and tensors >= content.count(PARAMETER):
        return
    ends = f"after {size} of {expected} bytes" if expected and expected != size else f"after {size} bytes"
    raise UserError(
        f"{parameters} is cut off {ends}: the disk was full, or it was copied in part; export it again"
    )


def _is_json(content):
    try:
        json.loads(content)
    except ValueError:
        return False
    return True


def length(path):
    """Bytes that the `.pdiparams` file at `path` says it has, at least those it has, and tensors in it.

    Each tensor is a version (4 bytes), its levels of detail (8, then 8 and as many as those say for each),
    a version (4), the length of a TensorDesc (4), that, and the numbers.
    """
    size, tensors = Path(path).stat().st_size, 0
    with open(path, "rb") as file:
        while file.tell() < size:
            _, levels = struct.unpack("<IQ", file.read(12))
            for _ in range(levels):
                file.seek(*struct.unpack("<Q", file.read(8)), 1)
            _, described = struct.unpack("<Ii", file.read(8))
            fields = list(_fields(file.read(described)))
            (kind,) = (value for tag, value in fields if tag == TYPE)
            file.seek(BYTES[kind] * math.prod(value for tag, value in fields if tag == DIMENSION), 1)
            tensors += 1
        return file.tell(), tensors


def _fields(description):
    """`(tag, number)` of each field in a protobuf message that holds numbers only."""
    numbers, number, shift = [], 0, 0
    for byte in description:
        number |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            numbers.append(number)
            number, shift = 0, 0
    return zip(numbers[::2], numbers[1::2])
