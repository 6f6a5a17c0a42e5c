"""PaddleClas's own options on these backbones, each in a real training run of two steps."""

import re
import sys

import numpy as np
import paddle
import pytest
from commands import checkpoint, losses, overrides, retrieval, tool

from ppcls_mixformer import MixFormer_B0
from ppcls_mixformer.paddleclas import register

pytestmark = pytest.mark.slow


def train(digits, output, *settings, **options):
    return tool("train", *overrides(digits, output, epochs=1), *settings, **options)


def has_ema():
    """Whether the PaddleClas in use averages weights; that came with 2.5."""
    register()
    from ppcls.utils.ema import ExponentialMovingAverage

    return hasattr(ExponentialMovingAverage, "_update")


@pytest.fixture(scope="module")
def plain(digits, tmp_path_factory):
    """Losses of the steps of a run without options."""
    return losses(train(digits, tmp_path_factory.mktemp("plain")))


def test_amp(digits, tmp_path, plain):
    settings = ["AMP.scale_loss=128", "AMP.use_dynamic_loss_scaling=True", "AMP.level=O1"]
    log = train(digits, tmp_path, *settings, "AMP.custom_white_list=[softmax, layer_norm]")
    assert "warning: -o" not in log and re.search("INFO: AMP", log)
    np.testing.assert_allclose(losses(log), plain, rtol=0.02)


def test_options_that_change_no_step(digits, tmp_path, plain):
    settings = ["AMP.use_amp=False", "AMP.scale_loss=128", "Arch.use_sync_bn=True", "Arch.recompute=True"]
    log = train(digits, tmp_path, *settings, "Global.use_visualdl=True")
    assert losses(log) == plain
    assert not re.search("INFO: AMP", log) and "synchronized batch norm needs device gpu" in log
    assert [path for path in tmp_path.rglob("vdlrecords*.log") if path.stat().st_size]


def test_ema(digits, tmp_path, plain):
    if not has_ema():
        pytest.skip("this PaddleClas averages no weights")
    log = train(digits, tmp_path, "EMA.decay=0.5")
    np.testing.assert_allclose(losses(log), plain, atol=2e-5)
    assert "best metric ema" in log
    averages = [p for p in tmp_path.rglob("*ema*.pdparams")]
    state = paddle.load(str(averages[0]))
    index = "layers.0.blocks.0.attn.relative_position_index"
    assert state[index].dtype == paddle.int64 and np.array_equal(
        state[index].numpy(), MixFormer_B0().state_dict()[index].numpy()
    )


def test_sync_batch_norm_replaces_every_batch_norm():
    from paddle import nn

    model = MixFormer_B0()
    names = list(model.state_dict())
    synced = nn.SyncBatchNorm.convert_sync_batchnorm(model)
    kinds = [type(layer) for layer in synced.sublayers() if hasattr(layer, "_variance")]
    assert len(kinds) == sum(name.endswith("_variance") for name in names)
    assert set(kinds) == {nn.SyncBatchNorm} and list(synced.state_dict()) == names


def test_to_static(digits, tmp_path, plain):
    settings = ["Global.to_static=True", "Global.fuse_gemm_epilogue=True"]
    log = train(digits, tmp_path, *settings, "Global.eval_during_train=False")
    assert "Global.fuse_gemm_epilogue: it needs device gpu" in log
    np.testing.assert_allclose(losses(log), plain, atol=1e-4)


def test_two_processes(digits, tmp_path):
    launcher = [sys.executable, "-m", "paddle.distributed.launch", "--nproc_per_node", "2"]
    log = train(digits, tmp_path / "out", launcher=[*launcher, "--log_dir", tmp_path / "log"])
    workers = [path.read_text() for path in sorted((tmp_path / "log").glob("workerlog.*"))]
    assert len(workers) == 2 and "best metric" in workers[0] + log
    assert checkpoint(tmp_path / "out", "best_model").with_suffix(".pdparams").exists()
    # Two ranks share 96 pictures in batches of 48: one step each where one process makes two.
    assert len(losses(workers[0])) == 1


def test_retrieval(digits, tmp_path):
    path = retrieval(digits, tmp_path, "last_proj")
    log = tool("train", config=path)
    assert len(losses(log)) == 2 and "recall1" in log
    best = next(tmp_path.rglob("best_model.pdparams"))
    tool("export_model", f"Global.pretrained_model={best}", config=path)
    features = paddle.jit.load(f"{tmp_path}/inference/inference")(paddle.zeros([2, 3, 28, 28]))
    assert features.shape == [2, 64]
