"""Checks whether network, learning rate and optimizer can be built of their sections, by building them."""

import traceback

import paddle
from paddle.utils import unique_name
from ppdet.core.workspace import create, get_registered_modules, global_config

from ppcls_mixformer.hosting.advice import hint
from ppcls_mixformer.hosting.blame import blame, shown
from ppcls_mixformer.hosting.errors import UserError, gist

RATE = 0.1  # of an optimizer that takes no step


def check_rate():
    """Refuses a learning rate that cannot be made of its section."""
    build("LearningRate", 1)


def check_network(config, mode):
    """Refuses a network, in training also an optimizer, that cannot be built of their sections.

    They are built on the CPU, so that several processes do not share a GPU, and leave the names of
    parameters, under which an optimizer's state is saved, to those that are trained.
    """
    known, backbone, device = get_registered_modules(), config["MixFormer"], paddle.get_device()
    if config.architecture not in known:
        raise UserError(f"architecture: {config.architecture} is not known{hint(config.architecture, known)}")
    pretrained, backbone["pretrained"] = backbone["pretrained"], None
    paddle.set_device("cpu")
    try:
        with unique_name.guard():
            network = build(config.architecture)
            if mode == "train":
                build("OptimizerBuilder", RATE, network)
    finally:
        backbone["pretrained"] = pretrained
        paddle.set_device(device)


def build(name, *arguments):
    """What the section `name` of the config makes, called with `arguments` where there are any.

    Raises:
        UserError: it cannot be made.
    """

    def make():
        made = create(name)
        return made(*arguments) if arguments else made

    try:
        return make()
    except Exception as error:  # modules raise what they like
        section = blamed(error) or name
        keys = global_config[section]
        place = blame(section, keys, make) or f"{section} cannot be made of {shown(dict(keys))}"
        raise UserError(f"{place}: {gist(error)}") from None


def blamed(error):
    """The section whose module PaddleDetection was making when `error` was raised; None where it was none."""
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__) if frame.f_code is create.__code__]
    names = [frame.f_locals.get("name") for frame in frames]
    return next((name for name in reversed(names) if isinstance(global_config.get(name), dict)), None)
