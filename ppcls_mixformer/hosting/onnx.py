"""Exports converted to ONNX, checked and read with ONNX Runtime; only reading needs no Paddle."""

import importlib.util
import itertools
import re
import sys
import zlib
from graphlib import TopologicalSorter
from pathlib import Path

import numpy as np

from ppcls_mixformer.hosting.advice import installed
from ppcls_mixformer.hosting.children import run_module
from ppcls_mixformer.hosting.errors import UserError, first_line
from ppcls_mixformer.hosting.whole import scratch

OPSET = 17
EXTREME = 3.0  # normalised as for ImageNet, pictures reach from -2.1 to 2.6
MADE_FROM = "made_from"  # in the metadata of a file in half precision: the checksum of the whole one
COARSE = 2.0**-14  # below it half precision has fewer digits
VALUES = 1e-4  # largest difference between two readers of a network, of the largest value in an output
CLASSES = 1e-3  # largest share of whole numbers, such as classes of pixels, that two readers give differently
CPU, CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"


def paddle2onnx_release():
    """The newest for this Paddle: version 2 reads the programs of Paddle 3, on which alone it imports."""
    from ppcls_mixformer.hosting.inference import PADDLE_3

    return "2.1.0" if PADDLE_3 else "1.3.1"


def require(flag):
    """Refuses `flag`, which asks for ONNX, where what it needs is not installed.

    Raises:
        UserError: with the pip command that installs it.
    """
    import paddle

    needs, release = [], paddle2onnx_release()
    if installed("paddle2onnx").split(".")[0] != release.split(".")[0]:
        needs.append(f"paddle2onnx=={release}")
    # paddle2onnx 2 brings onnx along, 1.3.1 does not; a later onnx may bring a numpy too new for Paddle 2.
    others = {"onnx": "onnx==1.17.0", "onnxruntime": "onnxruntime"}
    needs += [other for name, other in others.items() if importlib.util.find_spec(name) is None]
    if needs:
        wheels = " (paddle2onnx has wheels up to Python 3.12)" if sys.version_info >= (3, 13) else ""
        raise UserError(
            f"{flag} needs {', '.join(needs)} on paddlepaddle {paddle.__version__}: "
            f"pip install {' '.join(needs)}{wheels}"
        )


def convert(program, target):
    """Writes the exported `program`, whose parameters lie beside it, as the ONNX file `target`."""
    import paddle2onnx

    from ppcls_mixformer.hosting.inference import PADDLE_3

    parameters = program.with_suffix(".pdiparams")
    # polygraphy, the default, upgrades numpy in the running environment; paddle2onnx 1 has no such option.
    options = {"optimize_tool": "None"} if PADDLE_3 else {}
    paddle2onnx.export(str(program), str(parameters), str(target), opset_version=OPSET, **options)
    if PADDLE_3:
        restore_padding(program, target)
    see_through_identities(target)
    fold(target)


def write(program, target, unlike):
    """Writes the exported `program` as the ONNX file `target`, if ONNX Runtime gives what Paddle gives.

    Args:
        unlike: says of `target` how it differs; nothing where it does not.

    Returns:
        Why there is no `target`, one line; None if there is.
    """
    import paddle

    try:
        convert_apart(program, target)
        difference = unlike(target)
        if not difference:
            return None
        reason = f"ONNX Runtime differs from Paddle by {difference} on what paddle2onnx made of it"
    except Exception as error:  # paddle2onnx's and ONNX Runtime's own, of many types
        reason = f"paddle2onnx cannot convert this network ({first_line(error)})"
    target.unlink(missing_ok=True)
    return f"on paddlepaddle {paddle.__version__} {reason}"


def convert_apart(program, target):
    """`convert` in a process of its own, since paddle2onnx aborts its process where it lacks an operator.

    Raises:
        RuntimeError: there is no file; with what paddle2onnx said.
    """
    result = run_module("ppcls_mixformer.hosting.onnx", program, target)
    if result.returncode:
        raise RuntimeError(_gist(result.stdout) or f"status {result.returncode}")


def _gist(log):
    """What paddle2onnx does not support, by its log; else the last error there."""
    lines = [re.sub(r"\x1b\[[\d;]*m|\[Paddle2ONNX\]", "", line).strip() for line in log.splitlines()]
    lacks = [line.replace("[ERROR]", "").strip() for line in lines if "[ERROR]" in line and "support" in line]
    return (lacks[:1] or [line for line in lines if "Error" in line][-1:] or [""])[0]


def restore_padding(program, target):
    """Gives each `Pad` of the ONNX file `target` the value that it has in Paddle's `program`.

    paddle2onnx 2.1.0 writes uninitialised memory instead, since Paddle 3.3 stores that value as a double.
    """
    import onnx
    import paddle

    network = paddle.jit.load(str(program.with_suffix("")))
    graph = network.program()  # its operators are gone with it
    values = [op.attrs()["pad_value"] for op in graph.global_block().ops if op.name() == "pd_op.pad3d"]
    model = onnx.load(str(target))
    pads = [node for node in model.graph.node if node.op_type == "Pad" and "pad3d" in node.output[0]]
    if len(pads) != len(values):
        raise RuntimeError(f"it made {len(pads)} Pad of {len(values)} pad3d")
    for node, value in zip(pads, values):
        name = f"{node.output[0]}.value"
        model.graph.initializer.append(onnx.helper.make_tensor(name, onnx.TensorProto.FLOAT, [], [value]))
        node.input[2] = name
    onnx.save(model, str(target))


def see_through_identities(target):
    """Has nodes of the ONNX file `target` take what `Identity` stands for; those are left without a use.

    The rules by which ONNX Runtime infers shapes do not see a constant behind one. Where it hides the length
    of the sizes of a `Resize`, they take it for 0 and refuse the file.
    """
    import onnx

    model, stands_for = onnx.load(str(target)), {}
    for node in model.graph.node:
        node.input[:] = [stands_for.get(name, name) for name in node.input]
        if node.op_type == "Identity":
            stands_for[node.output[0]] = node.input[0]
    onnx.save(model, str(target))


def fold(target):
    """Computes once what is constant in the ONNX file `target`, such as the windows of a picture's size.

    It keeps to standard operators. ONNX Runtime imports all domains that it knows; readers may refuse those.
    """
    import onnx
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    with scratch() as folder:
        options.optimized_model_filepath = str(folder / "folded.onnx")
        onnxruntime.InferenceSession(str(target), options, providers=[CPU])
        model = onnx.load(options.optimized_model_filepath)
    used = {node.domain for node in model.graph.node}
    for domain in [known for known in model.opset_import if known.domain not in used]:
        model.opset_import.remove(domain)
    onnx.save(model, str(target))


def fix_batch(path, batch):
    """Has the ONNX file at `path` take `batch` pictures at a time, and refuse any other number."""
    import onnx

    model = onnx.load(str(path))
    for given in model.graph.input:
        given.type.tensor_type.shape.dim[0].dim_value = batch
    onnx.save(model, str(path))


def halve(source, target):
    """Writes the ONNX file `source` as `target` in half precision; its inputs and outputs stay float32.

    Raises:
        UserError: `source` takes pictures of any size.
    """
    import onnx
    from onnxruntime.transformers.float16 import convert_float_to_float16

    model = onnx.load(str(source))
    _, *sides = model.graph.input[0].type.tensor_type.shape.dim
    if not all(side.dim_value for side in sides):
        raise UserError(
            "half precision needs pictures of a fixed size: else positions are computed as floats, and "
            "half precision counts to 2048"
        )
    half = convert_float_to_float16(model, keep_io_types=True)
    sort_nodes(half.graph)  # the converter puts its casts at the end
    half.metadata_props.add(key=MADE_FROM, value=checksum(source))
    onnx.save(half, str(target))


def checksum(path):
    """CRC-32 of the file at `path`, as text: it tells exports apart, quickly."""
    value = 0
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            value = zlib.crc32(block, value)
    return f"{value:08x}"


def sort_nodes(graph):
    """Puts each node of `graph` behind those whose outputs it takes, as the format has it."""
    nodes = list(graph.node)
    made = {name: number for number, node in enumerate(nodes) for name in node.output}
    order = {n: [made[name] for name in taken(node) if name in made] for n, node in enumerate(nodes)}
    del graph.node[:]
    graph.node.extend(nodes[number] for number in TopologicalSorter(order).static_order())


def taken(node):
    """Names of the values that `node` takes, and those that the graphs in it do."""
    graphs = [attribute.g for attribute in node.attribute if attribute.HasField("g")]
    return [*node.input, *(name for graph in graphs for inner in graph.node for name in taken(inner))]


def session(path, threads=None, use_gpu=False):
    """ONNX Runtime's session for the file at `path`.

    Args:
        threads: None for its own choice.
        use_gpu: whether to use CUDA; None for CUDA where this ONNX Runtime has it.

    Raises:
        UserError: a GPU that this ONNX Runtime cannot use.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # not what it leaves out of a file, a line each
    if threads is not None:
        options.intra_op_num_threads = threads
    has_cuda = CUDA in onnxruntime.get_available_providers()
    if use_gpu and not has_cuda:
        raise UserError("this ONNX Runtime uses no GPU: install onnxruntime-gpu, or go on without")
    providers = [CUDA, CPU] if has_cuda and use_gpu is not False else [CPU]
    return onnxruntime.InferenceSession(str(path), options, providers=providers)


def largest_error(path, program, shape):
    """Largest difference between ONNX Runtime and Paddle, in any output, at batch 1 and 3.

    Args:
        path: the ONNX file.
        program: what it was converted from.
        shape: of one input, `(C, H, W)`.
    """
    import paddle

    runtime = session(path)
    model = paddle.jit.load(str(program.with_suffix("")))
    images = np.random.RandomState(0).standard_normal([3, *shape]).astype("float32")
    name, errors = runtime.get_inputs()[0].name, []
    for batch in (images[:1], images):
        expected = model(paddle.to_tensor(batch))
        expected = expected if isinstance(expected, (list, tuple)) else [expected]
        found = runtime.run(None, {name: batch})
        errors += [np.abs(mine - theirs.numpy()).max() for mine, theirs in zip(found, expected)]
    return max(errors)


def unlike(path, program, feeds, view=list):
    """How ONNX Runtime differs from paddle.inference on a network, in words; None if it does not.

    Args:
        path: the ONNX file.
        program: the export whose outputs it must give.
        feeds: inputs to try, each a dict of arrays by their names, which may hold more than is taken.
        view: what is compared, a list of arrays made of a list of outputs.
    """
    from ppcls_mixformer.hosting.inference import predictor

    runtime, run = session(path), predictor(program, onednn=False)
    names = [one.name for one in runtime.get_inputs()]
    for feed in feeds:
        expected = view(run(**feed))
        found = view(runtime.run(None, {name: feed[name] for name in names}))
        if len(found) != len(expected):
            return f"number of outputs, {len(found)} instead of {len(expected)},"
        for mine, theirs in zip(found, expected):
            if mine.shape != theirs.shape:
                return f"shape, {list(mine.shape)} instead of {list(theirs.shape)},"
            if theirs.dtype.kind in "iu" and (mine != theirs).mean() > CLASSES:
                return f"{(mine != theirs).mean():.1%} of the whole numbers"
            if theirs.dtype.kind == "f" and not deviation(mine, theirs) <= VALUES:
                return f"{deviation(mine, theirs):.1e} of the largest value"
    return None


def deviation(found, expected):
    """Largest difference of two arrays, over the largest value of the second."""
    return np.abs(found - expected).max() / max(np.abs(expected).max(), COARSE) if expected.size else 0.0


def trials(shape, sizes):
    """Noise to try a network with, whose input has `shape`, `[N, C, H, W]`, None or -1 where it is open.

    Args:
        sizes: `(N, H, W)` that take the place of what is open.

    Returns:
        One array for each of `sizes`, fewer where they come to the same.
    """
    shapes = [(batch, 3, *sides) for batch, *sides in sizes]
    shapes = [tuple(a if b in (None, -1) else b for a, b in zip(each, shape)) for each in shapes]
    random = np.random.RandomState(0)
    return [random.standard_normal(each).astype("float32") for each in dict.fromkeys(shapes)]


def relative_error(path, reference, shape):
    """Largest difference of two ONNX files, given `pictures`, over the largest value for the same picture.

    That is taken for `COARSE` at least: labels that do not exclude each other may all be next to nothing.
    """
    images = pictures(shape)
    found, expected = (runner(file)(images) for file in (path, reference))
    pairs = [pair for outputs in zip(found, expected) for pair in zip(*outputs)]
    errors = [np.abs(mine - theirs).max() / max(np.abs(theirs).max(), COARSE) for mine, theirs in pairs]
    return np.max(errors)  # NaN if one is, unlike max


def largest_value(path, shape):
    """Largest number that the network of the ONNX file at `path` computes anywhere, given `pictures`.

    ONNX Runtime takes floats for half precision on a CPU, so that an overflow would not show there.
    """
    import onnx

    model = onnx.load(str(path))
    given = {output.name for output in model.graph.output}
    inner = [name for node in model.graph.node for name in node.output if name and name not in given]
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in inner)
    with scratch() as folder:
        onnx.save(model, str(folder / "inner.onnx"))
        run = runner(folder / "inner.onnx")
    found = (value for image in pictures(shape) for value in run(image[None]))
    sequences = (value if isinstance(value, list) else [value] for value in found)
    arrays = itertools.chain.from_iterable(sequences)
    return np.max([np.abs(array).max() for array in arrays if array.dtype == np.float32 and array.size])


def runner(path):
    """A function from images to the outputs of the ONNX file at `path`, a list."""
    runtime = session(path)
    name = runtime.get_inputs()[0].name
    return lambda images: runtime.run(None, {name: images})


def pictures(shape):
    """Noise, one that is darker and one that is brighter than any picture, and one of both.

    Args:
        shape: of one, `(C, H, W)`.

    Returns:
        float32 `[4, C, H, W]`, as the network takes them.
    """
    noise = np.random.RandomState(0).standard_normal(shape)
    extremes = [np.full(shape, -EXTREME), np.full(shape, EXTREME), EXTREME * np.sign(noise)]
    return np.stack([noise, *extremes]).astype("float32")


if __name__ == "__main__":
    convert(*map(Path, sys.argv[1:]))
