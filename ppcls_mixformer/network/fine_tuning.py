"""What learns, and how fast, where a trained network is trained on."""


def freeze(layers):
    """Lets the parameters of `layers` stay as they are; see `hold` for their statistics."""
    for layer in layers:
        for parameter in layer.parameters():
            parameter.stop_gradient = True


def hold(layers):
    """Puts layers that must not learn into evaluation mode, which `train()` of the whole model undoes."""
    for layer in layers:
        layer.eval()


def decay_learning_rates(groups, decay):
    """Multiplies the learning rate of the last of `groups` by 1, of each one before by `decay` more.

    This is the layer-wise decay of BEiT (arXiv 2106.08254, appendix), by stages.

    Args:
        groups: lists of layers, those nearest to the input first.
    """
    for distance, layers in enumerate(reversed(groups)):
        for layer in layers:
            for parameter in layer.parameters():
                parameter.optimize_attr["learning_rate"] *= decay**distance
