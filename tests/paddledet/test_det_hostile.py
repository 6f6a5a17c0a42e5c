"""Nothing in a file that PaddleDetection reads is run: neither a checkpoint's pickle nor a config's tags."""

import numpy as np
import paddle
import pytest
from det_tools import DETECTOR, command_line
from hostile import everything_at

from ppcls_mixformer import WeightsError
from ppcls_mixformer.hosting.errors import UserError

pytestmark = pytest.mark.usefixtures("host")


@pytest.fixture
def network(tmp_path):
    """A layer and its optimizer, which are saved in the folder as checkpoint `x`."""
    layer = paddle.nn.Linear(1, 1)
    optimizer = paddle.optimizer.SGD(parameters=layer.parameters())
    for suffix in (".pdparams", ".pdema"):
        paddle.save(layer.state_dict(), f"{tmp_path}/x{suffix}")
    paddle.save({**optimizer.state_dict(), "x": np.zeros(1)}, str(tmp_path / "x.pdopt"))
    return layer, optimizer


@pytest.mark.parametrize(
    "mode, key", [("train", "pretrain_weights"), ("eval", "weights"), ("train", "--resume")]
)
def test_a_hostile_checkpoint_is_refused_under_every_key(tmp_path, mode, key):
    from ppcls_mixformer.paddledet.config import settings

    path = tmp_path / "x.pdparams"
    is_flag = key.startswith("--")
    flags, overrides = ([key, path], []) if is_flag else ([], [f"{key}={path}"])
    for _ in everything_at(path):
        with pytest.raises(UserError, match=f"{key}: {path}") as refused:
            settings(command_line(tmp_path, DETECTOR, *overrides, flags=flags), mode)
        assert "\n" not in str(refused.value)


@pytest.mark.parametrize("suffix", [".pdparams", ".pdopt", ".pdema"])
def test_paddle_load_is_on_guard_wherever_paddledetection_calls_it(tmp_path, network, suffix):
    from ppdet.utils.checkpoint import load_weight

    layer, optimizer = network
    for _ in everything_at(tmp_path / f"x{suffix}"):
        with pytest.raises(WeightsError, match=f"^{tmp_path}/x{suffix}"):
            load_weight(layer, f"{tmp_path}/x", optimizer, ema=layer)


def test_the_pretrained_backbone_is_read_on_guard(tmp_path):
    from ppcls_mixformer.paddledet.backbone import MixFormer

    _, path = next(everything_at(tmp_path / "x.pdparams")), tmp_path / "x.pdparams"
    with pytest.raises(WeightsError, match=f"^{path}"):
        MixFormer("MixFormer_B0", pretrained=str(path))
    assert not (tmp_path / "marker").exists()


def test_the_cache_of_decoded_pictures_is_read_on_guard(tmp_path):
    from ppdet.data.transform.operators import DecodeCache

    picture, path = np.ones((2, 3, 3), np.uint8), tmp_path / "x.pkl"
    DecodeCache.dump(picture, str(path))
    assert (DecodeCache.load(path) == picture).all()
    for _ in everything_at(path):
        with pytest.raises(WeightsError, match=f"^{path}"):
            DecodeCache.load(str(path))
