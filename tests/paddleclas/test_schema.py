"""The form of a config: misspelt, missing and impossible keys and values; PaddleClas's own configs pass."""

import ast
import copy
import logging
from pathlib import Path

import paddle
import pytest
import yaml
from commands import CONFIG, ROOT, checked, refusal, retrieval
from paddle.utils import unique_name

from ppcls_mixformer import MixFormer_B0
from ppcls_mixformer.hosting import configs
from ppcls_mixformer.hosting.errors import UserError


@pytest.fixture
def content(digits, tmp_path):
    """What the tests' config holds, on a few pictures."""
    content = yaml.safe_load((ROOT / CONFIG).read_text())
    content["Global"]["output_dir"] = str(tmp_path)
    for split, name in (("Train", "train_list.txt"), ("Eval", "test_list.txt")):
        dataset = content["DataLoader"][split]["dataset"]
        dataset.update(image_root=str(digits), cls_label_path=f"{digits}/{name}")
    content["Infer"]["infer_imgs"] = str(digits / "test")
    content["Infer"]["PostProcess"]["class_id_map_file"] = f"{digits}/label_list.txt"
    return content


@pytest.fixture
def read(host, tmp_path, caplog):
    """Function that reads a config of that content for a mode; returns the config and the warnings."""
    from ppcls_mixformer.paddleclas.config import settings

    def read_config(content, mode="train", *more):
        path = tmp_path / "x.yaml"
        path.write_text(yaml.safe_dump(content))
        caplog.clear()
        options = [part for setting in more for part in ("-o", setting)]
        flags = [] if mode == "train" else ["--random-weights"]
        config = settings(["-c", str(path), *options, *flags], mode).config
        warned = [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING]
        return config, [line for line in warned if "--random-weights" not in line]

    return read_config


def at(content, key):
    """The section and the last part of a dotted key."""
    *parts, last = key.split(".")
    for part in parts:
        content = content[int(part) if isinstance(content, list) else part]
    return content, int(last) if isinstance(content, list) else last


def put(content, key, value):
    content = copy.deepcopy(content)
    section, last = at(content, key)
    section[last] = value
    return content


def without(content, key):
    content = copy.deepcopy(content)
    section, last = at(content, key)
    del section[last]
    return content


def renamed(content, key, name):
    content = copy.deepcopy(content)
    section, last = at(content, key)
    section[name] = section.pop(last)
    return content


def test_a_config_without_mistakes_has_nothing_to_say(read, content):
    for mode in ("train", "eval", "infer", "export"):
        assert read(content, mode)[1] == []


@pytest.mark.parametrize(
    "setting, takes",
    [
        ("use_amp=false", "'false'; it takes True or False"),
        ("scale_loss=big", "'big'; it takes a number above 0"),
        ("scale_loss=0", "0; it takes a number above 0"),
        ("use_dynamic_loss_scaling=yes", "'yes'; it takes True or False"),
    ],
)
def test_a_setting_of_mixed_precision_that_is_none_is_refused(read, content, setting, takes):
    content["AMP"] = {"scale_loss": 128.0}
    assert refusal(read, content, "train", f"AMP.{setting}") == f"AMP.{setting.split('=')[0]} is {takes}"


@pytest.mark.parametrize(
    "key, near",
    [
        ("Global.print_batch_stp", "is it Global.print_batch_step?"),
        ("Optimizer.beta_1", "is it Optimizer.beta1?"),
        ("Optimizer.lr.warmup_epochs", "is it Optimizer.lr.warmup_epoch?"),
        ("Global.use_visualDL", "is it Global.use_visualdl?"),
        ("Inferr", "is it Infer?"),
    ],
)
def test_a_key_that_is_nearly_known_gets_one_warning(read, content, key, near):
    known = near[len("is it ") : -1]
    (line,) = read(renamed(content, known, key.split(".")[-1]), "export")[1]
    assert key in line and near in line


def test_a_key_of_a_later_release_is_said_to_be_one(read, content):
    from ppcls_mixformer.paddleclas import keys

    lines = read(put(content, "Global.start_eval_epoch", 2))[1]
    if keys.release() == "2.3":
        assert lines == ["Global.start_eval_epoch: PaddleClas 2.5 and later read it, this is 2.3"]
    else:
        assert lines == []
    assert read(content, "train", "Global.start_eval_epoch=2")[1] == lines


@pytest.mark.parametrize(
    "setting, since",
    [("EMA.decay=0.9", "2.5"), ("Global.train_mode=fixmatch", "2.6"), ("Global.iter_per_epoch=5", "2.6")],
)
def test_no_training_goes_on_without_what_it_would_be_another(read, content, setting, since):
    from ppcls_mixformer.paddleclas import keys

    if keys.release() >= since:
        assert read(content, "train", setting)[1] == []
    else:
        line = refusal(read, content, "train", setting)
        assert f"PaddleClas {since} and later train with it, this is {keys.release()}: leave it out" in line
        assert read(content, "eval", setting)[1]


@pytest.mark.parametrize(
    "key, home",
    [
        ("DataLoader.Train.loader.num_worker", "DataLoader.Train.loader.num_workers"),
        ("DataLoader.Train.loader.workers", "DataLoader.Train.loader.num_workers"),
        ("DataLoader.Train.loader.batch_size", "DataLoader.Train.sampler.batch_size"),
        ("DataLoader.Train.batch_size", "DataLoader.Train.sampler.batch_size"),
        ("DataLoader.Train.num_workers", "DataLoader.Train.loader.num_workers"),
        ("DataLoader.Train.samplers", "DataLoader.Train.sampler"),
        ("DataLoader.num_workers", "DataLoader.Train.loader.num_workers"),
        ("Global.batch_size", "DataLoader.Train.sampler.batch_size"),
    ],
)
def test_a_key_of_a_loader_in_another_place_gets_one_warning(read, content, key, home):
    (line,) = read(put(content, key, 3))[1]
    assert line.replace("Eval", "Train") == f"{key}: PaddleClas reads no such key; is it {home}?"


def test_what_a_sampler_without_a_class_reads_is_known(read, content):
    content["DataLoader"]["Train"]["sampler"] = {
        "batch_size": 8,
        "drop_last": True,
        "shuffle": True,
        "drop": 1,
    }
    (line,) = read(content)[1]
    assert "is it DataLoader.Train.sampler.drop_last?" in line


def test_devices_are_those_of_the_release(read, content):
    from ppcls_mixformer.paddleclas import keys

    text = refusal(read, put(content, "Global.device", "gup"))
    assert ("mlu" in text, "intel_gpu" in text) == (keys.release() > "2.3", keys.release() > "2.5")


def test_a_key_without_a_neighbour_is_left_alone(read, content):
    content = put(put(content, "Global.my_own_note", "x"), "notes", {"a": 1})
    assert read(put(content, "Optimizer.remark", 3))[1] == []


@pytest.mark.parametrize(
    "key, name, text",
    [
        (
            "Loss.Train.0.CELoss.epsilon",
            "epsilo",
            "Loss.Train.0.CELoss.epsilo is not an argument of CELoss; did",
        ),
        ("Metric.Eval.0.TopkAcc.topk", "top_k", "Metric.Eval.0.TopkAcc.top_k is not an argument of TopkAcc"),
        ("DataLoader.Train.dataset.transform_ops.1.RandCropImage.scale", "scales", "did you mean scale?"),
        ("DataLoader.Eval.dataset.image_root", "image_rot", "is DataLoader.Eval.dataset.image_rot meant?"),
        ("DataLoader.Train.sampler.shuffle", "shufle", "DataLoader.Train.sampler.shufle is not an argument"),
        ("Loss.Train.0.CELoss.weight", "wieght", "is Loss.Train.0.CELoss.wieght meant?"),
        ("Optimizer.lr.learning_rate", "learnin_rate", "is Optimizer.lr.learnin_rate meant?"),
        (
            "Optimizer",
            "Optimzer",
            "the config has no Optimizer, which train needs: a section; is Optimzer meant?",
        ),
        ("Global.output_dir", "output_dri", "the config has no Global.output_dir, which train needs"),
        ("Optimizer.lr", "LR", "the config has no Optimizer.lr"),
        ("DataLoader.Train.loader.num_workers", "num_worker", "is DataLoader.Train.loader.num_worker meant?"),
        ("Loss.Train", "train", "the config has no Loss.Train"),
        ("DataLoader.Train", "Trian", "is DataLoader.Trian meant?"),
    ],
)
def test_a_misspelt_key_that_matters_is_refused(read, content, key, name, text):
    assert text in refusal(read, renamed(content, key, name))


@pytest.mark.parametrize("mode", ["train", "eval", "infer", "export"])
def test_what_a_mode_needs_is_missed_by_its_name(read, content, mode):
    needed = {
        "train": ["Loss", "Optimizer", "Metric", "Global.epochs", "DataLoader.Eval", "Optimizer.name"],
        "eval": ["Metric", "Metric.Eval", "DataLoader.Eval.sampler", "Global.print_batch_step"],
        "infer": ["Infer", "Infer.infer_imgs", "Infer.PostProcess.name", "Infer.transforms"],
        "export": ["Global.save_inference_dir", "Global.image_shape", "Global.device"],
    }
    for key in needed[mode]:
        assert f"the config has no {key}, which {mode} needs" in refusal(read, without(content, key), mode)


@pytest.mark.parametrize(
    "key, value, words",
    [
        ("Global.epochs", "eight", "a whole number from 1 on"),
        ("Global.epochs", 0, "a whole number from 1 on"),
        ("Global.epochs", -1, "a whole number from 1 on"),
        ("Global.epochs", True, "a whole number from 1 on"),
        ("Global.device", "gup", "one of cpu, gpu"),
        ("Global.save_interval", 0, "a whole number other than 0"),
        ("Global.seed", "abc", "a whole number from 0 on"),
        ("Global.unreadable_share", "1 %", "a share of all pictures, from 0 to 1"),
        ("Global.unreadable_share", 5, "a share of all pictures, from 0 to 1"),
        ("Global.unreadable_share", None, "a share of all pictures, from 0 to 1"),
        ("Global.eval_during_train", "yes please", "True or False"),
        ("DataLoader.Train.sampler.batch_size", 0, "a whole number from 1 on"),
        ("DataLoader.Eval.loader.num_workers", -1, "a whole number from 0 on"),
        ("Optimizer.lr.learning_rate", "fast", "a number above 0"),
        ("Optimizer.lr.learning_rate", -0.1, "a number above 0"),
        ("Optimizer.beta1", "big", "a number, such as 0.9"),
        ("Loss", [], "a section"),
        ("Loss.Train", {}, "a list with at least one entry"),
        ("Loss.Train.0", {"CELoss": 3}, "the arguments of CELoss, a section"),
    ],
)
def test_a_value_of_another_kind_is_refused(read, content, key, value, words):
    text = refusal(read, put(content, key, value))
    assert words in text and text.startswith(key)


@pytest.mark.parametrize(
    "key, value, text",
    [
        (
            "Optimizer.beta1",
            -1,
            "Optimizer: AdamW cannot be built with these arguments (ValueError: Invalid value",
        ),
        ("Optimizer.lr.eta_min", [], "Optimizer.lr: Cosine cannot be built"),
        ("Loss.Train.0.CELoss.epsilon", "x", "Loss.Train.0.CELoss: CELoss cannot be built"),
        ("Metric.Eval.0.TopkAcc.topk", {}, "Metric.Eval.0.TopkAcc: TopkAcc cannot be built"),
        ("DataLoader.Train.dataset.transform_ops.2.NormalizeImage.mean", [0.5], "cannot reshape array"),
        (
            "DataLoader.Eval.dataset.transform_ops.1.ResizeImage.interpolation",
            "cubic",
            "ResizeImage: ResizeImage",
        ),
        ("Infer.PostProcess.topk", "all", "Infer.PostProcess"),
        ("Infer.PostProcess.topk", [1, 5], "(AssertionError: assert isinstance(topk, (int, )"),
        ("Metric.Eval.0.TopkAcc.topk", "1", "(AssertionError: assert isinstance(topk, (int, list, tuple)"),
    ],
)
def test_values_that_nothing_can_be_built_of_are_refused(read, content, key, value, text):
    assert text in refusal(read, put(content, key, value), "infer" if key.startswith("Infer") else "train")


def test_what_is_tried_takes_no_names_from_the_parameters(read, content, tmp_path):
    weights = tmp_path / "own.pdparams"
    paddle.save(MixFormer_B0(class_num=10).state_dict(), str(weights))
    content["Loss"]["Train"].append({"CenterLoss": {"weight": 0.1, "num_classes": 10, "feat_dim": 4}})
    with unique_name.guard():
        read(content, "train", f"Global.pretrained_model={weights}")
        assert paddle.nn.Linear(1, 1).weight.name == "linear_0.w_0"


def test_only_what_a_mode_builds_is_tried(read, content):
    changed = put(content, "Optimizer.beta1", -1)
    for mode in ("eval", "infer", "export"):
        read(changed, mode)


def test_arguments_of_networks_are_checked(read, content):
    content["Arch"] = {"name": "ResNet50", "class_num": 10}
    assert read(content)[1] == []
    (line,) = read(renamed(content, "Arch.class_num", "class_nums"), "export")[1]
    assert line == "Arch.class_nums: ResNet50 reads no such key; is it Arch.class_num?"


def test_retrieval_and_operators_within_operators(read, content, digits, tmp_path):
    path = retrieval(digits, tmp_path, "last_proj")
    found = yaml.safe_load(path.read_text())
    assert read(found)[1] == []
    assert "Arch.Head.margins is not an argument of ArcMargin" in refusal(
        read, renamed(found, "Arch.Head.margin", "margins")
    )
    assert "the config has no Arch.Neck.embedding_size" in refusal(
        read, without(found, "Arch.Neck.embedding_size")
    )
    sampler = {"OpSampler": {"MixupOperator": {"alpha": 0.8, "prob": 0.5}}}
    content["DataLoader"]["Train"]["dataset"]["batch_transform_ops"] = [sampler]
    read(content)
    key = "DataLoader.Train.dataset.batch_transform_ops.0.OpSampler.MixupOperator.alpha"
    assert "MixupOperator.alph is not an argument of" in refusal(read, renamed(content, key, "alph"))


def test_a_head_as_large_as_nobody_said_is_mentioned(read, content):
    content = without(content, "Arch.class_num")
    lines = read(content)[1]
    assert lines and all("Arch.class_num is not set, so it is 1000; the labels of" in line for line in lines)
    assert "Arch.class_num is 'ten'" in refusal(
        read, {**content, "Arch": {"name": "ResNet50", "class_num": "ten"}}
    )


def test_topk_is_capped(read, content, digits):
    for split in ("Train", "Eval"):
        path = content["DataLoader"][split]["dataset"]
        path["cls_label_path"] = path["cls_label_path"].replace(f"{digits}/t", f"{digits}/parity_t")
    content["Arch"]["class_num"] = 2
    config, lines = read(content)
    assert config["Metric"]["Eval"][0]["TopkAcc"]["topk"] == [1, 2]
    assert config["Infer"]["PostProcess"]["topk"] == 2 and len(lines) == 3
    assert "Metric.Eval.0.TopkAcc.topk: [1, 5] for 2 classes; it is [1, 2] now" in lines


def test_topk_is_capped_by_the_classes_of_any_network(read, content):
    metric = {"DistillationTopkAcc": {"model_key": "Student", "topk": [1, 50]}}
    content["Metric"] = {"Eval": [metric]}
    one = {"name": "MixFormer_B0", "class_num": 10}
    content["Arch"] = {"name": "DistillationModel", "models": [{"Teacher": one}, {"Student": one}]}
    assert read(content)[0]["Metric"]["Eval"][0]["DistillationTopkAcc"]["topk"] == [1, 10]


def test_the_recipes_learning_rate_gets_a_hint(read, content):
    key = "Optimizer.lr.learning_rate"
    weights = "Arch.pretrained=True"
    (line,) = read(content, "train", f"{key}=8e-4", weights)[1]
    assert "is the recipe's for 1024 images a step, here are 48" in line and f"-o {key}=0.00017" in line
    assert read(content, "train", f"{key}=8e-4")[1] == []  # from random weights, as `prepare` has it
    assert read(content, "train", f"{key}=7e-4", weights)[1] == []
    assert read(content, "eval", f"{key}=8e-4", weights)[1] == []


def test_stages_frozen_with_random_weights_get_a_hint(read, content):
    frozen = "Arch.frozen_stages=2"
    (line,) = read(content, "train", frozen)[1]
    assert line.startswith("Arch.frozen_stages is 2, but training starts from random weights")
    assert read(content, "train", frozen, "Arch.pretrained=True")[1] == []
    assert read(content, "train", "Arch.frozen_stages=-1")[1] == read(content, "eval", frozen)[1] == []


def test_pictures_have_three_channels(read, content):
    for mode in ("train", "eval", "infer"):
        text = refusal(read, put(content, "Arch.in_chans", 1), mode)
        assert (
            text.startswith("Arch.in_chans is 1, but the pictures of ") and "arrive with 3 channels" in text
        )
    assert "Global.image_shape [3, 28, 28]" in refusal(read, put(content, "Arch.in_chans", 1), "export")
    read(put(put(content, "Arch.in_chans", 1), "Global.image_shape", [1, 28, 28]), "export")
    content["Arch"]["in_chans"] = 4
    for split in ("Train", "Eval"):
        operators = content["DataLoader"][split]["dataset"]["transform_ops"]
        operators[-1]["NormalizeImage"]["channel_num"] = 4
    read(content)


@pytest.mark.parametrize(
    "mode, key", [("train", "DataLoader.Train.dataset.transform_ops"), ("infer", "Infer.transforms")]
)
def test_pictures_are_normalized(read, content, mode, key):
    section, last = at(content, key)
    section[last] = [entry for entry in section[last] if "NormalizeImage" not in entry]
    assert refusal(read, content, mode).startswith(f"{key} has no NormalizeImage: pictures would arrive as")


def test_slim_needs_its_package(read, content):
    content["Slim"] = {"prune": {"name": "fpgm", "pruned_ratio": 0.3}}
    assert "Slim.prune needs paddleslim, which is not installed" in refusal(read, content)


def read_by_name(tree):
    """`(section, key)` of every key of a config that PaddleClas's code reads by name."""
    folders = ("ppcls/engine", "ppcls/utils", "ppcls/arch/slim", "tools")
    files = [path for folder in folders for path in (tree / folder).rglob("*.py")]
    for path in [*files, tree / "ppcls/arch/__init__.py", tree / "ppcls/data/__init__.py"]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = access(node)
            if names and len(names) > 1:
                yield tuple(names[:2])


def access(node):
    """The names in `config["Global"]["epochs"]`, `config.Global.get("epochs")` and the like, or None."""
    if isinstance(node, ast.Attribute) and node.attr == "config" or getattr(node, "id", "") == "config":
        return []
    key = None
    if isinstance(node, ast.Subscript):
        key, node = node.slice, node.value
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "get":
        key, node = node.args[0], node.func.value
    elif isinstance(node, ast.Attribute) and node.attr[0].isupper():
        key, node = ast.Constant(node.attr), node.value
    before = access(node) if isinstance(key, ast.Constant) and isinstance(key.value, str) else None
    return None if before is None else [*before, key.value]


def test_the_tables_of_keys_are_those_of_the_code(host):
    from ppcls_mixformer.paddleclas import keys

    read_there = set(read_by_name(Path(host))) - {("Global", "distributed")}
    for section in ("Global", "Infer", "EMA", "Slim"):
        found = {key for name, key in read_there if name == section}
        assert found <= set(keys.known(section)), section
    code = "".join(path.read_text(encoding="utf-8") for path in (Path(host) / "ppcls").rglob("*.py"))
    for section in keys.SECTIONS:
        for key in set(keys.known(section)) - set(keys.OWN.get(section, ())):
            assert f'"{key}"' in code or f"'{key}'" in code or f".{key}" in code or f"{key}=" in code, key
        for key in set(keys.since(section)) - set(keys.known(section)):
            assert (section, key) not in read_there, key


# Of PaddleClas's own configs, five cannot be built as they are.
BROKEN = (
    "is not known to ppcls.data.preprocess",
    "TimmAutoAugment cannot be built with these arguments (AttributeError: 'NoneType' object",
    "Piecewise cannot be built with these arguments (ValueError: The values have one more element",
)


def test_paddleclas_own_configs_are_in_form(host, caplog):
    from ppcls.utils import config as ppcls_config

    from ppcls_mixformer.paddleclas import schema

    refused, looked_at = [], 0
    for path in sorted((Path(host) / "ppcls/configs").rglob("*.yaml")):
        config = ppcls_config.parse_config(str(path))
        if all(isinstance(config.get(key), dict) for key in ("Global", "Arch", "DataLoader", "Loss")):
            looked_at += 1
            try:
                schema.check(config, "train")
            except UserError as error:
                refused.append(str(error))
    if not looked_at:
        pytest.skip("this PaddleClas has no configs")
    assert caplog.records == []
    assert [text for text in refused if not any(fault in text for fault in BROKEN)] == []


@pytest.mark.slow
def test_no_value_whatever_gives_a_traceback(host, content, monkeypatch):
    from ppcls_mixformer.paddleclas.config import dotted_keys

    parse, given = configs.read_yaml, {}

    def read_yaml(path):  # parsing takes most of the time
        return copy.deepcopy(given) if Path(path).name == Path(CONFIG).name else parse(path)

    monkeypatch.setattr(configs, "read_yaml", read_yaml)
    values = (None, "x", -1, 0, [], {}, [{}], True, 3.5)
    for number, key in enumerate(list(dotted_keys(content))):
        variants = [put(content, key, value) for value in values[number % 3 :: 3]]  # all would take minutes
        for changed in [*variants, without(content, key)]:
            given.clear()
            given.update(changed)
            for mode, flags in (("train", ()), ("infer", ["--random-weights"])):
                try:
                    checked(mode, flags=flags)
                except UserError as error:
                    assert "\n" not in error.args[0], key
