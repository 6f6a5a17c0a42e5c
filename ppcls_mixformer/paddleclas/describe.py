"""What PaddleClas's config says of an export: the preprocessing and the names for its `inference.yml`."""

import logging
import os

from ppcls_mixformer.hosting import expressions
from ppcls_mixformer.hosting.errors import UserError, placed
from ppcls_mixformer.predict import names, transforms
from ppcls_mixformer.predict.description import THRESHOLD, TOPK, Description

logger = logging.getLogger(__name__)

INFERRED, EVALUATED = "Infer.transforms", "DataLoader.Eval.dataset.transform_ops"
NAMES_KEY = "Infer.PostProcess.class_id_map_file"
# What readers of exports do as Infer.PostProcess does, by whether labels are independent.
SHOWN = {False: ("Topk",), True: ("Topk", "MultiLabelTopk", "MultiLabelThreshOutput")}
# PaddleClas's name of a resize by OpenCV, and PaddleX's.
PADDLEX_NAMES = {"bilinear": "linear", "lanczos": "lanczos4"}


def describe(config):
    """The `Description` of what `config` exports, without the names of classes.

    Raises:
        UserError: Infer.transforms end in pictures of another size than Global.image_shape.
        ValueError: `inference.yml` cannot say what the config does; one line.
    """
    if gives_features(config, "export"):
        raise ValueError("the program gives features and no classes")
    key, operators = _transforms(config)
    shown = (config.get("Infer") or {}).get("PostProcess") or {}
    found = Description(
        transform_ops=_plain(operators, key),
        independent=bool(config["Global"].get("use_multilabel")),
        topk=shown.get("topk") or (None if "Multi" in str(shown.get("name")) else TOPK),
        threshold=shown.get("threshold") or THRESHOLD,
        image_shape=_fixed(config["Global"].get("image_shape")),
        model_name=_network(config["Arch"])["name"],
    )
    if shown.get("name", "Topk") not in SHOWN[found.independent]:
        logger.warning(
            "Infer.PostProcess is %s, which infer does and readers of the export do not: they show %s",
            shown["name"],
            "each label with a probability of its own"
            if found.independent
            else "the best classes, with scores that sum up to 1; several labels need Global.use_multilabel",
        )
    try:
        built = transforms.build(found.transform_ops, key)
    except UserError as error:
        raise ValueError(str(error)) from None
    found.check_size(built, key)
    return found


def _network(arch):
    """The section of the network that is exported; PaddleX looks its name up.

    Of several (DistillationModel) it is the one that `infer_model_name` names, usually the student.
    """
    several = {name: section for entry in arch.get("models") or () for name, section in entry.items()}
    return several.get(arch.get("infer_model_name")) or arch.get("Backbone") or arch


def _transforms(config):
    """`(key, operators)` from a picture to the network's input; says if evaluation has others."""
    evaluated = _of_evaluation(config)
    inferred = (config.get("Infer") or {}).get("transforms")
    with_last = [*evaluated, {"ToCHWImage": None}] if evaluated else None
    if inferred and evaluated and _plain(inferred, INFERRED) != _plain(with_last, EVALUATED):
        logger.warning(
            "DataLoader.Eval.dataset.transform_ops are others than Infer.transforms, which the export takes: "
            "what was measured in evaluation is not what it will do"
        )
    if inferred:
        return INFERRED, inferred
    if not evaluated:
        raise ValueError("the config has no Infer.transforms")
    return EVALUATED, with_last


def _of_evaluation(config):
    dataset = ((config.get("DataLoader") or {}).get("Eval") or {}).get("dataset") or {}
    return dataset.get("transform_ops")


def evaluated(config):
    """The transforms of evaluation in the form of a `Description`.

    Raises:
        ValueError: no description can say what they do, or there are none.
    """
    operators = _of_evaluation(config)
    if not operators:
        raise ValueError("DataLoader.Eval has no transforms")
    return _plain([*operators, {"ToCHWImage": None}], EVALUATED)


def _plain(operators, key):
    """Transforms with all that PaddleClas's defaults add written out, and without the decoding."""
    written = []
    for name, arguments in _listed(operators, key):
        arguments = dict(arguments or {})
        if name == "DecodeImage":
            if written:
                raise ValueError("DecodeImage is not the first transform")
            if not arguments.get("to_rgb", True) or arguments.get("channel_first"):
                raise ValueError("DecodeImage is not to RGB, channels last, as readers of exports decode")
            continue
        if name == "ResizeImage":
            arguments = _resize(arguments)
        if name == "NormalizeImage":
            arguments = _normalization(arguments)
        written.append({name: arguments or None})
    return written


def _listed(operators, key):
    """Yields name and arguments of each transform.

    Raises:
        UserError: they have another form.
    """
    for entry in operators if isinstance(operators, list) else [operators]:
        arguments = list(entry.values()) if isinstance(entry, dict) else []
        if len(arguments) != 1 or not isinstance(arguments[0], (dict, type(None))):
            raise UserError(
                f"{key} has {entry!r}; it takes a list of names with their arguments, such as `- ToCHWImage:`"
            )
        yield from entry.items()


def _resize(arguments):
    backend = str(arguments.get("backend", "cv2")).lower()
    default = "bicubic" if backend == "pil" else "bilinear"
    interpolation = arguments.get("interpolation")
    interpolation = default if interpolation is None else str(interpolation).lower()
    if backend == "cv2":
        interpolation = PADDLEX_NAMES.get(interpolation, interpolation)
    return {**arguments, "interpolation": interpolation, "backend": backend}


def _normalization(arguments):
    scale = arguments.get("scale")
    scale = 1.0 / 255.0 if scale is None else expressions.value(scale) if isinstance(scale, str) else scale
    return {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225], "order": "chw", **arguments} | {
        "scale": float(scale),
        "channel_num": arguments.get("channel_num", 3),
    }


def _fixed(image_shape):
    """`image_shape` where all of it is fixed, else None."""
    sides = list(image_shape or [])
    return sides if len(sides) == 3 and all(isinstance(side, int) and side > 0 for side in sides) else None


def gives_features(config, mode):
    """Whether `mode` takes RecModel's features, and leaves its head alone."""
    if mode == "eval":
        return config["Global"].get("eval_mode") == "retrieval"
    return mode == "export" and config["Arch"].get("infer_output_key") == "features"


def known_names(config):
    """The names of classes in the file that `config` names; None without one.

    Raises:
        UserError: the file is no list of names; names the key.
    """
    path = ((config.get("Infer") or {}).get("PostProcess") or {}).get("class_id_map_file")
    if path and not os.path.exists(path):
        logger.warning("%s: there is no file %s, so classes are named by their numbers", NAMES_KEY, path)
        return None
    with placed(NAMES_KEY):
        return names.read(path) if path else None
