"""`inference.yml`, which lies beside an exported classifier: its preprocessing and the names of its classes.

The format is that of PaddleX 3 and PaddleClas 2.6; `image_shape`, `topk` and `outputs` in `Global` are ours.
"""

import logging
import math
from pathlib import Path
from typing import Any, NamedTuple, Optional

import yaml

from ppcls_mixformer.hosting import configs
from ppcls_mixformer.hosting.errors import UserError
from ppcls_mixformer.predict import transforms

logger = logging.getLogger(__name__)

NAME = "inference.yml"
TOPK = 5
THRESHOLD = 0.5
SINGLE, INDEPENDENT = "Topk", "MultiLabelThreshOutput"
SCORES, FEATURES, GATES = "scores", "features", "gates_"  # outputs of a program; those of a stage numbered
# What the `paddleclas` command does to pictures, whatever the network.
STOCK = [
    {"ResizeImage": {"resize_short": 256}},
    {"CropImage": {"size": 224}},
    {"NormalizeImage": {"scale": 0.00392157, "order": ""}},
    {"ToCHWImage": None},
]

# What lies beside other exports, and for which host they are.
OTHERS = {"infer_cfg.yml": "PaddleDetection", "deploy.yaml": "PaddleSeg"}


class Description(NamedTuple):
    """What a reader of an export must know beside the program.

    Attributes:
        transform_ops: from a picture, RGB, to the network's input, as configs have them.
        label_names: of the classes, in their order; None where there are no names.
        independent: whether a picture may have several labels, each with a probability of its own.
        topk: classes that are shown; None for those of independent labels with at least `threshold`.
        threshold: a probability.
        image_shape: `[C, H, W]` that the program takes; None where any size will do, or nobody knows.
        model_name: of the network.
        outputs: names of what the program gives, in their order; None where nobody has written them.
    """

    transform_ops: list[Any]
    label_names: Optional[list[str]] = None
    independent: bool = False
    topk: Optional[int] = TOPK
    threshold: float = THRESHOLD
    image_shape: Optional[list[int]] = None
    model_name: str = ""
    outputs: Optional[list[str]] = None

    def check_size(self, built, place):
        """Refuses transforms that end in pictures of another size than the program takes.

        Args:
            built: the transforms of `transform_ops`.
            place: what is named in the error.
        """
        size = transforms.size_after(built)
        if self.image_shape and size and list(size) != list(self.image_shape[1:]):
            raise UserError(
                f"{place} make pictures of {_sides(size)} (height x width), but the program takes "
                f"{_sides(self.image_shape[1:])}: export it for that size, with Global.image_shape"
            )


def _sides(size):
    return "x".join(map(str, size))


def write(path, description):
    """Writes `inference.yml`."""
    shown, settings = {"topk": description.topk}, {"outputs": description.outputs}
    if description.independent:  # for which PaddleX knows no topk
        shown = {"threshold": description.threshold}
        settings["topk"] = description.topk
    if description.label_names is not None:
        shown["label_list"] = list(description.label_names)
    content = {
        "Global": {
            "model_name": description.model_name,
            "image_shape": description.image_shape,
            **{key: value for key, value in settings.items() if value is not None},
        },
        "PreProcess": {"transform_ops": description.transform_ops},
        "PostProcess": {INDEPENDENT if description.independent else SINGLE: shown},
    }
    text = yaml.dump(_plain(content), sort_keys=False, allow_unicode=True, width=math.inf)
    Path(path).write_text(text, encoding="utf-8")


def _plain(node):
    """Copies of PaddleClas's dicts as plain ones, without anchors for what is there twice."""
    if isinstance(node, dict):
        return {key: _plain(value) for key, value in node.items()}
    return [_plain(value) for value in node] if isinstance(node, (list, tuple)) else node


def read(folder):
    """The `Description` of the export in `folder`; without a file, what the `paddleclas` command assumes.

    Raises:
        UserError: there is no such folder; the file is damaged or of a kind that is not read here.
    """
    if not Path(folder).is_dir():
        raise UserError(f"{folder} is no folder; name the one that an export was written to")
    path = Path(folder) / NAME
    if not path.is_file():
        _check_kind(folder)
        logger.warning(
            "%s has no %s: pictures are prepared as the paddleclas command does (short side 256, crop 224), "
            "and classes are numbers",
            folder,
            NAME,
        )
        return Description(STOCK)
    content = configs.read_yaml(path)
    section = _mapping(content, "Global", path, {})
    kind, shown = _shown(_mapping(content, "PostProcess", path, {SINGLE: {}}), path)
    return Description(
        transform_ops=_mapping(content, "PreProcess", path).get("transform_ops"),
        label_names=_label_names(shown.get("label_list"), path),
        independent=kind == INDEPENDENT,
        topk=_topk(section.get("topk") if kind == INDEPENDENT else shown.get("topk", TOPK), path),
        threshold=_number(shown.get("threshold", THRESHOLD), (int, float), "threshold", path),
        image_shape=_image_shape(section.get("image_shape"), path),
        model_name=str(section.get("model_name") or ""),
        outputs=_outputs(section.get("outputs"), path),
    )


def _check_kind(folder):
    """Refuses what is described as another kind of network than a classifier."""
    for name, host in OTHERS.items():
        if Path(folder, name).is_file():
            raise UserError(f"{folder} is an export for {host}, it holds {name}; classifiers are read here")


def _mapping(content, key, path, default=None):
    value = content.get(key) or default
    if not isinstance(value, dict):
        raise UserError(f"{path} has no section {key}: export the checkpoint anew")
    return value


def _shown(section, path):
    """`(name, arguments)` of the postprocessing."""
    for name in (SINGLE, INDEPENDENT):
        if name in section:
            return name, section[name] if isinstance(section[name], dict) else {}
    raise UserError(
        f"{path}: PostProcess is {', '.join(map(str, section))}; {SINGLE} and {INDEPENDENT} are read here"
    )


def _label_names(value, path):
    if value is None:
        return None
    if not isinstance(value, list):
        raise UserError(f"{path}: label_list is no list")
    return [str(name) for name in value]


def _topk(value, path):
    return None if value is None else _number(value, int, "topk", path)


def _number(value, kind, key, path):
    if not isinstance(value, kind) or isinstance(value, bool) or value < 0:
        raise UserError(f"{path}: {key} is {value!r}; it takes a number from 0 on")
    return value


def _outputs(value, path):
    if value is not None and (not isinstance(value, list) or value[:1] != [SCORES]):
        raise UserError(f"{path}: outputs is {value!r}; it takes a list of names, {SCORES} first")
    return value


def _image_shape(value, path):
    if value is None:
        return None
    if not isinstance(value, list) or len(value) != 3 or not all(isinstance(side, int) for side in value):
        raise UserError(f"{path}: image_shape is {value!r}; it takes [channels, height, width]")
    return value
