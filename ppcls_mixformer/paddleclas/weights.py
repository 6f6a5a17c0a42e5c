"""The weights that a command runs with: what the config names, and whether they fill the network."""

import contextlib
import logging
import os
import zipfile

import paddle
from paddle.utils import unique_name

from ppcls_mixformer import zoo
from ppcls_mixformer.hosting.advice import nearest
from ppcls_mixformer.hosting.errors import UserError
from ppcls_mixformer.hosting.patches import replaced
from ppcls_mixformer.paddleclas import keys, training
from ppcls_mixformer.paddleclas.backbone import ARCH_KEYS, MixFormer, networks
from ppcls_mixformer.paddleclas.describe import gives_features
from ppcls_mixformer.weights import checkpoint, download, windows
from ppcls_mixformer.weights.checkpoint import ClassifierFit, read_checkpoint, read_file

logger = logging.getLogger(__name__)

KEYS = ("pretrained_model", "checkpoints")
PUBLISHED_CLASSES = 1000
PUBLISHED_SIDE = 7  # of the attention windows
NOTHING = ("", "none", "null", "false")
ADVICE = "set -o Global.pretrained_model=PATH, or pass --random-weights to go on with random ones"


def check(config, mode, allow_random, optional=False):
    """Refuses weights that are not there, are damaged or do not fit, and a run that has none.

    Training may start from none, and with a new head; other modes need weights for the whole network.
    Paths in `config` lose PaddleClas's optional suffix, and addresses become the path of the download.

    Args:
        allow_random: whether `mode` may go on with random weights.
        optional: whether `mode` can do without weights, since it evaluates an export.

    Raises:
        UserError: names the key, the file and what to do.
    """
    section = config["Global"]
    for key in KEYS:
        section[key] = _path(section.get(key), f"Global.{key}")
    if mode != "train":
        _take_checkpoints(section)
    found = {key: _check_file(_file_of(section[key]), f"Global.{key}") for key in KEYS if section[key]}
    for where, arch in networks(config["Arch"]):
        if found and mode != "train":
            arch["pretrained"] = False  # what Global names takes its place
        _check_pretrained(arch, where)
    _check_pretrained_list(config["Arch"])
    if mode == "train":
        if section["checkpoints"]:
            _told(read_file, section["checkpoints"] + ".pdopt", key="Global.checkpoints")
            states = _told(read_file, section["checkpoints"] + ".pdstates", key="Global.checkpoints")
            training.check_resume(states, config)
    elif allow_random:
        logger.warning("--random-weights: what this network says is no result")
    elif not found and not optional:
        _refuse_none(config, mode)
    whole = mode != "train" and not allow_random
    for key, state in found.items():
        _check_fit(config["Arch"], state, f"Global.{key}", f"{section[key]}.pdparams", whole)
    if not found:
        _check_pretrained_fit(config["Arch"], whole)


# What the config names


def is_nothing(value):
    """Whether `value` is one of the ways to write that there are no weights."""
    return value is None or value is False or str(value).strip().lower() in NOTHING


def _path(value, key):
    """The path that `value` means, without `.pdparams`; None where it means nothing."""
    if is_nothing(value):
        return None
    if not isinstance(value, str):
        hint = "; the published weights are -o Arch.pretrained=True" if value is True else ""
        raise UserError(f"{key} is {value!r}; it takes the path of a checkpoint{hint}")
    if value.startswith(("http://", "https://")):
        value = downloaded(value)
    return value.removesuffix(".pdparams")


def downloaded(address):
    """Path of the checkpoint at `address`, which is downloaded once.

    Raises:
        WeightsError: it cannot be had, or is no checkpoint.
    """

    def check(file):
        if zipfile.is_zipfile(file):
            raise ValueError("it is an archive; unpack it and name the .pdparams file in it")
        checkpoint.check_state_dict(checkpoint.unpack(file, address), address)

    return str(download.fetch(download.Linked(address), fits=check))


def _take_checkpoints(section):
    """Global.checkpoints, which only training reads, becomes the weights of any other mode."""
    if section["checkpoints"] and section["pretrained_model"] not in (None, section["checkpoints"]):
        raise UserError(
            f"Global.pretrained_model is {section['pretrained_model']} and Global.checkpoints "
            f"{section['checkpoints']}: set the one that is not meant to null"
        )
    section["pretrained_model"] = section["pretrained_model"] or section["checkpoints"]
    section["checkpoints"] = None


def _file_of(path):
    """The file that PaddleClas reads for `path`; the folder itself, to be refused, where that is all."""
    file = f"{path}.pdparams"
    return path if os.path.isdir(path) and not os.path.isfile(file) else file


def _check_file(path, key):
    return _told(read_checkpoint, path, key=key)


def _told(reader, *arguments, key):
    """What `reader` returns; the message of its error gets the name of the key."""
    try:
        return reader(*arguments)
    except ValueError as error:
        raise UserError(f"{key}: {error}") from None


def _check_pretrained(arch, where):
    value = arch.get("pretrained")
    if value is None or value is True:
        return
    if is_nothing(value):
        arch["pretrained"] = False
    elif isinstance(value, str):
        if value.startswith(("http://", "https://")):
            arch["pretrained"] = value = downloaded(value)
        _check_file(value, f"{where}.pretrained")
    else:
        raise UserError(f"{where}.pretrained is {value!r}; it takes True, False or the path of a checkpoint")


def _check_pretrained_list(arch):
    """The same of DistillationModel's list, a path or nothing for each of its networks."""
    paths, models = arch.get("pretrained_list"), arch.get("models")
    if not paths:
        return
    if not isinstance(paths, list) or not isinstance(models, list) or len(paths) != len(models):
        raise UserError("Arch.pretrained_list has not one entry for each of Arch.models")
    for index, path in enumerate(paths):
        paths[index] = _path(path, f"Arch.pretrained_list.{index}")
        if paths[index]:
            _check_file(paths[index], f"Arch.pretrained_list.{index}")


def _refuse_none(config, mode):
    """Refuses `mode` unless the section Arch itself names weights for its whole network."""
    arch = config["Arch"]
    listed = arch.get("pretrained_list") or [None] * len(networks(arch))
    inside = all(path or section.get("pretrained") for path, (_, section) in zip(listed, networks(arch)))
    if inside and not _has_random_parts(config, mode):
        return
    near = next((key for key in _other_keys(config) if nearest(key.split(".")[-1], KEYS)), None)
    hint = f" ({near} is no key that {mode} reads)" if near else ""
    raise UserError(f"Global.pretrained_model names no weights, which {mode} needs{hint}: {ADVICE}")


def _has_random_parts(config, mode):
    """Whether RecModel has parts for which no weights are published, and `mode` uses them."""
    arch = config["Arch"]
    return bool(arch.get("Neck") or (arch.get("Head") and not gives_features(config, mode)))


def _other_keys(config):
    """Keys of the top level and of Global that may be a misspelt one of KEYS."""
    yield from (key for key, value in config.items() if not isinstance(value, (dict, list)))
    known = keys.since("Global")
    yield from (f"Global.{key}" for key, value in config["Global"].items() if key not in known and value)


# Whether they fit, before anything is built


def _check_fit(arch, state, key, path, whole):
    """Compares a checkpoint with a MixFormer of the section `arch`; others are compared once they are built.

    Args:
        whole: whether a head of another number of classes is refused, too.
    """
    if arch.get("name") not in zoo.VARIANTS:
        return
    # Parameters of the right shapes, that take no time, no memory and no names from the real ones.
    with unique_name.guard(), paddle.LazyGuard():
        network = MixFormer(**zoo.resolve(arch["name"], **network_arguments(arch)))
    state = network.entries_in(state)
    _told(ClassifierFit().check, network, state, path, key=key)
    own = checkpoint.entries_of(network)
    if whole and ClassifierFit().left_out(own, state):
        _refuse_classes(f"{key}: {path} has", state["head.bias"].shape[0], network.class_num)
    if whole or key == "Global.checkpoints":
        _check_windows(f"{key}: {path} has", windows.side_of(state), windows.side_of(own))


def network_arguments(arch):
    """What the section `arch` hands to the network."""
    return {key: value for key, value in arch.items() if key not in ARCH_KEYS}


def _check_pretrained_fit(arch, whole):
    pretrained = arch.get("pretrained")
    if isinstance(pretrained, str) and pretrained:
        _check_fit(arch, read_checkpoint(pretrained), "Arch.pretrained", pretrained, whole)
    elif pretrained is True and whole and arch.get("name") in zoo.VARIANTS:
        arguments = zoo.resolve(arch["name"], **network_arguments(arch))
        subject = f"Arch.pretrained: the published weights of {arch['name']} have"
        if arguments["class_num"] != PUBLISHED_CLASSES:
            _refuse_classes(subject, PUBLISHED_CLASSES, arguments["class_num"])
        _check_windows(subject, PUBLISHED_SIDE, arguments["window_size"])


def _refuse_classes(subject, there, here):
    raise UserError(
        f"{subject} {there} classes, Arch.class_num is {here}: "
        f"set -o Arch.class_num={there}, or -o Global.pretrained_model to a checkpoint of {here} classes"
    )


def _check_windows(subject, there, here):
    """Refuses windows of another side where no training follows that would adapt the position biases."""
    if there != here:
        raise UserError(
            f"{subject} {there}×{there} windows, Arch.window_size is {here}: set it to {there}, "
            "or train with Arch.pretrained first, which starts from interpolated position biases"
        )


# Whether they are named, and filled the network that was built


def are_named(config):
    """Whether a checked `config` names weights for its network."""
    return bool(config["Global"]["pretrained_model"]) or any(
        arch.get("pretrained") for _, arch in networks(config["Arch"])
    )


@contextlib.contextmanager
def recorded():
    """Yields a list of the tensors that are set while the block runs, as loading a checkpoint does."""
    loaded = []

    def set_value(self, *args, **kwargs):
        loaded.append(self)
        return original(self, *args, **kwargs)

    with replaced(paddle.Tensor, "set_value", set_value) as original:
        yield loaded


def check_loaded(model, loaded, config, mode):
    """Refuses a network with parameters that are still random.

    PaddleClas skips in silence what a checkpoint lacks or has in another shape.

    Args:
        loaded: the tensors that were set, as `recorded` lists them.

    Raises:
        UserError: names the parameters, and the file where there is one.
    """
    ids = {id(tensor) for tensor in loaded}
    unused = ("head.",) if gives_features(config, mode) else ()
    random = [
        name
        for name, parameter in _inner(model).named_parameters()
        if id(parameter) not in ids and not name.startswith(unused)
    ]
    if not random:
        return
    name, path = config["Arch"]["name"], config["Global"]["pretrained_model"]
    if path:
        state = read_checkpoint(path)
        own = {key: value for key, value in _inner(model).state_dict().items() if key in random}
        theirs = {key: value for key, value in state.items() if key in own}
        checkpoint.refuse(checkpoint.compare(own, theirs), f"Global.pretrained_model: {path}.pdparams", name)
    raise UserError(f"{len(random)} parameters of {name} have no weights, such as {random[-1]}: {ADVICE}")


def _inner(model):
    return model._layers if isinstance(model, paddle.DataParallel) else model
