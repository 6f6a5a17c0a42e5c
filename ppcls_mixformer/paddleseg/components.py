"""Checks whether losses, learning rate, optimizer and network can be built of their sections."""

import inspect
import logging
from functools import partial

import paddle
from paddleseg.cvlibs import manager

from ppcls_mixformer.hosting.errors import UserError, check_all, gist, placed
from ppcls_mixformer.paddleseg.builder import Builder
from ppcls_mixformer.paddleseg.sections import UNLABELLED, section_of

logger = logging.getLogger(__name__)


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
    """A Builder that tries whether parts can be built: it says nothing, and has another network."""

    model = None

    def __init__(self, config):
        super().__init__(config)
        self.model = paddle.nn.Linear(1, 1)

    def show_msg(self, *args):
        """Says nothing."""


def check_components(config):
    """Refuses a learning rate, losses, an optimizer and a network that cannot be built of their sections."""
    builder = Trial(config)
    checks = [partial(check_part, builder, name) for name in ("lr_scheduler", "loss")]
    checks.append(partial(check_optimizer, builder))
    for component in components_in(config.dic["model"]):
        checks.append(partial(check_names, builder, component))
    check_all(checks)


def check_part(builder, name):
    """Refuses the section `name` where the part of that name cannot be built."""
    with placed(name):
        try:
            getattr(builder, name)
        except UserError:
            raise
        except Exception as error:  # whatever its constructor raises, in a text of PaddleSeg
            raise UserError(gist(error.__context__ or error)) from None


def check_optimizer(builder):
    """Refuses an optimizer that is not known, or not with its arguments."""
    with placed("optimizer"):
        try:
            _ = builder.optimizer
        except UserError:
            raise
        except Exception as error:  # it may be about the parameters, which are not the network's
            logger.debug("optimizer: %s", error)


def check_names(builder, component):
    """Refuses a part of the network that is not known, or not with its arguments."""
    arguments = {name: value for name, value in component.items() if name != "type"}
    with placed("model"):
        builder.check_arguments(builder.load_component_class(component["type"]), arguments)


def components_in(node):
    """All components in a section, those in others too, such as the losses in a MixedLoss."""
    if isinstance(node, dict):
        yield from [node] * ("type" in node)
        node = list(node.values())
    for value in node if isinstance(node, list) else ():
        yield from components_in(value)
