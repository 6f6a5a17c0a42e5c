"""The machine, its device and the versions in use; and whether the device works."""

import contextlib
import platform
import shutil
import subprocess

import numpy as np
import paddle

from ppcls_mixformer import __version__
from ppcls_mixformer.benchmark import report
from ppcls_mixformer.hosting.advice import has_gpu
from ppcls_mixformer.hosting.errors import UserError, error_line


def describe(device):
    """What a reader of the results has to know of this machine; `device` is `cpu` or `gpu`."""
    found = report.machine()
    cuda = {"cuda": paddle.version.cuda(), "cudnn": paddle.version.cudnn()}
    return {
        "device": device,
        "name": paddle.device.cuda.get_device_name() if device == "gpu" else found["processor"],
        **found,
        "platform": platform.platform(),
        "ppcls_mixformer": __version__,
        "paddle": paddle.__version__,
        "commit": paddle.version.commit,
        **(cuda if paddle.is_compiled_with_cuda() else {}),
        **(_gpu() if device == "gpu" else {}),
    }


def _gpu():
    """Capability, memory in bytes and driver of the GPU in use."""
    properties = paddle.device.cuda.get_device_properties()
    return {
        "capability": f"{properties.major}.{properties.minor}",
        "gpu_memory": properties.total_memory,
        "driver": _driver(),
    }


def _driver():
    """Version of NVIDIA's driver; None where nobody says."""
    command = shutil.which("nvidia-smi")
    if command:
        query = [command, "--query-gpu=driver_version", "--format=csv,noheader"]
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            return subprocess.run(query, stdout=subprocess.PIPE, text=True, timeout=30).stdout.split("\n")[0]
    return None


def take(device):
    """Has Paddle use `device` from now on.

    Raises:
        UserError: there is no such device, or this Paddle cannot compute on it.
    """
    if device == "gpu":
        if not paddle.is_compiled_with_cuda():
            raise UserError(
                f"--device gpu: paddlepaddle {paddle.__version__} here is built for the CPU; "
                "install paddlepaddle-gpu, or leave the flag out"
            )
        if not has_gpu():
            raise UserError("--device gpu: Paddle finds no GPU on this machine; leave the flag out")
    paddle.set_device(device)
    if device == "gpu":
        _try()


def _try():
    """A product and a convolution, for which libraries and code for this GPU must be there."""
    x = paddle.ones([1, 4, 4, 4])
    try:
        product = paddle.matmul(x, x).numpy()
        convolved = paddle.nn.functional.conv2d(x, paddle.ones([4, 4, 1, 1])).numpy()
    except Exception as error:  # of many types
        raise UserError(
            f"--device gpu: paddlepaddle {paddle.__version__} cannot compute on this GPU: {error_line(error)}"
        ) from None
    if not (np.all(product == 4) and np.all(convolved == 4)):
        raise UserError(f"--device gpu: paddlepaddle {paddle.__version__} computes wrongly on this GPU")


@contextlib.contextmanager
def full_precision():
    """Has float32 be float32: unless told not to, Paddle multiplies with TF32's 10 bits on newer GPUs."""
    core = paddle.base.core
    switches = [name for name in ("cublas_switch", "cudnn_switch") if hasattr(core, f"set_{name}")]
    before = {name: getattr(core, f"get_{name}")() for name in switches}
    for name in switches:
        getattr(core, f"set_{name}")(False)
    try:
        yield
    finally:
        for name, value in before.items():
            getattr(core, f"set_{name}")(value)
