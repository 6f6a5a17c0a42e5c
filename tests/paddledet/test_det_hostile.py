"""Nothing in a file that PaddleDetection reads is run: neither a checkpoint's pickle nor a config's tags."""

import tarfile

import numpy as np
import paddle
import pytest
from det_tools import DETECTOR, command_line
from hostile import everything_at, strings, yaml_traps, yaml_values

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


@pytest.fixture
def read(tmp_path):
    """Reads a config that is built on the detector's, with a text added to it or to what it is built on."""
    from ppcls_mixformer.hosting import configs
    from ppcls_mixformer.paddledet.config import load

    def read(text, base_text=""):
        (tmp_path / "base.yml").write_text(f"_BASE_: [{configs.find(DETECTOR)}]\n{base_text}\n")
        (tmp_path / "x.yml").write_text(f"_BASE_: [base.yml]\n{text}\n")
        return load(str(tmp_path / "x.yml"), [])

    return read


@pytest.mark.parametrize("name", [*yaml_values("marker"), *yaml_traps()])
def test_a_hostile_yaml_is_refused_in_one_line(tmp_path, read, name):
    value = {**yaml_values(f"{tmp_path}/marker"), **yaml_traps()}[name]
    for texts in ([f"x: {value}"], ["", f"x: {value}"]):
        with pytest.raises(UserError, match="not valid YAML") as refused:
            read(*texts)
        assert "\n" not in str(refused.value)
        assert not (tmp_path / "marker").exists()


@pytest.mark.parametrize("name", [*yaml_values("marker"), *yaml_traps()])
def test_a_hostile_override_is_refused_in_one_line(tmp_path, name):
    from ppcls_mixformer.paddledet.config import load

    value = {**yaml_values(f"{tmp_path}/marker"), **yaml_traps()}[name]
    with pytest.raises(UserError, match="the value is not valid YAML") as refused:
        load(DETECTOR, [f"x={value}"])
    assert "\n" not in str(refused.value)
    assert not (tmp_path / "marker").exists()


def test_a_config_that_is_built_on_itself_is_refused(read):
    with pytest.raises(UserError, match="x.yml is built on itself"):
        read("", "_BASE_: [x.yml]")


def test_tags_of_paddledetections_own_classes_still_make_them(read):
    from ppdet.optimizer.optimizer import LinearWarmup

    config = read("LearningRate: {base_lr: 0.1, schedulers: [!LinearWarmup {start_factor: 0.5, steps: 7}]}")
    (warmup,) = config["LearningRate"]["schedulers"]
    assert isinstance(warmup, LinearWarmup) and warmup.steps == 7


def test_no_string_of_a_config_is_run(tmp_path):
    from ppdet.modeling.backbones.trans_encoder import BertFeedForward
    from ppdet.optimizer.adamw import build_adamwdl

    for text in strings(f"{tmp_path}/marker"):
        with pytest.raises(UserError):
            build_adamwdl(paddle.nn.Linear(1, 1), skip_decay_names=["x"], set_param_lr_func=text)
        with pytest.raises(UserError):
            BertFeedForward(8, 8, 1, 0.0, 0.0, act_fn=text)
        assert not (tmp_path / "marker").exists(), text


def test_a_transform_that_is_not_known_is_refused_with_its_key(tmp_path):
    from ppcls_mixformer.paddledet.config import settings

    for name in ("Decod", "os", "__builtins__", "reduce"):
        override = f"TrainReader.sample_transforms=[{{{name}: {{}}}}]"
        with pytest.raises(UserError, match=f"TrainReader.sample_transforms: '{name}' is not known"):
            settings(command_line(tmp_path, DETECTOR, override), "train")


@pytest.mark.parametrize(
    "transforms, words",
    [
        ("[{Resize: {traget_size: 9}}]", "Resize: traget_size is not an argument; did you mean target_size?"),
        ("[{Resize: {target_size: x}}]", "Resize cannot be made of its arguments: TypeError: "),
        ("[{Resize: {}}]", "Resize cannot be made of its arguments: TypeError: .*target_size"),
        ("[{Decode: null}]", "Decode: its arguments are no mapping"),
        ("[Decode]", "it is no list of transforms"),
    ],
)
def test_a_transform_that_cannot_be_made_is_refused_with_its_key(tmp_path, transforms, words):
    from ppcls_mixformer.paddledet.config import settings

    override = f"TrainReader.sample_transforms={transforms}"
    with pytest.raises(UserError, match=f"TrainReader.sample_transforms: {words}"):
        settings(command_line(tmp_path, DETECTOR, override), "train")


@pytest.mark.skipif(not hasattr(tarfile, "data_filter"), reason="this Python's tarfile takes no filter")
def test_a_downloaded_archive_leaves_no_links(tmp_path):
    from ppdet.utils import download

    with tarfile.open(tmp_path / "x.tar", "w") as archive:
        entry = tarfile.TarInfo("data/link")
        entry.type, entry.linkname = tarfile.SYMTYPE, "/etc"
        archive.addfile(entry)
    with pytest.raises(UserError, match="data/link is a link"):
        download._decompress(str(tmp_path / "x.tar"))
    assert not (tmp_path / "data").exists()
