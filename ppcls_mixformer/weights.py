"""Checkpoints: where published ones live, how they are fetched, checked and loaded."""

import hashlib
import logging
import os
import tempfile
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

import paddle
from paddle import nn
from tqdm import tqdm

logger = logging.getLogger(__name__)

CACHE = Path("~/.cache/paddle/hapi/weights")
TIMEOUT = 10  # seconds without an answer or without a byte


class WeightsError(ValueError):
    """Weights that are not published, cannot be fetched, are damaged or do not fit the model."""


@dataclass(frozen=True)
class Pretrained:
    """Published weights of one model; `url` and `sha256` are None where none are known."""

    model: str
    url: str
    sha256: str


def load_pretrained(model, published, pretrained):
    """Loads published weights (`pretrained` is True) or the checkpoint at a path into `model`.

    Raises:
        WeightsError: see there.
    """
    if not isinstance(pretrained, (bool, str, os.PathLike)):
        raise WeightsError(f"pretrained must be True, False or the path of a checkpoint, got {pretrained!r}")
    path = fetch_published(published) if pretrained is True else Path(pretrained)
    load_into(model, read_checkpoint(path), path)


def fetch_published(published):
    """Path of the published checkpoint in Paddle's cache, downloaded when it is not there."""
    if published.url is None:
        raise WeightsError(
            f"no weights were ever published for {published.model}: train it (configs/ImageNet/"
            f"MixFormer/{published.model}.yaml), pass pretrained=<path of your checkpoint>, "
            "or take a variant that has them (B1, B2, B3, B4, B6)"
        )
    path = CACHE.expanduser() / published.url.rsplit("/", 1)[-1]
    if not path.exists():
        download(published.url, path, published.sha256)
    return path


def download(url, path, sha256=None):
    """Fetches `url` to `path` with a progress bar; `path` appears only once it is complete.

    Raises:
        WeightsError: unreachable, cut short, or not the file of that SHA-256.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, part = tempfile.mkstemp(dir=path.parent, prefix=path.name, suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            digest = _stream(url, file, path.name)
        if sha256 and digest != sha256:
            raise OSError(f"its SHA-256 is {digest}, not {sha256}")
        os.replace(part, path)
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        raise WeightsError(
            f"cannot download {url}: {reason}. Fetch it by other means and put it at {path}, "
            "or pass its path as pretrained"
        ) from None
    finally:
        if os.path.exists(part):
            os.remove(part)


def _stream(url, file, label):
    """Copies the body of `url` into `file`; returns its SHA-256."""
    digest = hashlib.sha256()
    with urllib.request.urlopen(url, timeout=TIMEOUT) as response:
        length = response.headers.get("Content-Length")
        total = int(length) if length else None
        with tqdm(total=total, unit="B", unit_scale=True, desc=label) as bar:
            while chunk := response.read(1 << 20):
                file.write(chunk)
                digest.update(chunk)
                bar.update(len(chunk))
            if total is not None and bar.n != total:
                raise OSError(f"got {bar.n} of {total} bytes")
    return digest.hexdigest()


def read_checkpoint(path):
    """State dict in the `.pdparams` file at `path` (the suffix may be left out)."""
    state = read_file(path)
    if not isinstance(state, dict) or not state:
        raise WeightsError(f"{path} holds no state dict, but a {type(state).__name__}")
    return state


def read_file(path):
    """What Paddle saved in the file at `path`; `.pdparams` may be left out."""
    path = Path(path).expanduser()
    if not path.is_file():
        path = path.with_name(path.name + ".pdparams")
    if not path.is_file():
        raise WeightsError(f"checkpoint not found: {path}")
    try:
        return paddle.load(str(path))
    except Exception as error:  # whatever pickle and Paddle make of a damaged file
        raise WeightsError(
            f"{path} is damaged or not a Paddle checkpoint "
            f"({type(error).__name__}: {first_line(error)}); delete it and fetch or train it again"
        ) from None


def first_line(error):
    """First line of an error's text, or its type where it has none."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def load_into(model, state, source):
    """Loads every entry of `state` into `model`, strictly; a head of other classes is left out.

    `source` names the origin of `state` in messages.

    Raises:
        WeightsError: names or shapes differ elsewhere than in the head.
    """
    own = {name: list(value.shape) for name, value in model.state_dict().items()}
    shapes = {name: list(value.shape) for name, value in state.items() if hasattr(value, "shape")}
    wrong = [n for n in own if n in shapes and shapes[n] != own[n]]
    head = [n for n in wrong if n in ("head.weight", "head.bias")]
    problems = [
        *(f"{n} is missing" for n in own if n not in shapes),
        *(f"{n} is unknown" for n in shapes if n not in own),
        *(f"{n} is {shapes[n]}, not {own[n]}" for n in wrong if n not in head),
    ]
    if problems:
        more = f" and {len(problems) - 3} more" if len(problems) > 3 else ""
        raise WeightsError(
            f"{source} is not a checkpoint of this {type(model).__name__} "
            f"(embed_dim {model.stage_dims[0]}, {len(own)} entries): "
            f"{'; '.join(problems[:3])}{more}"
        )
    nn.Layer.set_state_dict(model, {n: v for n, v in state.items() if n not in head})
    if head:
        logger.warning(
            "%s: loaded all but the head, which has %d classes there and %d here",
            source,
            shapes["head.bias"][0] if "head.bias" in shapes else shapes["head.weight"][1],
            model.class_num,
        )
