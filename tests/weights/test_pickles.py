"""Nothing in a checkpoint runs, whoever made it; what Paddle writes reads as before."""

import collections
import os
import pickle

import hostile
import numpy as np
import paddle
import pytest

from ppcls_mixformer import WeightsError
from ppcls_mixformer.weights import pickles
from ppcls_mixformer.weights.checkpoint import read_file


def states():
    """`{name: object}` of all that Paddle's trainers save, and of every form in which Paddle saves it."""
    network = paddle.nn.Linear(3, 4)
    tensor = paddle.arange(6, dtype="float32").reshape([2, 3])
    decay = paddle.optimizer.lr.CosineAnnealingDecay(0.1, 10)
    warmup = paddle.optimizer.lr.LinearWarmup(decay, 5, 0.0, 0.1)
    optimizer = paddle.optimizer.AdamW(warmup, parameters=network.parameters(), multi_precision=True)
    network(paddle.ones([2, 3])).sum().backward()
    optimizer.step()
    return {
        "a network": network.state_dict(),
        "an optimizer": optimizer.state_dict(),
        "a schedule": warmup.state_dict(),
        "a tensor": tensor,
        "tensors": [tensor, (tensor, 3)],
        "a dense tensor": {"x": tensor.value().get_tensor(), "epoch": 3},
        "a network in a dict": {"model": network.state_dict(), "epoch": 1},
        "numbers": {"metric": np.float32(0.5), "best": np.float64(1), "n": np.int64(2), "is": np.bool_(True)},
        "containers": {"text": np.str_("x"), "names": np.array(["a", "bb"]), "set": {1, 2}, "none": None},
        "an ordered dict": collections.OrderedDict(a=tensor, b=[1.5, True, 2**70]),
        "nothing": {"x": paddle.zeros([0, 3])},
        "types": {name: tensor.astype(name) for name in ("bfloat16", "float16", "int64", "uint8", "bool")},
        "complex numbers": {"x": paddle.complex(tensor, tensor)},
        "orders": {"x": np.asfortranarray(np.ones((2, 3))), "y": np.arange(3).astype(">i4")},
    }


@pytest.mark.parametrize("protocol", [2, 3, 4])
def test_what_paddle_writes_reads_as_pickle_reads_it(tmp_path, protocol):
    for name, state in states().items():
        path = tmp_path / "x.pdparams"
        paddle.save(state, str(path), protocol=protocol)
        expected = pickle.loads(path.read_bytes(), encoding="latin1")
        with open(path, "rb") as file:
            found = pickles.unpickle(file)
        assert pickle.dumps(found) == pickle.dumps(expected), name


def test_files_of_the_other_numpy_read(tmp_path):
    path = tmp_path / "x.pdparams"
    paddle.save({"x": np.arange(3), "y": np.float32(1)}, str(path), protocol=2)
    content = path.read_bytes()
    for core in (b"cnumpy.core.multiarray\n", b"cnumpy._core.multiarray\n"):
        for written in (b"cnumpy.core.multiarray\n", b"cnumpy._core.multiarray\n"):
            content = content.replace(written, core)
        path.write_bytes(content)
        assert read_file(path)["x"].tolist() == [0, 1, 2]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", hostile.runnable("marker"))
def test_a_hostile_pickle_does_its_harm_where_nobody_is_on_guard(tmp_path, name):
    try:
        pickle.loads(hostile.runnable(str(tmp_path / "marker"))[name])
    except TypeError:
        pass  # of what it made of the folder's name, afterwards
    assert os.listdir(tmp_path) == ["marker"]


@pytest.mark.parametrize("name", [*hostile.runnable("marker"), *hostile.made_up()])
def test_a_hostile_checkpoint_is_refused_and_has_run_nothing(tmp_path, name):
    path = tmp_path / "x.pdparams"
    path.write_bytes({**hostile.runnable(str(tmp_path / "marker")), **hostile.made_up()}[name])
    with pytest.raises(WeightsError, match=f"^{path}[: ].*(never writes|not a whole)") as refused:
        read_file(path)
    assert "\n" not in refused.value.args[0]
    assert os.listdir(tmp_path) == ["x.pdparams"]


def test_the_object_is_named(tmp_path):
    path = tmp_path / "x.pdparams"
    path.write_bytes(hostile.runnable(str(tmp_path / "marker"))["a call beside a tensor"])
    with pytest.raises(WeightsError, match=f"{path} holds {os.mkdir.__module__}.mkdir, which Paddle never"):
        read_file(path)
