"""Nothing in a file that PaddleSeg reads is run: neither a checkpoint's pickle nor a config's tags."""

import paddle
import pytest
import yaml
from commands import ROOT
from hostile import everything_at, strings, yaml_traps, yaml_values
from segmentation import CONFIG, overrides

from ppcls_mixformer import WeightsError
from ppcls_mixformer.hosting.errors import UserError
from ppcls_mixformer.paddleseg import commands

pytestmark = pytest.mark.usefixtures("host")


@pytest.fixture
def folder(tmp_path):
    """Folder of a checkpoint to resume from."""
    layer = paddle.nn.Linear(1, 1)
    (tmp_path / "iter_2").mkdir()
    for name in ("model.pdparams", "model.pdopt"):
        paddle.save(layer.state_dict(), str(tmp_path / "iter_2" / name))
    return tmp_path / "iter_2"


@pytest.mark.parametrize("name", ["model.pdparams", "model.pdopt"])
def test_a_hostile_checkpoint_is_refused_by_resume(scenes, folder, name):
    for _ in everything_at(folder / name):
        with pytest.raises(UserError, match=f"^{folder}/{name}(:| holds) ") as refused:
            commands.train(["--config", CONFIG, "--resume_model", str(folder), *overrides(scenes)])
        assert "\n" not in refused.value.args[0]


def test_a_hostile_checkpoint_is_refused_as_a_whole_network(tmp_path):
    from ppcls_mixformer.paddleseg.checkpoints import load_whole

    for _ in everything_at(tmp_path / "model.pdparams"):
        with pytest.raises(WeightsError, match=f"{tmp_path}/model.pdparams"):
            load_whole(paddle.nn.Linear(1, 1), tmp_path / "model.pdparams")


@pytest.mark.parametrize("name", ["model.pdparams", "model.pdopt"])
def test_paddle_load_is_on_guard_wherever_paddleseg_calls_it(folder, name):
    from paddleseg.utils import resume

    layer = paddle.nn.Linear(1, 1)
    for _ in everything_at(folder / name):
        with pytest.raises(WeightsError, match=f"^{folder}/{name}"):
            resume(layer, paddle.optimizer.SGD(parameters=layer.parameters()), str(folder))


def test_a_hostile_file_that_nobody_named_is_refused(folder):
    from ppcls_mixformer.paddleseg import bridges

    best = folder.parent / "best_model"
    best.mkdir()
    layer = paddle.nn.Linear(1, 1)
    for _ in everything_at(best / "model.pdstates"):
        with pytest.raises(WeightsError, match=f"^{best}/model.pdstates"):
            bridges.trainer.resume(layer, paddle.optimizer.SGD(parameters=layer.parameters()), str(folder))


def test_the_pretrained_backbone_is_read_on_guard(tmp_path):
    from ppcls_mixformer.paddleseg.backbone import MixFormer

    _, path = next(everything_at(tmp_path / "x.pdparams")), tmp_path / "x.pdparams"
    with pytest.raises(WeightsError, match=f"^{path}"):
        MixFormer("MixFormer_B0", pretrained=str(path))
    assert not (tmp_path / "marker").exists()


@pytest.mark.parametrize("name", [*yaml_values("marker"), *yaml_traps()])
def test_a_hostile_yaml_is_refused_in_one_line(tmp_path, name):
    from ppcls_mixformer.paddleseg.config import load

    value = {**yaml_values(f"{tmp_path}/marker"), **yaml_traps()}[name]
    for texts in (f"x: {value}", ""), ("", f"x: {value}"):
        for file, base, text in zip(("x.yml", "base.yml"), ("base.yml", ROOT / CONFIG), texts):
            (tmp_path / file).write_text(f"_base_: {base}\n{text}\n")
        with pytest.raises(UserError, match="not valid YAML") as refused:
            load(str(tmp_path / "x.yml"), [])
        assert "\n" not in str(refused.value)
        assert not (tmp_path / "marker").exists()


def test_a_config_that_is_built_on_itself_is_refused(tmp_path):
    from ppcls_mixformer.paddleseg.config import load

    (tmp_path / "x.yml").write_text("_base_: x.yml\n")
    with pytest.raises(UserError, match="x.yml is built on itself"):
        load(str(tmp_path / "x.yml"), [])


@pytest.mark.parametrize("name", yaml_values("marker"))
def test_the_description_of_an_export_is_read_on_guard(tmp_path, name):
    from paddleseg.deploy.infer import DeployConfig

    path = tmp_path / "deploy.yaml"
    path.write_text(f"Deploy: {{transforms: [], x: {yaml_values(f'{tmp_path}/marker')[name]}}}\n")
    with pytest.raises(yaml.YAMLError, match="tag"):
        DeployConfig(str(path))
    assert not (tmp_path / "marker").exists()


def test_no_string_of_a_config_is_run(tmp_path):
    from paddleseg.models.backbones import cae, vision_transformer

    for text in strings(f"{tmp_path}/marker"):
        for module in (cae, vision_transformer):
            with pytest.raises(UserError):
                module.Block(8, 1, norm_layer=text)
        assert not (tmp_path / "marker").exists(), text
    assert isinstance(vision_transformer.Block(8, 1, norm_layer="nn.LayerNorm").norm2, paddle.nn.LayerNorm)
