"""Names and colours of the classes, for legends and exports."""

import logging
from pathlib import Path

from paddleseg.utils.visualize import get_color_map_list

from ppcls_mixformer.hosting.errors import UserError
from ppcls_mixformer.hosting.text import read_lines
from ppcls_mixformer.predict import names

logger = logging.getLogger(__name__)

# Of ADE20K, then those that labelme2seg, EISeg and PaddleX write; in the folder of the data.
ADE20K = ("objectInfo150.txt", "objectInfo.txt")
FILES = (*ADE20K, "class_names.txt", "labels.txt", "label_list.txt")
SECTIONS = ("val_dataset", "train_dataset")
NO_CLASS = "__ignore__"  # the first of labelme's labels, which is no class
MOST = 256  # classes for which there are colours: a PNG's palette has no more


def count_classes(builder):
    """How many classes the network of PaddleSeg's `builder` has."""
    return builder.config.dic["model"].get("num_classes") or builder.train_dataset_class.NUM_CLASSES


def class_names(builder):
    """Names of the classes in order, by the first file of FILES beside the data; None where there is none.

    A file of another number of classes gets a warning.
    """
    content, classes = builder.config.dic, count_classes(builder)
    roots = dict.fromkeys((content.get(section) or {}).get("dataset_root") for section in SECTIONS)
    paths = [Path(root, name) for root in roots if root for name in FILES]
    for path in filter(Path.is_file, paths):
        try:
            found = read(path)
        except UserError as error:
            logger.warning("no names of classes: %s", error)
            continue
        if len(found) == classes:
            return found
        logger.warning("%s names %d classes, not %d: it is left aside", path, len(found), classes)
    return None


def read(path):
    """The names in one of FILES.

    Raises:
        UserError: it is no text, or lines of it are no names.
    """
    if path.name in ADE20K:
        header, *rows = ([cell.strip() for cell in line.split("\t")] for line in read_lines(path) if line)
        if "Name" not in header or not all(len(row) == len(header) for row in rows):
            raise UserError(f"{path} has no column Name, with tabs between columns")
        return [row[header.index("Name")] for row in rows]
    found = names.read(path)
    listed = [found[number] for number in range(max(found) + 1)]
    return listed[1:] if listed[0] == NO_CLASS else listed


def palette(custom=None):
    """The colours of classes in PaddleSeg, `[[red, green, blue], …]`, MOST of them.

    Args:
        custom: red, green and blue of the first classes, one behind the other.
    """
    flat = get_color_map_list(MOST, custom_color=custom)
    return [flat[place : place + 3] for place in range(0, 3 * MOST, 3)]
