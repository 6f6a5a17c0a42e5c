"""The command `serve`: PaddleX's HTTP service for one export, with bounds on what a request may hold.

Routes, schemas and the queue in front of the network are PaddleX's. Its service alone (3.7.2) reads half
pictures, fetches every address, takes requests of any size, and answers what is wrong with status 500.
"""

import argparse
import asyncio
import base64
import binascii
import contextlib
import io
import math
import os
import re
import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

from ppcls_mixformer.hosting.errors import UserError, gist
from ppcls_mixformer.hosting.patches import replaced, shadow_module
from ppcls_mixformer.hosting.pictures import NO_PICTURE, Unreadable, imdecode
from ppcls_mixformer.paddlex import ENGINES, batches, bounds, register, runners, schemas
from ppcls_mixformer.paddlex.bounds import answer
from ppcls_mixformer.predict import description, programs, sources, transforms
from ppcls_mixformer.variants import VARIANTS

LARGEST_PICTURE = 25  # megapixels
TRIED_SIDE = 256  # pixels of the picture that is classified at the start, at least
# Of pictures, Pillow's names; others, such as icons, hold pictures of another size than they say, or are
# decoded when they are opened.
FORMATS = ("JPEG", "PNG", "BMP", "WEBP", "TIFF", "GIF", "PPM")
IN_COLOR = 1  # cv2.IMREAD_COLOR
DATA_ADDRESS = re.compile(r"data:[^,]*;base64,", re.IGNORECASE)  # in front of base64, as browsers write it
URL_SAFE = str.maketrans("-_", "+/")  # the other two letters that base64 is written with
FORBIDDEN, NOT_FOUND, UNPROCESSABLE = 403, 404, batches.UNPROCESSABLE
PIPELINES = {  # by whether labels are independent: of PaddleX, with the section of its config
    False: ("image_classification", "ImageClassification"),
    True: ("image_multilabel_classification", "ImageMultiLabelClassification"),
}


def run(argv):
    """Serves an export over HTTP, with PaddleX."""
    parser = argparse.ArgumentParser(prog="python -m ppcls_mixformer serve", description=run.__doc__)
    parser.add_argument("folder", help="of the export")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (127.0.0.1)")
    parser.add_argument("--port", type=int, default=8080, help="(8080)")
    parser.add_argument(
        "--engine", choices=ENGINES, help="of PaddleX; by default the first that has its file"
    )
    parser.add_argument("--device", default="cpu", help="of PaddleX, such as gpu:0 (cpu)")
    parser.add_argument("--fetch", action="store_true", help="fetch pictures from addresses in requests")
    parser.add_argument(
        "--visualize",
        action="store_true",
        help="answer with the picture drawn upon too, as PaddleX does, where a request does not say",
    )
    parser.add_argument(
        "--largest-request",
        type=_above_zero,
        default=bounds.LARGEST_REQUEST,
        help=f"in MiB ({bounds.LARGEST_REQUEST})",
    )
    parser.add_argument(
        "--largest-picture",
        type=_above_zero,
        default=LARGEST_PICTURE,
        help=f"in megapixels ({LARGEST_PICTURE})",
    )
    parser.add_argument(
        "--patience",
        type=_above_zero,
        default=bounds.PATIENCE,
        help=f"seconds within which a request must arrive ({bounds.PATIENCE})",
    )
    flags = parser.parse_args(argv)
    config = pipeline_config(flags.folder, flags.visualize)
    register()
    _check_extra()
    import uvicorn
    from uvicorn.protocols.http.auto import AutoHTTPProtocol

    with _listening(flags.host, flags.port) as listener:
        options = {
            "http": bounds.patient(AutoHTTPProtocol, flags.patience),
            "ws": "none",
            "limit_concurrency": bounds.CONNECTIONS,
            "log_level": "warning",
        }
        server = uvicorn.Server(uvicorn.Config(build_app(config, flags), **options))
        host = f"[{flags.host}]" if ":" in flags.host else flags.host
        print(f"http://{host}:{listener.getsockname()[1]} serves {flags.folder}", flush=True)
        with contextlib.suppress(KeyboardInterrupt):  # how a service ends, its last answers given
            server.run(sockets=[listener])


def _above_zero(text):
    """A flag's number."""
    with contextlib.suppress(ValueError):
        if 0 < float(text) < math.inf:
            return float(text)
    raise argparse.ArgumentTypeError(f"{text} is no number above 0")


def pipeline_config(folder, visualize=False):
    """PaddleX's config of the pipeline that runs the export in `folder`.

    Args:
        visualize: whether an answer has the picture, where a request does not say.

    Raises:
        UserError: it is no export, or one of another network.
    """
    if not (Path(folder) / description.NAME).is_file():
        raise UserError(f"{folder} holds no {description.NAME}: name the folder of an export")
    shown = description.read(folder)
    if shown.model_name not in VARIANTS:
        raise UserError(
            f"{folder} is an export of {shown.model_name or 'nobody knows what'}, not of MixFormer"
        )
    pipeline, section = PIPELINES[shown.independent]
    model = {"model_name": shown.model_name, "model_dir": str(folder), "batch_size": batches.AT_ONCE}
    if not shown.independent:
        model["topk"] = shown.topk
    return {
        "pipeline_name": pipeline,
        "SubModules": {section: {"module_name": pipeline, **model}},
        "Serving": {"visualize": visualize},
    }


def _check_extra():
    from paddlex.utils.deps import is_serving_plugin_available

    if not is_serving_plugin_available():
        raise UserError(
            "PaddleX is installed without its extra for a service: pip install 'paddlex[serving]'"
        )


def _listening(host, port):
    """A socket at an address; as a context it is closed at the end.

    Raises:
        UserError: it cannot be had.
    """
    if not host:  # which is all addresses to a socket
        raise UserError("--host is empty; it takes an address, such as 127.0.0.1")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"--host {host} --port {port}: {reason}") from None


def _pipeline(config, flags):
    """PaddleX's pipeline, which has run once: the first picture takes longer, and shows what is wrong.

    Raises:
        UserError: PaddleX cannot run the export.
    """
    import paddlex

    has_paddle = programs.has(flags.folder, programs.PADDLE)
    engine = flags.engine or (runners.STATIC if has_paddle else runners.ONNX)
    runners.check(flags.folder, engine)
    options = None
    if (engine, flags.device) == (runners.STATIC, "cpu"):  # PaddleX takes 10 threads, slow on fewer cores
        options = {"cpu_threads": os.cpu_count() or 1}
    built = transforms.build(description.read(flags.folder).transform_ops, flags.folder)
    side = max([*(transforms.size_after(built) or ()), TRIED_SIDE])
    try:
        pipeline = paddlex.create_pipeline(
            config=config, engine=engine, device=flags.device, engine_config=options
        )
        for result in pipeline(np.zeros((side, side, 3), "uint8")):
            if flags.visualize:
                result.img  # noqa: B018 - for which PaddleX downloads a font, or fails to
    except UserError:
        raise
    except Exception as error:  # of PaddleX and its engines, of many types
        raise UserError(f"{flags.folder}: {gist(error)}") from None
    return pipeline


def build_app(config, flags):
    """PaddleX's application for a pipeline, within the bounds of the command's flags.

    Raises:
        UserError: PaddleX cannot run the export.
    """
    from fastapi.exceptions import RequestValidationError
    from fastapi.responses import JSONResponse
    from paddlex.inference.serving.basic_serving import create_pipeline_app
    from paddlex.inference.serving.basic_serving._pipeline_apps import (
        image_classification,
        image_multilabel_classification,
    )
    from starlette.exceptions import HTTPException

    pipeline = _pipeline(config, flags)

    def room():
        return Room(int(flags.largest_picture * 1e6))

    decoding = ThreadPoolExecutor(1)  # a thread keeps the memory that its largest request took

    async def read(texts, left):
        """Yields the number and the picture of each of `texts`, or the exception that says what is wrong."""
        if flags.fetch and any(text.startswith(sources.SCHEMES) for text in texts):
            await bounds.wait_elsewhere()
        for number, text in enumerate(texts):
            try:
                data = await raw_bytes(text, flags.fetch)
                loop = asyncio.get_running_loop()
                yield number, await loop.run_in_executor(decoding, decoded, data, left)
            except HTTPException as error:
                yield number, error

    async def read_one(text, session):
        (picture,) = [one async for _, one in read([text], room())]
        if isinstance(picture, HTTPException):
            raise picture
        return picture

    independent = config["pipeline_name"] == PIPELINES[True][0]
    module = image_multilabel_classification if independent else image_classification
    shadow_module(
        module,
        "serving_utils",
        get_raw_bytes_async=read_one,
        image_bytes_to_array=lambda picture: picture,  # or nobody else is answered while it is decoded
        generate_log_id=bounds.log_id,
    )
    single, batch = schemas.build(independent)
    with replaced(module, "InferRequest", single):
        app = create_pipeline_app(pipeline, config)
    pages = ("/docs", "/redoc")  # of FastAPI, whose scripts come from elsewhere
    app.router.routes[:] = [found for found in app.router.routes if found.path not in pages]
    asks_for = "threshold" if independent else "topk"
    batches.add_route(app, module.INFER_ENDPOINT, batch, asks_for, read, room)

    async def refused(request, error):
        return JSONResponse(answer(UNPROCESSABLE, str(error)), UNPROCESSABLE)

    async def failed(request, error):
        said = str(error.detail)
        if error.status_code == NOT_FOUND:
            said = f"{request.url.path}: there are {module.INFER_ENDPOINT}, the same with /batch, and /health"
        return JSONResponse(answer(error.status_code, said), error.status_code, error.headers)

    async def malformed(request, error):
        found = [f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors()]
        return JSONResponse(answer(UNPROCESSABLE, "; ".join(found)), UNPROCESSABLE)

    app.add_exception_handler(UserError, refused)
    # PaddleX's own (3.7.2) end in status 500 where the request has a logId that is no text.
    app.add_exception_handler(HTTPException, failed)
    app.add_exception_handler(RequestValidationError, malformed)
    largest = int(flags.largest_request * (1 << 20))
    app.add_middleware(bounds.Bounded, largest=largest, patience=flags.patience)
    return app


async def raw_bytes(text, may_fetch):
    """The bytes of a picture: of base64, as all programs write it, or at an address.

    Raises:
        HTTPException: neither; an address that may not, or cannot be fetched.
    """
    from fastapi import HTTPException

    try:
        if not text.startswith(sources.SCHEMES):
            return base64.b64decode(plain_base64(text), validate=True)
        if not may_fetch:
            raise HTTPException(FORBIDDEN, "addresses are not fetched here; send the picture in base64")
        return await asyncio.get_running_loop().run_in_executor(None, sources.fetch, text)
    except (binascii.Error, ValueError) as error:  # Unreadable is one
        reason = error if isinstance(error, Unreadable) else "image is neither base64 nor an address"
        raise HTTPException(UNPROCESSABLE, str(reason)) from None


def plain_base64(text):
    """`text` in base64's own letters and filled up; it may be in lines, URL-safe, or as browsers have it."""
    start = DATA_ADDRESS.match(text)
    plain = "".join(text[start.end() if start else 0 :].split()).translate(URL_SAFE)
    return plain + "=" * (-len(plain) % 4)


class Room:
    """How many pixels the pictures of one request may have; those that turn out half ones count as well."""

    def __init__(self, pixels):
        self.pixels = self.left = pixels

    def take(self, width, height):
        """Counts a picture.

        Raises:
            HTTPException: it is too large, or all of them together are.
        """
        from fastapi import HTTPException

        self.left -= width * height
        if self.left < 0:
            most = f"{self.pixels / 1e6:g} million are taken, of all pictures of a request together"
            raise HTTPException(bounds.TOO_LARGE, f"the picture has {width}x{height} pixels; at most {most}")


def decoded(data, room):
    """The picture in the bytes of a file, BGR, `uint8` `[H, W, 3]`.

    Args:
        room: the `Room` of its request; what has too many pixels is not decoded.

    Raises:
        HTTPException: it is too large, no picture, or half of one.
    """
    from fastapi import HTTPException

    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as picture:
            width, height = picture.size
    except Image.DecompressionBombError:
        raise HTTPException(bounds.TOO_LARGE, "the picture has too many pixels") from None
    except Exception:  # Pillow's plugins raise what they like
        raise HTTPException(UNPROCESSABLE, NO_PICTURE) from None
    room.take(width, height)
    try:
        return imdecode(np.frombuffer(data, dtype="uint8"), IN_COLOR)
    except Unreadable as error:
        raise HTTPException(UNPROCESSABLE, str(error)) from None
