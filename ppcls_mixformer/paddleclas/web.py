"""`export --web`: a folder with a page that classifies pictures in a browser, and all that it needs.

ONNX Runtime for the web comes from npm; the page itself lies in `webpage`.
"""

import hashlib
import importlib.util
import json
import logging
import shutil
from pathlib import Path

import numpy as np

from ppcls_mixformer.hosting import npm
from ppcls_mixformer.hosting.errors import UserError
from ppcls_mixformer.hosting.whole import whole_set
from ppcls_mixformer.predict import transforms
from ppcls_mixformer.predict.description import GATES
from ppcls_mixformer.understand.saliency import STEM_STRIDE

logger = logging.getLogger(__name__)

PAGE = "web/index.html"  # beside the export
MARK = "<!-- written by ppcls_mixformer's export -->"
SOURCES = Path(__file__).with_name("webpage")
VERSION = "?VERSION"  # in the page: browsers keep files by their addresses, and a new page needs its own
# A release with a small WebAssembly, 11 MB: 1.23.2 has 12 and 1.30.0 has 14, with nothing that is used here.
RUNTIME = npm.Package(
    "onnxruntime-web", "1.22.0", "e293551f9d36d003e293d0f2937fee7b3dfdcef76d71d1449b55e2d4157c7aea"
)
RUNTIME_FOLDER = "onnxruntime"
RUNTIME_FILES = {  # by their names in the tarball; not all servers know that .mjs is JavaScript
    "dist/ort.wasm.min.js": "ort.wasm.min.js",
    "dist/ort-wasm-simd-threaded.mjs": "ort-wasm-simd-threaded.js",
    "dist/ort-wasm-simd-threaded.wasm": "ort-wasm-simd-threaded.wasm",
}
LICENCES = ("LICENSE", "ThirdPartyNotices.txt")  # of the same project; the tarball on npm lacks them
LAST = ("NormalizeImage", "ToCHWImage")  # in either order, behind all others
# By backend, what `preprocess.js` calls the interpolations that it knows.
FILTERS = {
    "pil": {"lanczos4": "lanczos", **{name: name for name in transforms.PILLOW if name != "lanczos4"}},
    "cv2": {"bilinear": "linear", "linear": "linear", "nearest": "nearest"},
}


def check(target, described):
    """Refuses a page that cannot be written, before there is any work; fetches ONNX Runtime.

    Args:
        target: folder of the export.
        described: its `Description`; None where it has none.

    Returns:
        Path of the tarball.

    Raises:
        UserError: the page could not prepare pictures, or would replace another one; no network.
    """
    if described is None or described.image_shape is None:
        raise UserError(
            "--web: the page would not know how to prepare pictures; it needs inference.yml and a fixed "
            "Global.image_shape"
        )
    preparation(described.transform_ops)
    folder = (Path(target) / PAGE).parent
    if folder.exists() and not folder.is_dir():
        raise UserError(f"--web: {folder} is no folder; move it, or name another one for the export")
    if (Path(target) / PAGE).exists() and not is_there(target):
        raise UserError(f"--web: {Path(target) / PAGE} is not of an export; move it, or name another folder")
    return npm.fetch(RUNTIME)


def is_there(target):
    """Whether there is a page of ours beside the export in `target`."""
    page = Path(target) / PAGE
    return page.is_file() and MARK in page.read_text(encoding="utf-8", errors="replace")


def preparation(transform_ops):
    """What the page does to a picture: `(steps, scaling)`, for `preprocess.js`.

    Args:
        transform_ops: of a `Description`.

    Raises:
        UserError: something that it cannot do; names it.
    """
    steps, scaling, done = [], {"scale": 1.0, "mean": [0.0] * 3, "std": [1.0] * 3}, []
    for entry, built in zip(transform_ops, transforms.build(transform_ops, "--web")):
        ((name, arguments),) = entry.items()
        if name in LAST and name not in done:
            done.append(name)
            if name == "NormalizeImage":
                scaling = {key: np.ravel(getattr(built, key)).tolist() for key in scaling}
                scaling["scale"] = scaling["scale"][0]
        elif done:
            raise UserError(f"--web: the page does no {name} behind {done[-1]}")
        elif name == "ResizeImage":
            steps.append({"name": name, **_resize(built, arguments)})
        else:
            value = {"value": built.value} if name == "PadImage" else {}
            steps.append({"name": name, "size": list(built.size), **value})
    if "ToCHWImage" not in done:
        raise UserError("--web: the transforms have no ToCHWImage, which the network needs")
    return steps, scaling


def _resize(built, arguments):
    backend = str(arguments.get("backend", "cv2")).lower()
    default = "bicubic" if backend == "pil" else "linear"
    interpolation = str(arguments.get("interpolation") or default).lower()
    if interpolation not in FILTERS[backend]:
        raise UserError(
            f"--web: the page does not resize by {interpolation} of {backend}, but by "
            f"{', '.join(FILTERS['cv2'])} of cv2 and {', '.join(FILTERS['pil'])} of pil"
        )
    size = {"size": list(built.size)} if built.size else {"resize_short": built.resize_short}
    return {**size, "backend": backend, "filter": FILTERS[backend][interpolation]}


def write(target, model, described, outputs, tarball):
    """Writes the page and all that it needs beside the export in `target`, as a set; other files there stay.

    Args:
        model: path of the ONNX file.
        described: the `Description` of the export.
        outputs: names of what the model gives, in their order.
        tarball: that `check` has returned.
    """
    page = Path(target) / PAGE
    folder, runtime = page.parent, page.parent / RUNTIME_FOLDER
    with whole_set(folder, [page.name]) as part:
        for name, content in zip(RUNTIME_FILES.values(), npm.read(tarball, RUNTIME_FILES)):
            part(runtime / name).write_bytes(content)
        for name in LICENCES:
            shutil.copyfile(_of_onnxruntime(name), part(runtime / name))
        shutil.copyfile(model, part(folder / "model.onnx"))
        version = _version()
        settings = {"page": version, **_settings(described, outputs)}
        text = json.dumps(settings, ensure_ascii=False, indent=1)
        part(folder / "model.json").write_text(text, encoding="utf-8")
        for path in sorted(SOURCES.iterdir(), key=lambda path: path.name == page.name):
            text = path.read_text(encoding="utf-8").replace(VERSION, f"?{version}")
            part(folder / path.name).write_text(text, encoding="utf-8")


def _version():
    """What tells the page's own files and its runtime from those of other releases of this package."""
    digest = hashlib.sha256(RUNTIME.sha256.encode())
    for path in sorted(SOURCES.iterdir()):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def _of_onnxruntime(name):
    """Path of a file in the installed package of ONNX Runtime, without which no export is converted."""
    return Path(importlib.util.find_spec("onnxruntime").origin).with_name(name)


def _settings(described, outputs):
    steps, scaling = preparation(described.transform_ops)
    stages = [int(name[len(GATES) :]) if name.startswith(GATES) else None for name in outputs]
    return {
        "name": described.model_name or "Classifier",
        "file": "model.onnx",
        "outputs": outputs,
        "strides": [stage and STEM_STRIDE * 2 ** (stage - 1) for stage in stages],
        "shape": described.image_shape,
        "steps": steps,
        "scaling": scaling,
        "label_names": described.label_names,
        "topk": described.topk,
        "threshold": described.threshold,
    }
