"""Checkpoint files: found, read, compared with a network and loaded into it, strictly."""

import logging
import os
from abc import ABC, abstractmethod
from pathlib import Path

import numpy as np
import paddle

from ppcls_mixformer.hosting.errors import placed
from ppcls_mixformer.hosting.whole import settle
from ppcls_mixformer.weights import pickles, tensors, windows
from ppcls_mixformer.weights.errors import WeightsError

logger = logging.getLogger(__name__)

SHOWN = 3  # problems of a checkpoint that a message names before it counts the rest


# Files


def find_file(path):
    """The file that `path` means, with or without `.pdparams`, `~` being the home folder.

    A save that was cut short there is finished first.

    Raises:
        WeightsError: there is none.
    """
    path = os.path.expanduser(path)
    settle(Path(path).parent)
    for candidate in (path, f"{path}.pdparams"):
        if os.path.isfile(candidate):
            return Path(candidate)
    if os.path.isdir(path):
        inside = ", ".join(sorted(file.name for file in Path(path).glob("*.pdparams")))
        raise WeightsError(
            f"{path} is a folder; name a checkpoint in it ({inside or 'it holds no .pdparams'})"
        )
    raise WeightsError(f"checkpoint not found: {path}")


def check_start(key, pretrained):
    """Refuses the path, in a config's `key`, of a checkpoint to start from that is not there, and no path."""
    if isinstance(pretrained, str):
        with placed(key):
            find_file(pretrained)
    elif pretrained and pretrained is not True:
        raise WeightsError(f"{key}: it is {pretrained}, neither true, false nor the path of a checkpoint")


def read_checkpoint(path):
    """State dict in the `.pdparams` file at `path` (the suffix may be left out), or in a `.safetensors` file.

    Raises:
        WeightsError: no such file, damaged, or something else than a state dict.
    """
    state = read_file(path)
    check_state_dict(state, path)
    return state


def read_file(path):
    """What is in the checkpoint file at `path`; `.pdparams` may be left out.

    Raises:
        WeightsError: no such file, or damaged.
    """
    path = find_file(path)
    try:
        return unpack(path)
    except WeightsError:  # which is a ValueError too, and names the file
        raise
    except ValueError as error:
        raise WeightsError(
            f"{path}: {error}; if the file is damaged, delete it and fetch or train it again"
        ) from None


def unpack(path, source=None):
    """What is in the checkpoint file at exactly `path`, tensors as arrays; nothing in it is run.

    Args:
        source: the file's name in messages, if it is not `path`.

    Raises:
        WeightsError: it holds something that Paddle never writes.
        ValueError: damaged, or something else.
    """
    if Path(path).suffix == tensors.SUFFIX:
        return tensors.read(path)
    try:
        with open(path, "rb") as file:
            return _join(pickles.unpickle(file))
    except pickles.NotOfPaddle as error:
        raise WeightsError(f"{source or path} {error}") from None
    except Exception as error:  # whatever pickle makes of a damaged file
        raise ValueError(f"not a whole Paddle checkpoint ({type(error).__name__})") from None


def _join(content):
    """Undoes what `paddle.save` does to a dict: takes names off tensors, joins those that it had split."""
    if not isinstance(content, dict):
        return content
    for name, parts in content.pop("UnpackBigParamInfor@@", {}).items():
        slices = [content.pop(part) for part in parts["slices"]]
        content[name] = np.concatenate(slices).reshape(parts["OriginShape"])
    content.pop("StructuredToParameterName@@", None)
    return {key: _without_name(value) for key, value in content.items()}


def _without_name(value):
    is_named = isinstance(value, tuple) and len(value) == 2 and isinstance(value[1], np.ndarray)
    return value[1] if is_named else value


# State dicts


def check_state_dict(state, source):
    """Raises a WeightsError unless `state` is a dict of tensors of numbers; `source` is its name there."""
    if not isinstance(state, dict):
        raise WeightsError(f"{source} holds no state dict, but a {type(state).__name__}")
    others = [name for name, value in state.items() if not hasattr(value, "shape")]
    if others:
        nested = [name for name in others if isinstance(state[name], dict)]
        raise WeightsError(
            f"{source} holds no state dict: no tensors under {', '.join(map(str, others[:SHOWN]))}"
            + (f"; save what is under {nested[0]!r} alone" if nested else "")
        )
    bad = [name for name, value in state.items() if not _is_finite(value)]
    if bad:
        more = f" and {len(bad) - 1} more entries" if len(bad) > 1 else ""
        raise WeightsError(
            f"{source} holds NaN or infinite numbers, in {bad[0]}{more}: it is of a run that diverged; "
            "take an earlier checkpoint"
        )


def _is_finite(value):
    """Whether an array holds numbers only; tensors, which are not of a file, are not looked at."""
    return not isinstance(value, np.ndarray) or value.dtype.kind != "f" or bool(np.isfinite(value).all())


def compare(own, theirs):
    """How the state dict `theirs` differs from a network's `own`: a list of `NAME is …`, empty if it fits."""
    expected, found = shapes(own), shapes(theirs)
    return [
        *(f"{name} is missing" for name in expected if name not in found),
        *(f"{name} is unknown" for name in found if name not in expected),
        *(
            f"{name} is {found[name]}, not {shape}"
            for name, shape in expected.items()
            if found.get(name, shape) != shape
        ),
    ]


def shapes(state):
    """`{name: shape}` of the tensors in `state`."""
    return {name: list(value.shape) for name, value in state.items()}


def refuse(problems, source, network):
    """Raises a WeightsError of one line where there are `problems`, as `compare` lists them.

    Args:
        source: where the state dict is from.
        network: what it does not fit; the message says `this NETWORK`.
    """
    if problems:
        more = f" and {len(problems) - SHOWN} more" if len(problems) > SHOWN else ""
        raise WeightsError(
            f"{source} is not a checkpoint of this {network}: {'; '.join(problems[:SHOWN])}{more}"
        )


# A classifier's checkpoint in a network


class Fit(ABC):
    """What a network takes of a classifier's checkpoint; all of that must fit, and is loaded.

    Windows of another side fit, since their position biases are interpolated. A state dict's `source` is its
    name in messages.
    """

    @abstractmethod
    def left_out(self, own, theirs):
        """Names that are neither compared nor loaded, of the network's and the checkpoint's entries."""

    @abstractmethod
    def report(self, own, theirs, source):
        """Says what was loaded, where it was not everything."""

    def check(self, model, state, source):
        """Raises a WeightsError unless `state` is a state dict that fits `model`."""
        self._entries_to_load(model, state, source)

    def load(self, model, state, source):
        """Loads `state` into `model`, cast to the model's types.

        Raises:
            WeightsError: it does not fit; nothing was loaded.
        """
        own = entries_of(model)
        before, side = windows.side_of(state), windows.side_of(own)
        for entry, value in self._entries_to_load(model, state, source).values():
            value = value if isinstance(value, paddle.Tensor) else paddle.to_tensor(value)
            entry.set_value(value.astype(entry.dtype))
        self.report(own, state, source)
        if before != side:
            logger.warning(
                "%s: position biases of %d×%d windows were interpolated to %d×%d; they have to be trained",
                *(source, before, before, side, side),
            )

    def _entries_to_load(self, model, state, source):
        """`{name: (entry of the network, value)}` of all that is loaded."""
        check_state_dict(state, source)
        everything = entries_of(model)
        state = windows.resized(everything, state)
        left = set(self.left_out(everything, state))
        own = {name: value for name, value in everything.items() if name not in left}
        theirs = {name: value for name, value in state.items() if name not in left}
        network = f"{type(model).__name__} (embed_dim {model.stage_dims[0]}, {len(own)} entries)"
        refuse(compare(own, theirs) or other_layouts(own, theirs), source, network)
        return {name: (entry, theirs[name]) for name, entry in own.items()}


class ClassifierFit(Fit):
    """Everything, but for a head of another number of classes."""

    HEAD = ("head.weight", "head.bias")

    def left_out(self, own, theirs):
        if any(name not in own or name not in theirs for name in self.HEAD):
            return ()
        features, classes = own["head.weight"].shape
        weight, bias = (list(theirs[name].shape) for name in self.HEAD)
        other_classes = len(bias) == 1 and bias != [classes] and weight == [features, *bias]
        return self.HEAD if other_classes else ()

    def report(self, own, theirs, source):
        if self.left_out(own, theirs):
            there, here = theirs["head.bias"].shape[0], own["head.bias"].shape[0]
            logger.warning(
                "%s: loaded all but the head, which has %d classes there and %d here", source, there, here
            )


class TrunkFit(Fit):
    """Stem and stages, for the backbone of a dense predictor."""

    PARTS = ("patch_embed", "layers")

    def left_out(self, own, theirs):
        return [name for name in (*own, *theirs) if name.split(".")[0] not in self.PARTS]

    def report(self, own, theirs, source):
        left = self.left_out({}, theirs)
        logger.info(
            "%s: used the %d entries of %s, left %s; the norms of the output maps start from scratch",
            source,
            len(theirs) - len(left),
            " and ".join(self.PARTS),
            ", ".join(sorted({name.split(".")[0] for name in left})) or "nothing",
        )


def entries_of(model):
    """The model's own parameters and buffers by name, not what its hooks would save in their place."""
    return model.state_dict(use_hook=False)


def other_layouts(own, theirs):
    """The integer entries, all of them tables of positions in a window, that differ in value."""
    return [
        f"{name} is that of another window layout"
        for name, value in own.items()
        if not value.is_floating_point() and not np.array_equal(np.asarray(theirs[name]), value.numpy())
    ]
