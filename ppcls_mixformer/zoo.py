"""Builders of the seven published variants, and where their weights are."""

import inspect
import os

from ppcls_mixformer.hosting.advice import did_you_mean
from ppcls_mixformer.network.checks import check_classifier, check_dense
from ppcls_mixformer.network.dense import DenseMixFormer
from ppcls_mixformer.network.mixformer import MixFormer
from ppcls_mixformer.variants import VARIANTS, find_variant
from ppcls_mixformer.weights import checkpoint
from ppcls_mixformer.weights.checkpoint import ClassifierFit, TrunkFit
from ppcls_mixformer.weights.download import Published, fetch
from ppcls_mixformer.weights.errors import WeightsError

WEIGHTS_URL = "https://paddle-imagenet-models-name.bj.bcebos.com/dygraph/{}_pretrained.pdparams"
MIRROR = "PPCLS_MIXFORMER_MIRROR"  # environment variable: address of a folder that has the same files


def resolve(name, **overrides):
    """Every argument of `MixFormer` for the variant `name`; `overrides` replace the variant's.

    Raises:
        TypeError: an override that `MixFormer` does not have; the message names the nearest.
        ValueError: no such variant, or arguments that cannot be built together.
    """
    arguments = _merge(name, MixFormer, overrides)
    check_classifier(**arguments)
    return arguments


def resolve_dense(name, drop_path_rate=None, **overrides):
    """As `resolve`, for `DenseMixFormer`; a `drop_path_rate` of None is the variant's."""
    if drop_path_rate is not None:
        overrides["drop_path_rate"] = drop_path_rate
    arguments = _merge(name, DenseMixFormer, overrides)
    check_dense(**arguments)
    return arguments


def _merge(name, network, overrides):
    """Every argument of the class `network`: its defaults, the variant's values and the `overrides`."""
    _, *parameters = inspect.signature(network.__init__).parameters.values()
    arguments = {parameter.name: parameter.default for parameter in parameters}
    arguments.update(find_variant(name).architecture())
    for key in overrides:
        if key not in arguments:
            raise TypeError(f"{key} is not an argument of {name}{did_you_mean(key, arguments)}")
    return {**arguments, **overrides}


def published_weights(name):
    """What is published for `name`, a key of `VARIANTS`.

    Raises:
        ppcls_mixformer.WeightsError: nothing was; the message says what to do instead.
    """
    if not VARIANTS[name].has_weights:
        others = ", ".join(other for other, variant in VARIANTS.items() if variant.has_weights)
        raise WeightsError(
            f"no weights were ever published for {name}: train it (python -m ppcls_mixformer train -c "
            f"{name}), pass pretrained=<path of your checkpoint>, or take one that has them: {others}"
        )
    # The authors published no checksums; record one here once a download has been confirmed.
    return Published(address(name))


def address(name):
    """Where the published weights of `name` are: at the authors', or at the mirror that MIRROR names.

    Raises:
        ppcls_mixformer.WeightsError: the mirror is no address.
    """
    url, mirror = WEIGHTS_URL.format(name), os.environ.get(MIRROR)
    if not mirror:
        return url
    if not mirror.startswith(("http://", "https://")):
        raise WeightsError(
            f"{MIRROR}={mirror} is not an address: it starts with neither https:// nor http://"
        )
    return f"{mirror.rstrip('/')}/{url.rsplit('/', 1)[-1]}"


def load_weights(model, name, pretrained, fit):
    """Loads weights into `model`, of the variant `name`.

    Args:
        pretrained: True for the published ImageNet-1k weights, the path of a classifier's checkpoint, or
            False or None for no weights.
        fit: what `model` takes of them, a `ClassifierFit` or a `TrunkFit`.

    Raises:
        ppcls_mixformer.WeightsError: weights that are not there or do not fit.
    """
    if not pretrained:
        return
    if pretrained is True:
        published = published_weights(name)

        def check(file):
            fit.check(model, checkpoint.unpack(file, published.url), published.url)

        path = fetch(published, fits=check)
    elif isinstance(pretrained, (str, os.PathLike)):
        path = pretrained
    else:
        raise WeightsError(f"pretrained must be True, False or the path of a checkpoint, got {pretrained!r}")
    fit.load(model, checkpoint.read_checkpoint(path), path)


def build(name, pretrained=False, model_class=MixFormer, **overrides):
    """Builds the variant `name`, a key of `VARIANTS`.

    Args:
        pretrained: True for the published ImageNet-1k weights, or the path of a checkpoint.
        model_class: `MixFormer` or a subclass of it.
        overrides: arguments of `MixFormer` that replace the variant's.

    Raises:
        TypeError: an override that `MixFormer` does not have.
        ValueError: arguments that cannot be built together.
        ppcls_mixformer.WeightsError: weights that are not there or do not fit.
    """
    model = model_class(**resolve(name, **overrides))
    load_weights(model, name, pretrained, ClassifierFit())
    return model


def load_dense(model, name, pretrained):
    """Loads a classifier's weights into `model`, a `DenseMixFormer` of the variant `name`.

    Args:
        pretrained: True for the published ImageNet-1k weights, the path of a classifier's checkpoint
            (its head and the norm before it are left out), or None for no weights.

    Raises:
        ppcls_mixformer.WeightsError: weights that are not there or do not fit.
    """
    load_weights(model, name, pretrained, TrunkFit())


def MixFormer_B0(pretrained=False, **overrides):
    """MixFormer-B0, 5.1 M parameters; see `build`."""
    return build("MixFormer_B0", pretrained, **overrides)


def MixFormer_B1(pretrained=False, **overrides):
    """MixFormer-B1, 7.9 M parameters; see `build`."""
    return build("MixFormer_B1", pretrained, **overrides)


def MixFormer_B2(pretrained=False, **overrides):
    """MixFormer-B2, 9.9 M parameters; see `build`."""
    return build("MixFormer_B2", pretrained, **overrides)


def MixFormer_B3(pretrained=False, **overrides):
    """MixFormer-B3, 16.8 M parameters; see `build`."""
    return build("MixFormer_B3", pretrained, **overrides)


def MixFormer_B4(pretrained=False, **overrides):
    """MixFormer-B4, 34.8 M parameters; see `build`."""
    return build("MixFormer_B4", pretrained, **overrides)


def MixFormer_B5(pretrained=False, **overrides):
    """MixFormer-B5, 61.7 M parameters; see `build`."""
    return build("MixFormer_B5", pretrained, **overrides)


def MixFormer_B6(pretrained=False, **overrides):
    """MixFormer-B6, 119.6 M parameters; see `build`."""
    return build("MixFormer_B6", pretrained, **overrides)
