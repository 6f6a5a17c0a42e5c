"""Checkpoints: where published ones live, how they are fetched, checked and loaded."""

import hashlib
import http.client
import logging
import os
import queue
import threading
import urllib.request
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Optional

import numpy as np
import paddle
from tqdm import tqdm

from ppcls_mixformer.hosting.errors import UserError, first_line

logger = logging.getLogger(__name__)

CACHE = Path("~/.cache/paddle/hapi/weights")  # Paddle's own
TIMEOUT = 10  # seconds to the answer, and then without a byte


class WeightsError(UserError, ValueError):
    """Weights that are not published, cannot be fetched, are damaged or do not fit the model."""


@dataclass(frozen=True)
class Pretrained:
    """Published weights of one model; `url` and `sha256` are None where none are known."""

    model: str
    url: Optional[str]
    sha256: Optional[str]


def load_pretrained(model, published, pretrained, load):
    """Loads published weights (`pretrained` is True) or the checkpoint at a path into `model`.

    `load` is `load_into` for a classifier, `load_trunk` for the backbone of a dense predictor.

    Raises:
        WeightsError: see there.
    """
    if pretrained is True:
        path, sha256 = fetch_published(model, published), published.sha256
    elif isinstance(pretrained, (str, os.PathLike)):
        path, sha256 = pretrained, None
    else:
        raise WeightsError(f"pretrained must be True, False or the path of a checkpoint, got {pretrained!r}")
    load(model, read_checkpoint(path, sha256), path)


def fetch_published(model, published):
    """Path of the published checkpoint in Paddle's cache, downloaded when it is not there.

    Raises:
        WeightsError: never published, cannot be downloaded, or not a checkpoint of `model`.
    """
    if published.url is None:
        raise WeightsError(
            f"no weights were ever published for {published.model}: train it (configs/ImageNet/"
            f"MixFormer/{published.model}.yaml), pass pretrained=<path of your checkpoint>, "
            "or take a variant that has them (B1, B2, B3, B4, B6)"
        )
    path = CACHE.expanduser() / published.url.rsplit("/", 1)[-1]
    if not path.exists():
        download(published.url, path, published.sha256, lambda state: check_fit(model, state, published.url))
    return path


def download(url, path, sha256, check):
    """Fetches the checkpoint at `url` to `path`, which appears only once it is complete and checked.

    Processes that do the same at once do no harm: each has a file of its own until then.

    Args:
        sha256: what the file must hash to, or None.
        check: called with the state dict; raises a WeightsError to refuse it.

    Raises:
        WeightsError: unreachable, cut short, unreadable, another SHA-256, refused, or no room for it.
    """
    part = path.with_name(f"{path.name}.{uuid.uuid4().hex}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(part, "xb") as file:
            _stream(url, file, path.name)
        check(_load(part, sha256))
        os.replace(part, path)
    except WeightsError:
        raise
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise WeightsError(
            f"cannot download {url}: {first_line(error)}. Fetch it by other means and put it at {path}, "
            "or pass its path as pretrained"
        ) from None
    finally:
        if os.path.exists(part):
            os.remove(part)


def _stream(url, file, label):
    """Copies the body of `url` into `file` under a progress bar."""
    with _open(url) as response:
        total = response.length  # None where the server does not say
        with tqdm(total=total, unit="B", unit_scale=True, desc=label) as bar:
            while chunk := response.read1(1 << 20):
                file.write(chunk)
                bar.update(len(chunk))
    if total is not None and bar.n != total:
        raise OSError(f"the connection ended after {bar.n} of {total} bytes")


def _open(url):
    """The response to `url`, within TIMEOUT seconds in all.

    In a thread, since urllib's timeout starts anew with every address, redirect and byte.
    """
    answers = queue.Queue()

    def ask():
        try:
            answers.put(urllib.request.urlopen(url, timeout=TIMEOUT))
        except Exception as error:
            answers.put(error)

    threading.Thread(target=ask, daemon=True).start()
    try:
        answer = answers.get(timeout=TIMEOUT)
    except queue.Empty:
        raise OSError(f"no answer within {TIMEOUT} seconds") from None
    if isinstance(answer, Exception):
        raise answer
    return answer


def read_checkpoint(path, sha256=None):
    """State dict in the `.pdparams` file at `path` (the suffix may be left out).

    Raises:
        WeightsError: no such file, damaged, another SHA-256, or something else than a state dict.
    """
    state = read_file(path, sha256)
    check_state_dict(state, path)
    return state


def read_file(path, sha256=None):
    """What Paddle saved in the file at `path`; `.pdparams` may be left out.

    Raises:
        WeightsError: no such file, damaged, or another SHA-256.
    """
    path = find_file(path)
    try:
        return _load(path, sha256)
    except ValueError as error:
        raise WeightsError(
            f"{path}: {error}; if the file is damaged, delete it and fetch or train it again"
        ) from None


def find_file(path):
    """The file that `path` means, with or without `.pdparams`, `~` being the home folder.

    Raises:
        WeightsError: there is none.
    """
    path = os.path.expanduser(path)
    for candidate in (path, f"{path}.pdparams"):
        if os.path.isfile(candidate):
            return Path(candidate)
    if os.path.isdir(path):
        inside = ", ".join(sorted(file.name for file in Path(path).glob("*.pdparams")))
        raise WeightsError(
            f"{path} is a folder; name a checkpoint in it ({inside or 'it holds no .pdparams'})"
        )
    raise WeightsError(f"checkpoint not found: {path}")


def _load(path, sha256):
    """What Paddle saved in the file at `path`; a ValueError says why it cannot be had."""
    digest = hashlib.sha256(path.read_bytes()).hexdigest() if sha256 else None
    if digest != sha256:
        raise ValueError(f"the file has SHA-256 {digest}, not {sha256}")
    try:
        return paddle.load(str(path))
    except Exception as error:  # whatever pickle and Paddle make of a damaged file
        raise ValueError(f"not a whole Paddle checkpoint ({type(error).__name__})") from None


def check_state_dict(state, source):
    """Raises a WeightsError unless `state` is a dict of tensors; `source` is its name in the message."""
    if not isinstance(state, dict):
        raise WeightsError(f"{source} holds no state dict, but a {type(state).__name__}")
    others = [name for name, value in state.items() if not hasattr(value, "shape")]
    if others:
        nested = [name for name in others if isinstance(state[name], dict)]
        raise WeightsError(
            f"{source} holds no state dict: no tensors under {', '.join(map(str, others[:3]))}"
            + (f"; save what is under {nested[0]!r} alone" if nested else "")
        )


def check_fit(model, state, source):
    """Raises a WeightsError unless `state` is a state dict of `model`; its head may have other classes.

    `source` names the origin of `state` in the message.
    """
    check_state_dict(state, source)
    own = model.state_dict()
    _refuse(_misfits(own, state) or _other_layouts(own, state), model, len(own), source)


def _refuse(problems, model, count, source):
    if problems:
        more = f" and {len(problems) - 3} more" if len(problems) > 3 else ""
        raise WeightsError(
            f"{source} is not a checkpoint of this {type(model).__name__} "
            f"(embed_dim {model.stage_dims[0]}, {count} entries): {'; '.join(problems[:3])}{more}"
        )


def _misfits(own, state):
    """What is missing in `state`, unknown, or of another shape than in `own`, but for the classes."""
    shapes = {name: list(value.shape) for name, value in own.items()}
    theirs = {name: list(value.shape) for name, value in state.items()}
    if "head.bias" in shapes and len(theirs.get("head.bias", [])) == 1:
        shapes["head.bias"] = theirs["head.bias"]
        shapes["head.weight"][1] = theirs["head.bias"][0]
    return [
        *(f"{name} is missing" for name in shapes if name not in theirs),
        *(f"{name} is unknown" for name in theirs if name not in shapes),
        *(
            f"{name} is {theirs[name]}, not {shape}"
            for name, shape in shapes.items()
            if theirs.get(name, shape) != shape
        ),
    ]


def _other_layouts(own, state):
    """The integer entries, all of them tables of positions in a window, that differ in value."""
    return [
        f"{name} is that of another window layout"
        for name, value in own.items()
        if not value.is_floating_point() and not np.array_equal(np.asarray(state[name]), value.numpy())
    ]


def load_into(model, state, source):
    """Loads every entry of `state` into `model`, strictly; a head of other classes is left out.

    Values are cast to the model's types. `source` names the origin of `state` in messages.

    Raises:
        WeightsError: not a state dict of this model, elsewhere than in the head.
    """
    check_fit(model, state, source)
    for name, entry in model.state_dict(use_hook=False).items():
        value = state[name]
        if list(value.shape) == list(entry.shape):
            assign(entry, value)
        elif name == "head.bias":
            there, here = value.shape[0], entry.shape[0]
            logger.warning(
                "%s: loaded all but the head, which has %d classes there and %d here", source, there, here
            )


def assign(entry, value):
    """Gives a parameter or buffer the value of a checkpoint's, cast to its own type."""
    value = value if isinstance(value, paddle.Tensor) else paddle.to_tensor(value)
    entry.set_value(value.astype(entry.dtype))


def load_trunk(model, state, source):
    """Loads stem and stages of the classifier's checkpoint `state` into `model`, strictly.

    Says what was used and what was left. `source` names the origin of `state` in messages.

    Raises:
        WeightsError: not a state dict, or its stem or stages are not those of this model.
    """
    check_state_dict(state, source)
    own = {k: v for k, v in model.state_dict(use_hook=False).items() if _in_trunk(k)}
    theirs = {k: v for k, v in state.items() if _in_trunk(k)}
    _refuse(_misfits(own, theirs) or _other_layouts(own, theirs), model, len(own), source)
    for name, entry in own.items():
        assign(entry, theirs[name])
    left = sorted({name.split(".")[0] for name in state if not _in_trunk(name)})
    logger.info(
        "%s: used the %d entries of patch_embed and layers, left %s; norms of the maps start anew",
        source,
        len(own),
        ", ".join(left) or "nothing",
    )


def _in_trunk(name):
    return name.split(".")[0] in ("patch_embed", "layers")
