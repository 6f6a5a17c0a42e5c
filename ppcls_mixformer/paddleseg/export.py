"""Exports a trained segmentation network for Paddle inference, as PaddleSeg's deployment reads it."""

import logging
from pathlib import Path

import paddle
import yaml

from ppcls_mixformer.hosting import onnx
from ppcls_mixformer.hosting.inference import find_program, onednn_refuses
from ppcls_mixformer.hosting.pdiparams import check_program
from ppcls_mixformer.hosting.pooling import pooling_by_products
from ppcls_mixformer.hosting.whole import publish, scratch
from ppcls_mixformer.network.fuse import fuse_for_inference
from ppcls_mixformer.paddleseg.checkpoints import load_whole
from ppcls_mixformer.paddleseg.commands import prepare, with_windows

logger = logging.getLogger(__name__)

ONNX = "model.onnx"
ASKED = ("model.json", "model.pdmodel", ONNX, "model.pdiparams", "model.pdiparams.info")  # by readers, first
INPUT = "x"
TRIALS = ((1, 96, 160), (2, 133, 75))  # batch, height and width of what readers are compared on


def write_export(argv):
    """Writes program, parameters and `deploy.yaml` into `--save_dir` and prints the files.

    Batch and picture size are free unless `--input_shape` fixes them. Where they are free the program itself
    does and undoes what the config does to the size of pictures. `--onnx` adds the same as `model.onnx`. An
    earlier export is replaced only once the new one is complete.

    Raises:
        UserError: something about the set-up, the config or a file that a user can fix.
    """
    builder, flags = prepare(argv, "export")
    load_whole(builder.model, flags.model_path)
    shape = flags.input_shape or [None, 3, None, None]
    places, steps = share_transforms(builder, shape)
    options = with_windows(builder.config, flags)
    model = windowed(builder.model, options)
    target, missing = Path(flags.save_dir), None

    def write_to(folder):
        return write_program(model, steps, shape, flags.output_op, folder)

    with scratch() as staging:
        program = write_to(staging)
        description = describe(builder, shape, flags.output_op, program.name, places)
        (staging / "deploy.yaml").write_text(yaml.safe_dump(description, default_flow_style=None))
        if flags.onnx:
            missing = write_onnx(staging / ONNX, program, trials_of(shape, options), write_to)
        publish(staging, target, ASKED)
        for file in sorted(staging.iterdir()):
            print(target / file.name)
        if missing:
            print(f"{ONNX} was not written: {missing}")
        if onednn_refuses(program):  # one of PaddleSeg's own networks
            print("read it with Config.disable_mkldnn(): oneDNN refuses it on paddlepaddle 3.3")


def write_program(model, steps, shape, output_op, folder):
    """Writes a trained network, with `steps` and `output_op`, into `folder`; returns the program's path."""
    from ppcls_mixformer.paddleseg.sizes import Sized

    spec = [paddle.static.InputSpec(shape=shape, dtype="float32", name=INPUT)]
    model = with_output_op(Sized(fuse_for_inference(model), steps), output_op)
    graph = paddle.jit.to_static(model, input_spec=spec, full_graph=True)
    paddle.jit.save(graph, str(folder / "model"))
    program = find_program(folder, "model")
    check_program(program)
    return program


def write_onnx(target, program, trials, write_to):
    """Writes the ONNX file `target`, if with it ONNX Runtime gives what `program` gives.

    Args:
        trials: pictures to compare them on.
        write_to: writes such a program into a folder, and returns its path.

    Returns:
        Why it is missing, one line; None if it is not.
    """
    feeds = [{INPUT: pictures} for pictures in trials]
    with scratch() as folder:
        with pooling_by_products():
            convertible = write_to(folder)
        return onnx.write(convertible, target, lambda path: onnx.unlike(path, program, feeds))


def windowed(model, options):
    """`model`, on sliding windows if `options`, such as `test_config`, ask for them."""
    from ppcls_mixformer.paddleseg.windows import Windowed

    return Windowed(model, options["crop_size"], options["stride"]) if options.get("is_slide") else model


def trials_of(shape, options):
    """Noise to compare readers on, of several windows too where there are any.

    Args:
        shape: of the program's input.
        options: see `windowed`.
    """
    sizes = list(TRIALS)
    if options.get("is_slide"):
        width, height = map(sum, zip(options["crop_size"], options["stride"]))
        sizes.append((1, height, width))
    return onnx.trials(shape, sizes)


def share_transforms(builder, shape):
    """Which transforms readers do, by their places in the config, and the steps of the program.

    Warns where the program cannot give what `predict` gives.

    Args:
        shape: of the program's input; of a fixed size it is that behind all transforms.
    """
    from ppcls_mixformer.paddleseg.sizes import split

    chain = builder.val_transforms
    places, steps, strange = split(chain)
    reason = strange and type(strange).__name__
    if steps and any(side not in (None, -1) for side in shape[2:]):
        places, steps, reason = list(range(len(chain))), [], "--input_shape"
    if reason:
        logger.warning(
            "%s: the program gives maps of the size that the transforms in deploy.yaml make, not of the "
            "picture's, which its readers have to restore",
            reason,
        )
    return places, steps


def with_output_op(model, output_op):
    """`model` in evaluation mode, followed by `output_op` (argmax, softmax or none)."""
    from paddleseg.deploy.export import WrappedModel

    if output_op != "none":
        model = WrappedModel(model, output_op)
    model.eval()
    return model


def describe(builder, shape, output_op, program, places):
    """Content of `deploy.yaml`. PaddleSeg knows all keys but `in_program` and those of the classes.

    Args:
        places: of the transforms that readers do, in the config's; the program does the others.
    """
    from ppcls_mixformer.paddleseg import classes

    transforms = builder.config.val_dataset_cfg.get("transforms") or []
    names = classes.class_names(builder)
    return {
        "Deploy": {
            "model": program,
            "params": "model.pdiparams",
            "transforms": [transforms[n] for n in places],
            "in_program": [each for n, each in enumerate(transforms) if n not in places],
            "input_shape": shape,
            "output_op": output_op,
            "output_dtype": "int32" if output_op == "argmax" else "float32",
            "num_classes": classes.count_classes(builder),
            **({"class_names": names} if names else {}),
            "class_colors": classes.palette()[: classes.count_classes(builder)],
        }
    }
