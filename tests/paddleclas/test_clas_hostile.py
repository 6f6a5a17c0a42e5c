"""Nothing in a file that PaddleClas reads is run: neither a checkpoint's pickle nor a config's strings."""

import copy
import inspect

import numpy as np
import paddle
import pytest
import yaml
from commands import CONFIG, ROOT, checked, overrides, script
from hostile import everything_at, made_up, runnable, strings, yaml_traps, yaml_values

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
            checked("train", *overrides(digits, files), f"{key}={files}/x")
        assert "\n" not in refused.value.args[0], name


def test_a_hostile_file_that_nobody_named_is_refused(host, files):
    from ppcls.engine import engine
    from ppcls.utils import save_load

    engine.init_logger()
    network = paddle.nn.Linear(1, 1)
    optimizer = paddle.optimizer.SGD(parameters=network.parameters())
    since_2_5 = "loss" in inspect.signature(save_load.init_model).parameters
    rest = ([optimizer], network) if since_2_5 else (optimizer,)
    for _ in everything_at(files / "best_model.pdstates"):
        with pytest.raises(WeightsError, match=f"^{files}/best_model.pdstates"):
            engine.init_model({"checkpoints": f"{files}/x"}, network, *rest)


def test_paddle_load_is_on_guard_wherever_paddleclas_calls_it(host, files):
    from ppcls.utils import save_load

    for _ in everything_at(files / "x.pdparams"):
        with pytest.raises(WeightsError, match=f"^{files}/x.pdparams"):
            save_load.load_dygraph_pretrain(paddle.nn.Linear(1, 1), f"{files}/x")


@pytest.fixture
def content(digits):
    """What the YAML of the tests holds, on a few pictures."""
    content = yaml.safe_load((ROOT / CONFIG).read_text())
    for split, name in (("Train", "train_list.txt"), ("Eval", "test_list.txt")):
        dataset = content["DataLoader"][split]["dataset"]
        dataset.update(image_root=str(digits), cls_label_path=f"{digits}/{name}")
    content["DataLoader"]["Train"]["dataset"]["batch_transform_ops"] = [{"OpSampler": {}}]
    content["DataLoader"]["class_num"] = 10
    content["Infer"]["PostProcess"]["class_id_map_file"] = f"{digits}/label_list.txt"
    return content


def read_and_build(path):
    """Reads a config as the commands do, and builds what PaddleClas makes of it but for the network."""
    from ppcls.data import build_dataloader, create_operators
    from ppcls.data.postprocess import build_postprocess
    from ppcls.loss import build_loss
    from ppcls.metric import build_metrics

    from ppcls_mixformer.paddleclas.config import settings

    config = settings(["-c", str(path)], "train").config
    for split in ("Train", "Eval"):
        build_dataloader(config["DataLoader"], split, "cpu")
        build_loss(config["Loss"][split])
    build_metrics(config["Metric"]["Eval"])
    create_operators(config["Infer"]["transforms"])
    build_postprocess(config["Infer"]["PostProcess"])


def under(*keys):
    """Function that puts an entry of that name under `keys` of a config: into a dict, or behind a list."""

    def put(content, name, options):
        for key in keys:
            content = content[key]
        content.append({name: options}) if isinstance(content, list) else content.update({name: options})

    return put


TRAIN = ("DataLoader", "Train", "dataset")
# What a config can say in a string that PaddleClas evaluates or looks up, and how it is put there.
VALUES = {
    "Infer NormalizeImage": lambda c, x: under("Infer", "transforms")(c, "NormalizeImage", {"scale": x}),
    "Train NormalizeImage": lambda c, x: under(*TRAIN, "transform_ops")(c, "NormalizeImage", {"scale": x}),
    "EPSILON": lambda c, x: under(*TRAIN, "transform_ops")(c, "RandomErasing", {"EPSILON": x}),
    "sl": lambda c, x: under(*TRAIN, "transform_ops")(c, "RandomErasing", {"sl": x}),
    "sh": lambda c, x: under(*TRAIN, "transform_ops")(c, "RandomErasing", {"sh": x}),
    "r1": lambda c, x: under(*TRAIN, "transform_ops")(c, "RandomErasing", {"r1": x}),
    "a transform": lambda c, x: under(*TRAIN, "transform_ops")(c, x, {}),
    "OpSampler": lambda c, x: under(*TRAIN, "batch_transform_ops", 0, "OpSampler")(c, x, {"prob": 1.0}),
    "a dataset": lambda c, x: under(*TRAIN)(c, "name", x),
    "a sampler": lambda c, x: under("DataLoader", "Eval", "sampler")(c, "name", x),
    "a loss": lambda c, x: under("Loss", "Train")(c, x, {"weight": 1.0}),
    "a metric": lambda c, x: under("Metric", "Eval")(c, x, {}),
    "an optimizer": lambda c, x: under("Optimizer")(c, "name", x),
    "a schedule": lambda c, x: under("Optimizer", "lr")(c, "name", x),
    "a regularizer": lambda c, x: under("Optimizer")(c, "regularizer", {"name": x}),
    "a network": lambda c, x: under("Arch")(c, "name", x),
    "a head": lambda c, x: under("Arch")(c, "Head", {"name": x}),
    "PostProcess": lambda c, x: under("Infer")(c, "PostProcess", {"name": x}),
    "func": lambda c, x: under("Infer")(c, "PostProcess", {"name": "DistillationPostProcess", "func": x}),
}


@pytest.mark.parametrize("place", VALUES)
def test_no_string_of_a_config_is_run(host, content, tmp_path, place):
    path = tmp_path / "x.yaml"
    for text in [*strings(f"{tmp_path}/marker"), "print", "os", "__builtins__", "logger.init_logger"]:
        changed = copy.deepcopy(content)
        VALUES[place](changed, text)
        path.write_text(yaml.safe_dump(changed))
        with pytest.raises(UserError) as refused:
            read_and_build(path)
        assert "\n" not in refused.value.args[0]
        assert not (tmp_path / "marker").exists(), text


def test_what_configs_say_in_earnest_is_built(host, content, tmp_path):
    values = {"Infer NormalizeImage": "1.0/255.0", "sl": "0.02", "r1": "1/3", "a loss": "TripletLoss"}
    for place, value in values.items():
        VALUES[place](content, value)
    (tmp_path / "x.yaml").write_text(yaml.safe_dump(content))
    read_and_build(tmp_path / "x.yaml")


@pytest.mark.parametrize("name", [*yaml_values("marker"), *yaml_traps()])
def test_a_hostile_yaml_is_refused_in_one_line(host, tmp_path, name):
    path = tmp_path / "x.yaml"
    value = {**yaml_values(f"{tmp_path}/marker"), **yaml_traps()}[name]
    path.write_text((ROOT / CONFIG).read_text() + f"\nx: {value}\n")
    with pytest.raises(UserError, match=f"{path} is not valid YAML") as refused:
        read_and_build(path)
    assert "\n" not in refused.value.args[0]
    assert not (tmp_path / "marker").exists()


def test_an_override_is_a_value_and_runs_nothing(host, tmp_path):
    from ppcls_mixformer.paddleclas.config import load

    for text in (text for text in strings(f"{tmp_path}/marker") if "=" not in text):
        assert load(CONFIG, [f"Global.x={text}"])["Global"]["x"] == text
        assert not (tmp_path / "marker").exists(), text
    for text, value in {"1e-3*2": 0.002, "[1, 2]": [1, 2], "None": None, "check": "check"}.items():
        assert load(CONFIG, [f"Global.x={text}"])["Global"]["x"] == value


def test_a_name_that_is_not_known_is_refused_with_its_key(host, content, tmp_path):
    content["Loss"]["Train"].append({"TripletLos": {"weight": 1.0}})
    (tmp_path / "x.yaml").write_text(yaml.safe_dump(content))
    text = "^Loss.Train.1: 'TripletLos' is not known to ppcls.loss; did you mean TripletLoss"
    with pytest.raises(UserError, match=text):
        read_and_build(tmp_path / "x.yaml")


def test_the_paddleclas_command_runs_nothing_either(tmp_path):
    pytest.importorskip("paddleclas")
    lines = script("clas_hostile_predict", tmp_path).splitlines()
    results = [line for line in lines if line.split(" ")[0] in ("read", "refused", "RUN")]
    pickles, texts = len({**runnable("x"), **made_up()}), len(strings("x"))
    assert len(results) == 2 * texts + pickles + 1
    assert len([line for line in results if line.startswith("refused")]) == texts + pickles
    assert results[-1].startswith("read") and not [line for line in results if line.startswith("RUN")]
