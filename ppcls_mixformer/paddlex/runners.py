"""How PaddleX's engines come to their programs: files are looked at first, which Paddle does not do.

Of parameters that are cut off Paddle makes up the rest, or ends in a line of C++ (3.1.1).
"""

import contextlib
import functools

from ppcls_mixformer.hosting import cli
from ppcls_mixformer.hosting.errors import UserError, first_line
from ppcls_mixformer.hosting.pdiparams import check_program
from ppcls_mixformer.hosting.whole import settle
from ppcls_mixformer.predict import programs

STATIC, ONNX = "paddle_static", "onnxruntime"
READ_BY = {STATIC: programs.PADDLE, ONNX: programs.ONNX}  # by engine of PaddleX


def check(folder, engine):
    """Refuses an export that an engine of PaddleX would not find, or that is cut off.

    Raises:
        UserError: names the file.
    """
    settle(folder)
    if engine in READ_BY:
        programs.choose(folder, READ_BY[engine])
    if engine == STATIC:
        check_program(programs.first_of(folder, programs.PADDLE))


def _build(engine, *, model_dir, default_builder, **arguments):
    """PaddleX's runner of a program, which its `default_builder` makes."""
    check(model_dir, engine)
    with _in_one_line(model_dir, engine):
        return default_builder(model_dir=model_dir, **arguments)


@contextlib.contextmanager
def _in_one_line(folder, engine):
    """Names the file in what an engine says of it."""
    if engine == STATIC:
        from ppcls_mixformer.hosting import inference

        cli.take_signals_back()  # from Paddle, which is imported by now
        with inference.readable(programs.first_of(folder, programs.PADDLE)):
            yield
        return
    try:
        yield
    except Exception as error:  # ONNX Runtime's own, of many types
        path = programs.first_of(folder, programs.ONNX)
        raise UserError(f"{path} cannot be read by ONNX Runtime: {first_line(error)}") from None


BUILDERS = {engine: functools.partial(_build, engine) for engine in READ_BY}
