"""Each bridge between PaddleClas and today's Paddle: what it fixes, and that it is broken without it.

The PaddleClas in use may need only some of them; the others are held to a stand-in of the code they fix.
"""

import math

import numpy as np
import paddle
import PIL
import pytest
from PIL import Image, ImageOps
from stand_ins import send, server

from ppcls_mixformer.hosting.whole import PREFIX


@pytest.fixture(scope="module")
def bridges():
    """The module of the bridges, applied to the PaddleClas in use."""
    from ppcls_mixformer.paddleclas import register

    register()
    from ppcls_mixformer.paddleclas import bridges

    return bridges


def test_scalars_of_losses_have_one_element(bridges):
    values = bridges._with_one_element_values(lambda: {"loss": paddle.to_tensor(1.5)})()
    assert values["loss"].numpy()[0] == 1.5
    with pytest.raises(IndexError):
        paddle.to_tensor(1.5).numpy()[0]


def test_averages_of_metrics_have_one_element(bridges):
    class Meter:
        def update(self, val, n=1):
            self.avg = val

        def info(self):
            return self.avg.numpy()[0]

    meter = Meter()
    meter.update(paddle.to_tensor(0.5))
    with pytest.raises(IndexError):
        meter.info()
    Meter.update = bridges._with_one_element_value(Meter.update)
    meter.update(paddle.to_tensor(0.5))
    assert meter.info() == 0.5


def test_flags_that_this_paddle_lacks_are_left_out(bridges):
    flag = "FLAGS_max_inplace_grad_add"
    before = paddle.get_flags(flag)[flag]
    try:
        paddle.fluid.set_flags({"FLAGS_that_no_paddle_has": 1, flag: 8})
        assert paddle.get_flags(flag)[flag] == 8
    finally:
        paddle.set_flags({flag: before})
    with pytest.raises(ValueError):
        paddle.set_flags({"FLAGS_that_no_paddle_has": 1})


def test_a_cpu_has_a_device_id(bridges):
    assert paddle.distributed.ParallelEnv().device_id == 0


def averaged(update):
    """Type of the integers, and the weights, after one step of an exponential moving average."""
    own = {"weight": paddle.ones([2]), "index": paddle.arange(3)}
    model = {"weight": paddle.zeros([2]), "index": paddle.arange(3)}
    update(own, model, lambda ema, value: 0.5 * ema + 0.5 * value)
    return own["index"].dtype, own["weight"].tolist()


def test_an_average_leaves_integers_alone(bridges):
    def update(self, model, update_fn):
        for name, value in model.items():
            paddle.assign(update_fn(self[name], value), self[name])

    assert averaged(bridges._floats_only(update)) == (paddle.int64, [0.5, 0.5])
    try:
        assert averaged(update)[0] != paddle.int64
    except (TypeError, ValueError, RuntimeError):
        pass  # some Paddles refuse what others turn into floats


def test_bridges_are_applied_once(bridges):
    import ppcls.engine.engine

    first = ppcls.engine.engine.init_model
    bridges.apply()
    assert ppcls.engine.engine.init_model is first and not hasattr(first.bridged, "bridged")


class Broken:
    """An optimizer whose state cannot be had, in the list that PaddleClas saves."""

    def state_dict(self):
        raise RuntimeError("disk full")

    def __iter__(self):
        return iter([self])


def test_a_save_that_fails_leaves_the_old_checkpoint(bridges, tmp_path):
    from ppcls.utils import save_load

    (tmp_path / "latest.pdparams").write_bytes(b"old")
    with pytest.raises(RuntimeError, match="disk full"):
        save_load.save_model(
            paddle.nn.Linear(2, 2), Broken(), {"metric": 0.5}, str(tmp_path), prefix="latest"
        )
    assert (tmp_path / "latest.pdparams").read_bytes() == b"old"
    assert not list(tmp_path.rglob(f"{PREFIX}*"))


@pytest.mark.parametrize("name, perfect", [("mAP", 1.0), ("mINP", math.inf)])  # its rank starts at 0
def test_metrics_of_retrieval_are_numbers(bridges, name, perfect):
    from ppcls.metric import metrics

    similar = paddle.to_tensor([[0.9, 0.1], [0.2, 0.8]])
    images = paddle.to_tensor([[0], [1]])
    result = getattr(metrics, name)()(similar, images, images, None)
    assert float(result[name]) == pytest.approx(perfect)
    with pytest.raises(IndexError):
        paddle.mean(similar).numpy()[0]


def test_a_posterize_of_no_bits_is_black(bridges):
    from ppcls.data.preprocess.ops import timm_autoaugment

    picture = Image.new("RGB", (2, 2), (200, 100, 50))
    assert timm_autoaugment.posterize(picture, 0).getextrema() == ((0, 0), (0, 0), (0, 0))
    assert timm_autoaugment.posterize(picture, 4).getpixel((0, 0)) == (192, 96, 48)
    if int(PIL.__version__.split(".")[0]) >= 12:
        with pytest.raises(ValueError):
            ImageOps.posterize(picture, 0)


def test_transforms_find_the_names_that_numpy_dropped(bridges):
    from ppcls.data import preprocess

    picture = np.zeros([8, 8, 3], "uint8")
    transform = preprocess.AutoAugment()
    for _ in range(200):
        assert transform(picture).shape == (8, 8, 3)
    assert not hasattr(np, "int")
    if hasattr(preprocess, "MixupCutmixHybrid"):
        assert (
            len(preprocess.MixupCutmixHybrid(cutmix_alpha=1.0, mixup_alpha=0.0)._params_per_elem(4)[0]) == 4
        )


def test_weights_of_other_networks_are_downloaded(bridges, host, tmp_path, monkeypatch):
    from ppcls.arch import MobileNetV3_small_x0_35
    from ppcls.utils import download, save_load

    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(download, "WEIGHTS_HOME", str(tmp_path / "weights"))
    paddle.save(MobileNetV3_small_x0_35(class_num=2).state_dict(), str(tmp_path / "own.pdparams"))
    content = (tmp_path / "own.pdparams").read_bytes()
    network = MobileNetV3_small_x0_35(class_num=2)
    load = getattr(save_load, "load_dygraph_pretrain_from_url", save_load.load_dygraph_pretrain)
    with server(lambda handler: send(handler, content)) as address:
        load(network, f"{address}/x_pretrained.pdparams")
    state = paddle.load(str(tmp_path / "own.pdparams"))
    assert np.array_equal(network.state_dict()["fc.weight"].numpy(), state["fc.weight"].numpy())


def test_datasets_read_lists_as_people_have_them(bridges, tmp_path):
    from ppcls.data.dataloader.imagenet_dataset import ImageNetDataset
    from ppcls.data.dataloader.multilabel_dataset import MultiLabelDataset

    listing = tmp_path / "list.txt"
    listing.write_text("\ufeffmy cat.png 1\n\nb.png 0\n", encoding="utf-8")
    dataset = ImageNetDataset(str(tmp_path), str(listing))
    assert dataset.images == [f"{tmp_path}/my cat.png", f"{tmp_path}/b.png"] and dataset.labels == [1, 0]
    with pytest.raises((ValueError, AssertionError)):
        ImageNetDataset._load_anno.bridged(dataset)
    listing.write_text("my cat.png\t1,0\n\n")
    dataset = MultiLabelDataset(str(tmp_path), str(listing))
    assert dataset.images == [f"{tmp_path}/my cat.png"] and dataset.labels == [[1, 0]]
