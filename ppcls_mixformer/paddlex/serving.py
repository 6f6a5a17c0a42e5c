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
import os
import socket
import uuid
from pathlib import Path

import numpy as np
from PIL import Image

from ppcls_mixformer.hosting.errors import UserError, gist
from ppcls_mixformer.hosting.patches import shadow_module
from ppcls_mixformer.hosting.pictures import NO_PICTURE, Unreadable, imdecode
from ppcls_mixformer.paddlex import ENGINES, batches, register
from ppcls_mixformer.predict import description, programs, sources
from ppcls_mixformer.variants import VARIANTS

LARGEST_REQUEST = 16  # MiB
LARGEST_PICTURE = 25  # megapixels
AT_WORK = 4  # requests whose pictures are in memory; the network takes one after the other
AT_ONCE = 32  # connections; what comes beyond is answered with status 503
# Of pictures, Pillow's names; others, such as icons, hold pictures of another size than they say, or are
# decoded when they are opened.
FORMATS = ("JPEG", "PNG", "BMP", "WEBP", "TIFF", "GIF", "PPM")
IN_COLOR = 1  # cv2.IMREAD_COLOR
DRAINED = 4  # times the largest request
FORBIDDEN, UNPROCESSABLE = 403, batches.UNPROCESSABLE
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
        "--largest-request", type=float, default=LARGEST_REQUEST, help=f"in MiB ({LARGEST_REQUEST})"
    )
    parser.add_argument(
        "--largest-picture", type=float, default=LARGEST_PICTURE, help=f"in megapixels ({LARGEST_PICTURE})"
    )
    flags = parser.parse_args(argv)
    config = pipeline_config(flags.folder)
    register()
    _check_extra()
    import uvicorn

    with _listening(flags.host, flags.port) as listener:
        app = build_app(config, flags)
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning", limit_concurrency=AT_ONCE))
        print(f"http://{flags.host}:{listener.getsockname()[1]} serves {flags.folder}", flush=True)
        with contextlib.suppress(KeyboardInterrupt):  # how a service ends, its last answers given
            server.run(sockets=[listener])


def pipeline_config(folder):
    """PaddleX's config of the pipeline that runs the export in `folder`.

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
        "Serving": {"visualize": False},  # unless a request asks for it
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
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"--host {host} --port {port}: {reason}") from None


def build_app(config, flags):
    """PaddleX's application for a pipeline, within the bounds of the command's flags.

    Raises:
        UserError: PaddleX cannot run the export.
    """
    import paddlex
    from fastapi.exceptions import RequestValidationError
    from fastapi.responses import JSONResponse
    from paddlex.inference.serving.basic_serving import create_pipeline_app
    from paddlex.inference.serving.basic_serving._pipeline_apps import (
        image_classification,
        image_multilabel_classification,
    )
    from starlette.exceptions import HTTPException

    has_paddle = programs.has(flags.folder, programs.PADDLE)
    engine = flags.engine or ("paddle_static" if has_paddle else "onnxruntime")
    options = None
    if (engine, flags.device) == ("paddle_static", "cpu"):  # PaddleX takes 10 threads, slow on fewer cores
        options = {"cpu_threads": os.cpu_count() or 1}
    try:
        pipeline = paddlex.create_pipeline(
            config=config, engine=engine, device=flags.device, engine_config=options
        )
    except UserError:
        raise
    except Exception as error:  # of PaddleX and its engines, of many types
        raise UserError(f"{flags.folder}: {gist(error)}") from None
    pixels = int(flags.largest_picture * 1e6)

    async def read(text, most):
        data = await raw_bytes(text, flags.fetch)
        return await asyncio.get_running_loop().run_in_executor(None, decoded, data, most)

    for module in (image_classification, image_multilabel_classification):
        shadow_module(
            module,
            "serving_utils",
            get_raw_bytes_async=lambda text, session: read(text, pixels),
            image_bytes_to_array=lambda picture: picture,  # or nobody else is answered while it is decoded
        )
    app = create_pipeline_app(pipeline, config)
    independent = config["pipeline_name"] == PIPELINES[True][0]
    route = (image_multilabel_classification if independent else image_classification).INFER_ENDPOINT
    batches.add_route(app, route, "threshold" if independent else "topk", read, pixels)

    async def refused(request, error):
        return JSONResponse(answer(UNPROCESSABLE, str(error)), UNPROCESSABLE)

    async def failed(request, error):
        return JSONResponse(answer(error.status_code, str(error.detail)), error.status_code, error.headers)

    async def malformed(request, error):
        found = [f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors()]
        return JSONResponse(answer(UNPROCESSABLE, "; ".join(found)), UNPROCESSABLE)

    app.add_exception_handler(UserError, refused)
    # PaddleX's own (3.7.2) end in status 500 where the request has a logId that is no text.
    app.add_exception_handler(HTTPException, failed)
    app.add_exception_handler(RequestValidationError, malformed)
    app.add_middleware(Bounded, largest=int(flags.largest_request * (1 << 20)))
    return app


def answer(status, message):
    """What PaddleX's service says instead of a result; `message` may hold halves of characters, of JSON."""
    text = message.encode("utf-8", "backslashreplace").decode("utf-8")
    return {"logId": str(uuid.uuid4()), "errorCode": status, "errorMsg": text}


async def raw_bytes(text, may_fetch):
    """The bytes of a picture: of base64, or at an address.

    Raises:
        HTTPException: neither; an address that may not, or cannot be fetched.
    """
    from fastapi import HTTPException

    try:
        if not text.startswith(sources.SCHEMES):
            return base64.b64decode(text, validate=True)
        if not may_fetch:
            raise HTTPException(FORBIDDEN, "addresses are not fetched here; send the picture in base64")
        return await asyncio.get_running_loop().run_in_executor(None, sources.fetch, text)
    except (binascii.Error, ValueError) as error:  # Unreadable is one
        reason = error if isinstance(error, Unreadable) else "image is neither base64 nor an address"
        raise HTTPException(UNPROCESSABLE, str(reason)) from None


def decoded(data, largest):
    """The picture in the bytes of a file, BGR, `uint8` `[H, W, 3]`.

    Args:
        largest: pixels that are taken; a larger one is not decoded.

    Raises:
        HTTPException: it is too large, no picture, or half of one.
    """
    from fastapi import HTTPException

    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as picture:
            width, height = picture.size
    except Image.DecompressionBombError:
        raise HTTPException(batches.TOO_LARGE, "the picture has too many pixels") from None
    except Exception:  # Pillow's plugins raise what they like
        raise HTTPException(UNPROCESSABLE, NO_PICTURE) from None
    if width * height > largest:
        message = f"the picture has {width}x{height} pixels; at most {largest / 1e6:g} million are taken"
        raise HTTPException(batches.TOO_LARGE, message)
    try:
        return imdecode(np.frombuffer(data, dtype="uint8"), IN_COLOR)
    except Unreadable as error:
        raise HTTPException(UNPROCESSABLE, str(error)) from None


class Bounded:
    """Answers requests of more than `largest` bytes with status 413, and keeps nothing of them.

    Those that have arrived wait for their turn: a few KB become pictures of 75 MB.
    """

    def __init__(self, app, largest):
        self.app, self.largest, self.turns = app, largest, asyncio.Semaphore(AT_WORK)

    async def __call__(self, scope, receive, send):
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        message = f"the request has more than {self.largest / (1 << 20):g} MiB"
        declared = dict(scope["headers"]).get(b"content-length", b"0")
        if declared.isdigit() and int(declared) > self.largest:
            from fastapi.responses import JSONResponse

            await self._drain(receive)
            return await JSONResponse(answer(batches.TOO_LARGE, message), batches.TOO_LARGE)(
                scope, receive, send
            )
        received, has_turn = 0, False

        async def counted():
            nonlocal received, has_turn
            event = await receive()
            received += len(event.get("body", b""))
            if received > self.largest:
                from fastapi import HTTPException

                raise HTTPException(batches.TOO_LARGE, message)
            if event["type"] == "http.request" and not event.get("more_body", False) and not has_turn:
                await self.turns.acquire()
                has_turn = True
            return event

        try:
            await self.app(scope, counted, send)
        finally:
            if has_turn:
                self.turns.release()

    async def _drain(self, receive):
        """Reads a request that is not much too large to its end: not all clients read an answer before."""
        received, more = 0, True
        while more and received < DRAINED * self.largest:
            event = await receive()
            received, more = received + len(event.get("body", b"")), event.get("more_body", False)
