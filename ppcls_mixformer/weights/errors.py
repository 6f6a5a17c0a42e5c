"""What is said of weights that cannot be had or used."""

from ppcls_mixformer.hosting.errors import UserError


class WeightsError(UserError, ValueError):
    """Weights that are not published, cannot be fetched, are damaged or do not fit the network."""
