"""PaddleX as the host: its predictors, pipelines and command line run exports of these backbones."""

import importlib.metadata
import importlib.util

from ppcls_mixformer.hosting.errors import UserError, first_line
from ppcls_mixformer.variants import VARIANTS

MAJOR = 3
TRIED = "3.7.2"
ENGINES = ("paddle_static", "onnxruntime", "hpi")
INSTALL = "pip install 'ppcls_mixformer[paddlex]', in an environment without paddleclas"


def register():
    """Registers MixFormer_B0 to MixFormer_B6 with PaddleX, for exports; a second call changes nothing.

    PaddleX has no entry point for models of others, so this is to be called in each process, before
    `paddlex.create_model` or `paddlex.create_pipeline`.

    Raises:
        ppcls_mixformer.hosting.errors.UserError: PaddleX is not installed, or one that is not known here.
    """
    _check_installed()
    from paddlex.inference.models.bindings import create_binding_registration, register_predictor_binding_map

    from ppcls_mixformer.paddlex.predictor import MixFormerPredictor
    from ppcls_mixformer.paddlex.runners import BUILDERS

    known = {
        engine: create_binding_registration(tuple(VARIANTS), runner_builder=BUILDERS.get(engine))
        for engine in ENGINES
    }
    register_predictor_binding_map(MixFormerPredictor, known)


def _check_installed():
    """Refuses a missing PaddleX, one of another major version, one without a registry, half a one."""
    try:
        version = importlib.metadata.version("paddlex")
    except importlib.metadata.PackageNotFoundError:
        raise UserError(f"PaddleX is not installed: {INSTALL}") from None
    if version.split(".")[0] != str(MAJOR):  # 2.1.0 is where PaddleClas's trainer is taken from
        raise UserError(f"this is PaddleX {version}, and {MAJOR}, such as {TRIED}, is needed: {INSTALL}")
    try:
        has_registry = importlib.util.find_spec("paddlex.inference.models.bindings") is not None
    except ImportError as error:
        raise UserError(f"PaddleX {version} cannot be imported ({first_line(error)}): {INSTALL}") from None
    if not has_registry:
        raise UserError(f"PaddleX {version} takes no models of others; {TRIED} does: {INSTALL}")
    from paddlex.utils.deps import is_extra_available

    if not is_extra_available("cv"):
        raise UserError(f"PaddleX {version} is installed without its extra cv, for pictures: {INSTALL}")
