"""Exported programs, run by paddle.inference or ONNX Runtime, whichever is there; safe with threads."""

import importlib.util
import threading
from pathlib import Path
from typing import Callable, NamedTuple, Optional

from ppcls_mixformer.hosting.errors import UserError, error_line, first_line
from ppcls_mixformer.hosting.whole import settle

PADDLE, ONNX = "paddle", "onnxruntime"
ENGINES = (PADDLE, ONNX)
PREFIX, DENSE = "inference", "model"  # what programs are called; those of detectors and segmenters
SUFFIXES = {PADDLE: (".json", ".pdmodel"), ONNX: (".onnx",)}
HALF = f"{PREFIX}_fp16.onnx"  # in half precision


class Program(NamedTuple):
    """A program that is ready to run.

    Attributes:
        run: from images, float32 `[N, C, H, W]`, to a list: scores `[N, classes]`, and where the export has
            them features `[N, D]`. Several threads may call it.
        engine: what runs it, one of ENGINES.
        path: its file.
    """

    run: Callable
    engine: str
    path: Path


class Options(NamedTuple):
    """How a program is run.

    Attributes:
        engine: one of ENGINES; None for the first that is installed and has its file.
        use_gpu: None for a GPU where the engine has one.
        threads: of the math library; None for the engine's own choice.
        onednn: whether Paddle uses oneDNN's kernels on a CPU.
        use_fp16: whether to take the file in half precision, which ONNX Runtime reads.
        prefix: of the name of the file.
    """

    engine: Optional[str] = None
    use_gpu: Optional[bool] = None
    threads: Optional[int] = None
    onednn: bool = True
    use_fp16: bool = False
    prefix: str = PREFIX


def load(folder, options):
    """The `Program` in `folder`.

    Raises:
        UserError: there is none, none that is installed here can read it, or it is damaged.
    """
    settle(folder)
    if options.use_fp16:
        return _onnx_program(_find_half(Path(folder), options.engine), options)
    if choose(folder, options.engine, options.prefix) == PADDLE:
        return _paddle_program(Path(folder), options)
    return _onnx_program(Path(folder) / f"{options.prefix}.onnx", options)


def check(folder, options):
    """Refuses what `load` would not find or has nothing to read with, without loading it.

    Raises:
        UserError: as `load`.
    """
    if options.use_fp16:
        _find_half(Path(folder), options.engine)
    else:
        choose(folder, options.engine, options.prefix)


def _find_half(folder, asked):
    """Path of the file in half precision."""
    _check_engine(asked or ONNX)
    if asked == PADDLE:
        raise UserError(f"use_fp16 is for {HALF}, which {ONNX} reads, not {PADDLE}")
    if not (folder / HALF).is_file():
        raise UserError(f"{folder} holds no {HALF}: export with --onnx --fp16")
    return folder / HALF


def _check_engine(asked):
    if asked not in ENGINES:
        raise UserError(f"there is no engine {asked!r}; there are {', '.join(ENGINES)}")
    if not is_installed(asked):
        raise UserError(f"{asked} is not installed: pip install {_package(asked)}")


def choose(folder, asked, prefix=PREFIX):
    """What runs the program in `folder`, one of ENGINES: `asked`, or the first that can.

    Raises:
        UserError: there is none, or it is not installed.
    """
    if asked is not None:
        _check_engine(asked)
    installed = [name for name in ENGINES if is_installed(name)]
    for engine in [asked] if asked else installed:
        if has(folder, engine, prefix):
            return engine
    raise UserError(_nothing_to_read(folder, asked, prefix))


def _nothing_to_read(folder, asked, prefix):
    there = [engine for engine in ENGINES if has(folder, engine, prefix)]
    if not there and (Path(folder) / HALF).is_file():
        return f"{folder} holds {HALF} alone: --use_fp16 True reads it, use_fp16=True in Python"
    if not there:
        return f"{folder} holds no {prefix}.json, .pdmodel or .onnx: export a checkpoint to it"
    if asked:
        return f"{folder} holds no {prefix}{SUFFIXES[asked][-1]}, which {asked} reads" + (
            ": export with --onnx" if asked == ONNX else ": export a checkpoint to it"
        )
    converted = "" if has(folder, ONNX, prefix) else f", or export with --onnx and pip install {ONNX}"
    return f"{folder} is read by {' or '.join(there)}: pip install {_package(there[-1])}{converted}"


def has(folder, engine, prefix=PREFIX):
    """Whether `folder` holds a file that `engine` reads, whose name begins with `prefix`."""
    return first_of(folder, engine, prefix) is not None


def first_of(folder, engine, prefix=PREFIX):
    """Path of the first file in `folder` that `engine` reads; None where there is none."""
    paths = (Path(folder) / f"{prefix}{suffix}" for suffix in SUFFIXES[engine])
    return next((path for path in paths if path.is_file()), None)


def prefix_of(folder):
    """What the program in `folder` is called, `DENSE` in the exports of detectors and segmenters."""
    is_dense = any(has(folder, engine, DENSE) for engine in ENGINES)
    return DENSE if is_dense and not any(has(folder, engine) for engine in ENGINES) else PREFIX


def is_installed(engine):
    """Whether Python can import `engine`."""
    spec = importlib.util.find_spec(engine)
    return spec is not None and spec.origin is not None  # a folder of that name has none


def _package(engine):
    return "paddlepaddle" if engine == PADDLE else engine


def _paddle_program(folder, options):
    from ppcls_mixformer.hosting import cli, inference

    cli.take_signals_back()  # from Paddle, which is imported by now
    path = inference.find_program(folder, options.prefix)
    use_gpu = inference.has_gpu() if options.use_gpu is None else options.use_gpu
    run = inference.predictor(path, options.onednn, options.threads, use_gpu)
    alone = threading.Lock()  # one predictor has one set of inputs and outputs

    def locked(images):
        with alone:
            return run(images)

    return Program(in_one_line(locked, path), PADDLE, path)


def _onnx_program(path, options):
    session = _onnx_session(path, options)
    name = session.get_inputs()[0].name
    return Program(in_one_line(lambda images: session.run(None, {name: images}), path), ONNX, path)


def _onnx_session(path, options):
    from ppcls_mixformer.hosting import onnx

    try:
        session = onnx.session(path, options.threads, options.use_gpu)
    except UserError:
        raise
    except Exception as error:  # ONNX Runtime's own, of many types
        raise UserError(f"{path} cannot be read by ONNX Runtime: {first_line(error)}") from None
    if options.use_gpu and onnx.CUDA not in session.get_providers():  # it goes on without, and says nothing
        raise UserError(
            "this ONNX Runtime finds no GPU, or not the CUDA and cuDNN that it was built for: "
            "install these, or go on without"
        )
    _check_origin(path, session.get_modelmeta().custom_metadata_map.get(onnx.MADE_FROM))
    return session


def _check_origin(path, made_from):
    """Refuses a file in half precision beside another whole one than it was made from, by its checksum."""
    from ppcls_mixformer.hosting import onnx

    whole = path.with_name(f"{PREFIX}.onnx")
    if made_from and whole != path and whole.is_file() and onnx.checksum(whole) != made_from:
        raise UserError(
            f"{path} was not made from the {whole.name} beside it, which is of another export or damaged: "
            "export again with --onnx --fp16"
        )


def input_shapes(folder, options):
    """Shape of each input of the program in `folder`, None for what is left open; it is loaded for that.

    Raises:
        UserError: as `load`.
    """
    settle(folder)
    check(folder, options)
    if options.engine == PADDLE:
        from ppcls_mixformer.hosting import inference

        shapes = inference.input_shapes(inference.find_program(folder, options.prefix))
    else:
        path = Path(folder) / (HALF if options.use_fp16 else f"{options.prefix}.onnx")
        shapes = [one.shape for one in _onnx_session(path, Options(use_gpu=False)).get_inputs()]
    return [[side if isinstance(side, int) and side > 0 else None for side in shape] for shape in shapes]


def in_one_line(run, path):
    """`run` of the program at `path`; errors, and a wrong number of answers, become a UserError."""

    def checked(images):
        try:
            outputs = run(images)
        except Exception as error:  # both engines' own, of many types and many lines
            shape = "x".join(map(str, images.shape))
            raise UserError(f"{path} does not run on pictures of {shape}: {error_line(error)}") from None
        answers = len(outputs[0]) if outputs[0].ndim else 1
        if answers != len(images):
            raise UserError(
                f"{path} gave {answers} answers for {len(images)} pictures of "
                f"{'x'.join(map(str, images.shape[1:]))}: it was exported for another size"
            )
        return outputs

    return checked
