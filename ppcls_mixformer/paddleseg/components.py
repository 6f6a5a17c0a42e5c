"""Checks whether losses, learning rate, optimizer and network can be built of their sections."""

import contextlib
import inspect
from functools import partial

from paddle.utils import unique_name
from paddleseg.cvlibs import manager
from paddleseg.utils import logger as paddleseg_logger

from ppcls_mixformer.hosting.blame import blame
from ppcls_mixformer.hosting.errors import UserError, check_all, gist, placed
from ppcls_mixformer.hosting.patches import replaced
from ppcls_mixformer.paddleseg.builder import Builder
from ppcls_mixformer.paddleseg.sections import UNLABELLED, classes_in, section_of

ERRORS = 0  # PaddleSeg's log level for them alone
RATE = 0.1  # of an optimizer that takes no step


def check_losses(config):
    """Refuses class weights of a loss that are not one number of 0 or more for each class.

    And a loss that takes another number for unlabelled than the data.
    """
    classes = config.dic["model"].get("num_classes")
    unlabelled = section_of(config, "train_dataset").get("ignore_index", UNLABELLED)
    losses = [
        (name, loss) for name in ("loss", "distill_loss") for loss in components_in(config.dic.get(name))
    ]
    unlabelled_in = [partial(check_unlabelled, name, loss, unlabelled) for name, loss in losses]
    check_all([*unlabelled_in, *(partial(check_weights, name, loss, classes) for name, loss in losses)])


def check_unlabelled(name, loss, unlabelled):
    """Refuses a loss of the section `name` that would learn `unlabelled`, the number for it in the data."""
    found = manager.LOSSES.components_dict.get(loss["type"])
    if found is None or "ignore_index" not in inspect.signature(found).parameters:
        return
    ignored = loss.get("ignore_index", UNLABELLED)
    if ignored != unlabelled:
        raise UserError(
            f"{name}: {loss['type']} leaves out {ignored} (ignore_index), but in train_dataset {unlabelled} "
            "is unlabelled; set ignore_index to the same number in both"
        )


def check_weights(name, loss, classes):
    """Refuses class weights of a loss of the section `name` that are not one number for each class."""
    weights = loss.get("weight")
    if not isinstance(weights, (list, tuple)):
        return
    if classes and len(weights) != classes:
        raise UserError(
            f"{name}: {loss['type']} has {len(weights)} class weights (weight), but the data have "
            f"{classes} classes"
        )
    if not all(isinstance(w, (int, float)) and 0 <= w < float("inf") for w in weights):
        raise UserError(f"{name}: class weights must be numbers of 0 or more, got {weights}")


class Trial(Builder):
    """A Builder that tries whether parts can be built: it says nothing, and loads no weights."""

    def show_msg(self, *args):
        """Says nothing."""

    def build_component(self, cfg):
        """Builds a part, a backbone with the weights with which it begins."""
        return super().build_component({key: value for key, value in cfg.items() if key != "pretrained"})


def check_components(config):
    """Refuses a learning rate, losses, a network and an optimizer that cannot be built of their sections.

    What is built is thrown away, and leaves the names of parameters to what is built for the run.
    """
    with trying(config) as builder:
        checks = [partial(check_part, builder, name) for name in ("lr_scheduler", "loss")]
        check_all([*checks, partial(check_network, builder)])


def check_model(config):
    """Refuses a network that cannot be built of its section; no optimizer is needed."""
    with trying(config) as builder:
        build_model(builder)


@contextlib.contextmanager
def trying(config):
    """Yields a `Trial`, which says nothing in the block and leaves names of parameters as they are."""
    builder = Trial(config)
    with placed("train_dataset"):
        _ = builder.train_dataset_class  # which networks and losses ask for the number of classes
    with unique_name.guard(), replaced(paddleseg_logger, "log_level", ERRORS):
        yield builder


def build_model(builder):
    """Tries the network, unless it has another number of classes than the data, which their checks say.

    Returns:
        whether it was tried.
    """
    config = builder.config.dic
    classes = [classes_in(config["train_dataset"]), config["model"].get("num_classes")]
    if None in classes or classes[0] == classes[1]:
        check_part(builder, "model")
        return True
    return False


def check_network(builder):
    """Refuses a network, then an optimizer for it, that cannot be built; first names in their sections."""
    config = builder.config.dic
    parts = [(name, part) for name in ("optimizer", "model") for part in components_in(config[name])]
    check_all(partial(check_names, builder, *part) for part in parts)
    if build_model(builder):
        builder.lr_scheduler = RATE  # the config's own may be wrong, which is said elsewhere
        check_part(builder, "optimizer")


def check_names(builder, name, component):
    """Refuses a component of the section `name` that is not known, or not with its arguments."""
    arguments = {key: value for key, value in component.items() if key != "type"}
    with placed(name):
        builder.check_arguments(builder.load_component_class(component["type"]), arguments)


def check_part(builder, name):
    """Refuses the section `name` where the part of that name cannot be built."""

    def build():
        getattr(builder, name)

    try:
        build()
    except Exception as error:  # whatever its constructor raises, in a text of PaddleSeg
        what = error if isinstance(error, UserError) else UserError(gist(error.__context__ or error))
        with placed(blame(name, builder.config.dic[name], build) or name):
            raise what from None


def components_in(node):
    """All components in a section, those in others too, such as the losses in a MixedLoss."""
    if isinstance(node, dict):
        yield from [node] * ("type" in node)
        node = list(node.values())
    for value in node if isinstance(node, list) else ():
        yield from components_in(value)
