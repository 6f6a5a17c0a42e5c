"""Conversion to ONNX: what paddle2onnx gets wrong is put right, what is constant folded; half precision."""

import re

import numpy as np
import paddle
import paddle.nn.functional as F
import pytest
from commands import HAS_ONNX

from ppcls_mixformer.hosting import onnx
from ppcls_mixformer.hosting.errors import UserError
from ppcls_mixformer.hosting.inference import find_program

if HAS_ONNX:
    import onnx as onnx_format


class Padded(paddle.nn.Layer):
    """Pads twice, with different values. A program without parameters cannot be loaded."""

    def __init__(self):
        super().__init__()
        self.conv = paddle.nn.Conv2D(1, 1, 1)

    def forward(self, x):
        return F.pad(self.conv(F.pad(x, [0, 1, 0, 1], value=7.0)), [2, 0, 0, 1], value=-3.0)


class Reversed(paddle.nn.Layer):
    """Takes pixels of a map from the last to the first, times `factor`, and shares a product between them."""

    def __init__(self, factor=1.0):
        super().__init__()
        self.factor = factor
        self.linear = paddle.nn.Linear(60, 30)

    def forward(self, x):
        pixels = x.shape[2] * x.shape[3]
        order = pixels - 1 - paddle.arange(pixels, dtype="int64")
        x = paddle.gather(x.flatten(2), order, axis=2) * self.factor / self.factor
        return paddle.nn.functional.softmax(self.linear(x.flatten(1)))


def write(layer, folder, shape=(1, 3, 5)):
    """Exports `layer`, which takes maps of `shape` and any batch, and gives its program."""
    layer.eval()
    spec = [paddle.static.InputSpec([None, *shape], "float32")]
    program = paddle.jit.to_static(layer, input_spec=spec, full_graph=True)
    paddle.jit.save(program, str(folder / "inference"))
    return find_program(folder)


@pytest.fixture
def converted(tmp_path):
    """A function that exports a layer for maps of `[1, 6, 10]`, converts it, and gives program and file."""

    def convert(layer):
        program = write(layer, tmp_path, (1, 6, 10))
        onnx.convert(program, tmp_path / "inference.onnx")
        return program, tmp_path / "inference.onnx"

    return convert


def load(path):
    """The ONNX file at `path`, which keeps to the format."""
    model = onnx_format.load(str(path))
    onnx_format.checker.check_model(model, full_check=True)
    return model


needs_onnx = pytest.mark.skipif(not HAS_ONNX, reason="there is no paddle2onnx")


@needs_onnx
def test_padding_keeps_its_values(tmp_path):
    layer = Padded()
    onnx.convert(write(layer, tmp_path), tmp_path / "inference.onnx")
    x = np.random.RandomState(0).standard_normal((2, 1, 3, 5)).astype("float32")
    session = onnx.session(tmp_path / "inference.onnx")
    found = session.run(None, {session.get_inputs()[0].name: x})[0]
    np.testing.assert_allclose(found, layer(paddle.to_tensor(x)).numpy(), rtol=0, atol=1e-6)


@pytest.mark.parametrize("present", ["", "0.9.2"], ids=["none", "one for another Paddle"])
def test_the_paddle2onnx_that_this_paddle_needs_is_named(monkeypatch, present):
    monkeypatch.setattr(onnx, "installed", lambda package: present)
    command = re.escape(f"pip install paddle2onnx=={onnx.paddle2onnx_release()}")
    with pytest.raises(UserError, match=f"--onnx needs .* on paddlepaddle .*: {command}"):
        onnx.require("--onnx")


@needs_onnx
def test_what_is_constant_is_folded_with_standard_operators(converted):
    program, path = converted(Reversed())
    model = load(path)
    assert [(known.domain, known.version) for known in model.opset_import] == [("", onnx.OPSET)]
    assert not {node.op_type for node in model.graph.node} & {"Range", "Constant", "Identity"}
    order = [60 - 1 - number for number in range(60)]
    assert order in [list(onnx_format.numpy_helper.to_array(value).flat) for value in model.graph.initializer]
    (given,), (made,) = model.graph.input, model.graph.output
    batches = [value.type.tensor_type.shape.dim[0] for value in (given, made)]
    assert all(batch.dim_param and not batch.dim_value for batch in batches)
    assert onnx.largest_error(path, program, [1, 6, 10]) < 1e-6


@needs_onnx
def test_half_precision_takes_and_gives_floats(converted, tmp_path):
    path, half = converted(Reversed())[1], tmp_path / "half.onnx"
    onnx.halve(path, half)
    model = load(half)
    kinds = [value.type.tensor_type.elem_type for value in (*model.graph.input, *model.graph.output)]
    assert kinds == [onnx_format.TensorProto.FLOAT] * 2
    kinds = {value.name: value.data_type for value in model.graph.initializer}
    assert (
        onnx_format.TensorProto.FLOAT not in kinds.values()
        and onnx_format.TensorProto.FLOAT16 in kinds.values()
    )
    assert 0 < onnx.relative_error(half, path, [1, 6, 10]) < 2e-3
    assert onnx.largest_value(path, [1, 6, 10]) < 100


@needs_onnx
def test_what_half_precision_cannot_hold_is_seen(converted):
    path = converted(Reversed(factor=1e5))[1]
    assert onnx.largest_value(path, [1, 6, 10]) == pytest.approx(3e5)


@needs_onnx
def test_a_file_is_kept_only_where_it_gives_what_paddle_gives(tmp_path, monkeypatch):
    monkeypatch.setattr(onnx, "convert_apart", onnx.convert)  # quicker
    program, target = write(Reversed(), tmp_path, (1, 6, 10)), tmp_path / "inference.onnx"
    feeds = [{"x": x, "other": x} for x in np.random.RandomState(0).rand(2, 2, 1, 6, 10).astype("float32")]
    assert onnx.write(program, target, lambda path: onnx.unlike(path, program, feeds)) is None
    assert target.exists()
    (tmp_path / "other").mkdir()
    other = write(Reversed(), tmp_path / "other", (1, 6, 10))  # of other weights
    reason = onnx.write(program, target, lambda path: onnx.unlike(path, other, feeds))
    assert not target.exists()
    assert re.search(
        r"^on paddlepaddle \S+ ONNX Runtime differs from Paddle by \S+ of the largest value", reason
    )
    reason = onnx.write(program, target, lambda path: 1 / 0)
    assert "paddle2onnx cannot convert this network (division by zero)" in reason and not target.exists()


class Pooled(paddle.nn.Layer):
    """Has an operator at which paddle2onnx aborts. A program without parameters cannot be loaded."""

    def __init__(self):
        super().__init__()
        self.conv = paddle.nn.Conv2D(1, 1, 1)

    def forward(self, x):
        return F.adaptive_avg_pool2d(self.conv(x), 3)


@needs_onnx
def test_a_network_at_which_paddle2onnx_aborts_is_one_line(tmp_path):
    reason = onnx.write(write(Pooled(), tmp_path, (1, None, None)), tmp_path / "inference.onnx", None)
    assert re.search(r"^on paddlepaddle \S+ paddle2onnx cannot convert this network \(.*pool.*\)$", reason)


@needs_onnx
@pytest.mark.parametrize(
    "made, said",
    [
        (lambda outputs: outputs, None),
        (lambda outputs: [outputs[0][:1]], "shape, [1, 30] instead of [2, 30],"),
        (lambda outputs: [outputs[0].argmax(1)], None),
    ],
)
def test_how_two_readers_differ(converted, made, said):
    program, path = converted(Reversed())
    (x,) = onnx.trials([-1, 1, 6, 10], [(2, 5, 5)])
    assert x.shape == (2, 1, 6, 10)
    views = iter([list, made])  # of Paddle's outputs, then of ONNX Runtime's
    view = (lambda outputs: next(views)(outputs)) if said else made
    assert onnx.unlike(path, program, [{"x": x}], view) == said


def test_noise_fills_what_a_shape_leaves_open():
    sizes = [(1, 4, 6), (2, 5, 7)]
    shapes = [[x.shape for x in onnx.trials(shape, sizes)] for shape in ([None, 3, -1, None], [-1, 3, 8, 9])]
    assert shapes == [[(1, 3, 4, 6), (2, 3, 5, 7)], [(1, 3, 8, 9), (2, 3, 8, 9)]]
    assert [x.shape for x in onnx.trials([2, 3, 8, 9], sizes)] == [(2, 3, 8, 9)]


def assemble(nodes, constants, outputs, path):
    """Writes an ONNX file that takes float32 maps `x` of `[1, 2, 3]`, any batch."""
    helper, number = onnx_format.helper, onnx_format.TensorProto.FLOAT
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info("x", number, ["N", 1, 2, 3])],
        [helper.make_tensor_value_info(name, number, None) for name in outputs],
        [onnx_format.numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    opset = [helper.make_opsetid("", onnx.OPSET)]
    onnx_format.save(helper.make_model(graph, opset_imports=opset, ir_version=8), str(path))


@needs_onnx
@pytest.mark.parametrize("offset, worst", [(0, 2e-3), (-17, 2e-3), (np.nan, None)])
def test_labels_that_are_all_next_to_nothing_and_features_of_zero_keep_half_precision(
    tmp_path, offset, worst
):
    node, (whole, half) = onnx_format.helper.make_node, (tmp_path / "whole.onnx", tmp_path / "half.onnx")
    nodes = [
        node("Flatten", ["x"], ["flat"]),
        node("Add", ["flat", "offset"], ["labels"]),
        node("Sigmoid", ["labels"], ["y"]),
        node("Mul", ["flat", "zero"], ["features"]),
    ]
    constants = {"offset": np.full(6, offset, "float32"), "zero": np.zeros(6, "float32")}
    assemble(nodes, constants, ["y", "features"], whole)
    onnx.halve(whole, half)
    error = onnx.relative_error(half, whole, [1, 2, 3])
    assert np.isnan(error) if worst is None else 0 < error < worst


@needs_onnx
def test_numbers_in_lists_and_nodes_with_graphs_are_halved(tmp_path):
    """Swin Transformer of the paddleclas wheel has such lists."""
    helper, (whole, half) = onnx_format.helper, (tmp_path / "whole.onnx", tmp_path / "half.onnx")
    number = onnx_format.TensorProto.FLOAT
    branches = {
        f"{name}_branch": helper.make_graph(
            [helper.make_node(kind, ["part", "late"], [name])],
            name,
            [],
            [helper.make_tensor_value_info(name, number, None)],
        )
        for name, kind in (("then", "Add"), ("else", "Sub"))
    }
    nodes = [
        helper.make_node("SplitToSequence", ["x"], ["parts"], axis=2),
        helper.make_node("SequenceAt", ["parts", "one"], ["part"]),
        helper.make_node("Max", ["part", "factor"], ["late"]),  # in float32, with casts around it
        helper.make_node("If", ["yes"], ["y"], **branches),
    ]
    constants = {"one": np.array(1), "factor": np.array([700.0], "float32"), "yes": np.array(True)}
    assemble(nodes, constants, ["y"], whole)
    assert onnx.largest_value(whole, [1, 2, 3]) == 703  # the brightest picture is 3
    onnx.halve(whole, half)
    load(half)
    assert onnx.relative_error(half, whole, [1, 2, 3]) < 2e-3


@needs_onnx
def test_half_precision_of_pictures_of_any_size_is_refused(tmp_path):
    program = write(Padded(), tmp_path, (1, None, None))
    onnx.convert(program, tmp_path / "inference.onnx")
    assert onnx.largest_error(tmp_path / "inference.onnx", program, [1, 4, 7]) < 1e-6
    with pytest.raises(UserError, match="needs pictures of a fixed size"):
        onnx.halve(tmp_path / "inference.onnx", tmp_path / "half.onnx")
