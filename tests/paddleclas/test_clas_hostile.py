"""Nothing in a file that PaddleClas reads is run: neither a checkpoint's pickle nor a config's strings."""

import numpy as np
import paddle
import pytest
from commands import CONFIG, overrides
from hostile import everything_at

from ppcls_mixformer import WeightsError
from ppcls_mixformer.hosting.errors import UserError
from ppcls_mixformer.paddleclas import register


@pytest.fixture(scope="module")
def host():
    """PaddleClas in this process; its root folder."""
    return register()


@pytest.fixture
def files(tmp_path):
    """Folder of a run's checkpoint `x`."""
    paddle.save(paddle.nn.Linear(1, 1).state_dict(), str(tmp_path / "x.pdparams"))
    paddle.save({"x": np.zeros(1)}, str(tmp_path / "x.pdopt"))
    paddle.save({"epoch": 1, "metric": 0.5}, str(tmp_path / "x.pdstates"))
    return tmp_path


def settings(mode, *more):
    from ppcls_mixformer.paddleclas.config import settings

    return settings(["-c", CONFIG, *(part for setting in more for part in ("-o", setting))], mode)


@pytest.mark.parametrize(
    "key, suffix",
    [
        ("Arch.pretrained", ".pdparams"),
        ("Global.pretrained_model", ".pdparams"),
        ("Global.checkpoints", ".pdparams"),
        ("Global.checkpoints", ".pdopt"),
        ("Global.checkpoints", ".pdstates"),
    ],
)
def test_a_hostile_checkpoint_is_refused_under_every_key(host, digits, files, key, suffix):
    for name in everything_at(files / f"x{suffix}"):
        with pytest.raises(UserError, match=f"{key}: {files}/x{suffix}") as refused:
            settings("train", *overrides(digits, files), f"{key}={files}/x")
        assert "\n" not in str(refused.value), name


def test_a_hostile_file_that_nobody_named_is_refused(host, files):
    from ppcls.engine import engine

    engine.init_logger()
    network = paddle.nn.Linear(1, 1)
    optimizer = paddle.optimizer.SGD(parameters=network.parameters())
    for _ in everything_at(files / "best_model.pdstates"):
        with pytest.raises(WeightsError, match=f"^{files}/best_model.pdstates"):
            engine.init_model({"checkpoints": f"{files}/x"}, network, optimizer)


def test_paddle_load_is_on_guard_wherever_paddleclas_calls_it(host, files):
    from ppcls.utils import save_load

    for _ in everything_at(files / "x.pdparams"):
        with pytest.raises(WeightsError, match=f"^{files}/x.pdparams"):
            save_load.load_dygraph_pretrain(paddle.nn.Linear(1, 1), f"{files}/x")
