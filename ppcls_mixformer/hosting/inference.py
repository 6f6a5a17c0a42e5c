"""Exported programs: which file this Paddle reads, and a predictor for it."""

import contextlib
import re
from pathlib import Path

import paddle
from paddle.base.core import ProgramDesc

from ppcls_mixformer.hosting.advice import has_gpu
from ppcls_mixformer.hosting.errors import UserError, error_line
from ppcls_mixformer.hosting.pdiparams import check_program
from ppcls_mixformer.hosting.whole import settle

PADDLE_3 = not paddle.__version__.startswith("2.")
GPU_MEMORY = 1000  # MB that are taken at the start; more is taken as it is needed
# Paddle 3's program, and the older one, which Paddle 3 reads too.
SUFFIXES = (".json", ".pdmodel") if PADDLE_3 else (".pdmodel",)


def find_program(folder, prefix="inference"):
    """Path of the program in `folder` that this Paddle reads, such as `inference.json`.

    An export that was cut short there is finished first.

    Raises:
        UserError: there is none.
    """
    settle(folder)
    for suffix in SUFFIXES:
        program = Path(folder) / f"{prefix}{suffix}"
        if program.is_file():
            return program
    names = " or ".join(f"{prefix}{suffix}" for suffix in SUFFIXES)
    raise UserError(
        f"{folder} holds no {names}, which paddlepaddle {paddle.__version__} reads: "
        "export a checkpoint to it with this Paddle"
    )


def onednn_refuses(program):
    """Whether a program needs `Config.disable_mkldnn()`: on Paddle 3.3, where it interpolates maps.

    See docs/en/UpstreamReports.md.
    """
    maps = rb"\.(bilinear|nearest)_interp\b"
    return paddle.__version__.startswith("3.3.") and re.search(maps, program.read_bytes()) is not None


def config_for(program):
    """`paddle.inference.Config` for a program; the parameters lie beside it.

    On Paddle 3 `enable_memory_optim` in front of `enable_new_executor` ends in "Not find predictor_id",
    so the latter is called here.

    The older format is read twice: of bytes that are no program, a predictor dies of a segmentation fault.

    Raises:
        UserError: it is damaged, or a file is cut off.
    """
    program = Path(program)
    check_program(program)
    if program.suffix == ".pdmodel":
        _described(program)
    config = paddle.inference.Config(str(program), str(program.with_suffix(".pdiparams")))
    if program.suffix == ".json":
        config.enable_new_executor()
    return config


@contextlib.contextmanager
def readable(program):
    """Names the file in Paddle's errors about it, which are of many types and many lines.

    Paddle 3.1 does not read what 3.3 has written ("pad_value is not pir::FloatAttribute").
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        reason = error_line(error).rstrip(".")
        raise UserError(
            f"{program} cannot be read by paddlepaddle {paddle.__version__}: {reason}; a newer one may have "
            "written it: install that, or export with this one, or with --onnx, which ONNX Runtime reads"
        ) from None


def _described(program):
    """What a program in the older format holds."""
    with readable(program):
        return ProgramDesc(program.read_bytes())


def input_shapes(program):
    """Shape of each input of a program, -1 for what is left open.

    Raises:
        UserError: it is damaged, or a file is cut off.
    """
    check_program(program)
    with readable(program):
        return _input_shapes(program)


def _input_shapes(program):
    if program.suffix == ".json":
        return [list(spec.shape) for spec in paddle.jit.load(str(program.with_suffix("")))._input_spec()]
    described = _described(program)  # Paddle 3 does not load the older format as a network
    block = described.block(0)  # lives as long as what it is a part of
    inputs = [op.output("Out") for op in map(block.op, range(block.op_size())) if op.type() == "feed"]
    return [block.find_var(name.encode()).shape() for (name,) in inputs]


def predictor(program, onednn=True, threads=None, use_gpu=False):
    """A function that runs a program: arrays, one for each input or by their names, to a list of arrays.

    Args:
        onednn: whether to use oneDNN's kernels on a CPU.
        threads: of the math library; None for Paddle's own choice.
        use_gpu: whether to run on the first GPU.

    Raises:
        UserError: a GPU that is not there; the program is damaged, or a file is cut off.
    """
    if use_gpu and not has_gpu():
        raise UserError("this machine or this Paddle has no GPU: go on without, or install paddlepaddle-gpu")
    config = config_for(program)
    config.disable_glog_info()
    if threads is not None:
        config.set_cpu_math_library_num_threads(threads)
    if use_gpu:
        config.enable_use_gpu(GPU_MEMORY, 0)
    else:
        config.disable_gpu()
    if onednn and not use_gpu:
        config.set_mkldnn_cache_capacity(10)  # of input shapes; without a limit it grows with each
        config.enable_mkldnn()
    elif hasattr(config, "disable_mkldnn"):  # on by default since Paddle 3.3
        config.disable_mkldnn()
    config.enable_memory_optim()
    with readable(program):
        engine = paddle.inference.create_predictor(config)

    def run(*arrays, **named):
        names = engine.get_input_names()
        named.update(zip(names, arrays))
        for name in names:
            engine.get_input_handle(name).copy_from_cpu(named[name])
        engine.run()
        return [engine.get_output_handle(name).copy_to_cpu() for name in engine.get_output_names()]

    return run
