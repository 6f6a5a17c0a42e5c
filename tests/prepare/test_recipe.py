"""What a config says follows from the pictures by rules, and is PaddleClas's YAML."""

import math

import pytest
import yaml

from ppcls_mixformer.hosting import configs
from ppcls_mixformer.paddleclas import register
from ppcls_mixformer.prepare import recipe
from ppcls_mixformer.prepare.recipe import Choices, Data

DATA = Data(
    name="flowers",
    root="/pictures",
    folder="/data",
    classes=[f"flower {number}" for number in range(12)],
    several=False,
    lines=3000,
    counts=[250] * 12,
    repeated=0,
    short_side=320,
    sample="/pictures/a.jpg",
)


def written(data=DATA, **said):
    choices = Choices(**{"model": "MixFormer_B2", "device": "gpu", "seed": 7, **said})
    return recipe.write(data, choices, "A title")[0]


def config(data=DATA, **said):
    return yaml.safe_load(written(data, **said))


def names(operators):
    return [name for entry in operators for name in entry]


def test_the_recipe_is_kept_where_nothing_speaks_against_it():
    found, own = config(), configs.read_yaml(configs.by_name()["MixFormer_B2"])
    assert found["Loss"] == own["Loss"] and list(found) == list(own)
    for key in ("beta1", "beta2", "epsilon", "weight_decay", "no_weight_decay_name"):
        assert found["Optimizer"][key] == own["Optimizer"][key]
    train, of_recipe = (part["DataLoader"]["Train"]["dataset"] for part in (found, own))
    assert train["transform_ops"] == of_recipe["transform_ops"]
    assert (
        found["DataLoader"]["Eval"]["dataset"]["transform_ops"]
        == (own["DataLoader"]["Eval"]["dataset"]["transform_ops"])
    )


def test_classes_paths_and_seed():
    found = config()
    assert found["Arch"] == {"name": "MixFormer_B2", "class_num": 12, "pretrained": True}
    assert found["Global"]["seed"] == 7 and found["Global"]["output_dir"] == "./output/flowers/"
    for split, name in (("Train", "train"), ("Eval", "val")):
        dataset = found["DataLoader"][split]["dataset"]
        assert (dataset["image_root"], dataset["cls_label_path"]) == ("/pictures/", f"/data/{name}_list.txt")
    assert found["Infer"]["PostProcess"]["class_id_map_file"] == "/data/label_list.txt"


def test_every_choice_has_its_reason_above_it():
    lines = written().splitlines()
    for key in ("device:", "epochs:", "class_num:", "pretrained:", "learning_rate:", "warmup_epoch:"):
        index = next(i for i, line in enumerate(lines) if line.strip().startswith(key))
        assert lines[index - 1].strip().startswith("# ")
    assert max(map(len, lines)) <= 120 and lines[0] == "# A title"


@pytest.mark.parametrize(
    "short_side, size",
    [(4000, 224), (224, 224), (200, 224), (192, 192), (100, 128), (65, 96), (28, 64), (1, 64)],
)
def test_the_input_is_no_larger_than_pictures_make_it(short_side, size):
    found = config(DATA._replace(short_side=short_side))
    assert found["Global"]["image_shape"] == [3, size, size]
    for operators in (
        found["DataLoader"]["Train"]["dataset"]["transform_ops"],
        found["DataLoader"]["Eval"]["dataset"]["transform_ops"],
        found["Infer"]["transforms"],
    ):
        crops = [entry[name]["size"] for entry in operators for name in entry if "Crop" in name]
        assert crops == [size]
        assert all(
            entry["TimmAutoAugment"]["img_size"] == size for entry in operators if "TimmAutoAugment" in entry
        )


@pytest.mark.parametrize(
    "lines, device, batch",
    [(2, "cpu", 2), (20, "cpu", 16), (300, "cpu", 16), (9000, "cpu", 32), (9000, "gpu", 128)],
)
def test_the_batch_follows_the_pictures_and_the_device(lines, device, batch):
    found = config(DATA._replace(lines=lines), device=device)
    assert found["DataLoader"]["Train"]["sampler"]["batch_size"] == batch
    rate = found["Optimizer"]["lr"]["learning_rate"]
    assert rate == pytest.approx(8e-4 * math.sqrt(batch / 1024), rel=0.05)


@pytest.mark.parametrize("batch", [2, 32, 512])
def test_from_random_weights_the_rate_is_the_recipe_s_for_any_batch(batch):
    found = config(model="MixFormer_B0", batch=batch)
    own = configs.read_yaml(configs.by_name()["MixFormer_B0"])
    assert found["Optimizer"]["lr"]["learning_rate"] == float(own["Optimizer"]["lr"]["learning_rate"])


@pytest.mark.parametrize(
    "lines, model, epochs, warmup",
    [
        (500, "MixFormer_B2", 97, 6),
        (100_000, "MixFormer_B2", 30, 2),
        (100_000, "MixFormer_B0", 100, 7),
        (20, "MixFormer_B6", 100, 13),
    ],
)
def test_epochs_and_warm_up(lines, model, epochs, warmup):
    found = config(DATA._replace(lines=lines), model=model)
    assert (found["Global"]["epochs"], found["Optimizer"]["lr"]["warmup_epoch"]) == (epochs, warmup)


def test_one_epoch_has_no_warm_up():
    assert config(epochs=1)["Optimizer"]["lr"]["warmup_epoch"] == 0


def test_what_the_command_says_goes_first():
    found = config(size=96, batch=5, epochs=3, pretrained="/w.pdparams")
    assert found["Global"]["image_shape"] == [3, 96, 96] and found["Global"]["epochs"] == 3
    assert found["DataLoader"]["Train"]["sampler"]["batch_size"] == 5
    assert found["Arch"]["pretrained"] == "/w.pdparams"


def test_without_published_weights_training_starts_from_none():
    assert config(model="MixFormer_B0")["Arch"]["pretrained"] is False
    assert config(pretrained=False)["Arch"]["pretrained"] is False


@pytest.mark.parametrize("classes, topk", [(2, [1]), (5, [1]), (6, [1, 5])])
def test_topk_is_capped(classes, topk):
    found = config(DATA._replace(classes=list("abcdef")[:classes]))
    assert found["Metric"]["Eval"] == [{"TopkAcc": {"topk": topk}}]
    assert found["Infer"]["PostProcess"]["topk"] == min(classes, 5)


def test_small_pictures_are_varied_less():
    operators = config(DATA._replace(short_side=28))["DataLoader"]["Train"]["dataset"]["transform_ops"]
    assert names(operators) == ["DecodeImage", "RandCropImage", "RandFlipImage", "NormalizeImage"]
    assert operators[1]["RandCropImage"]["scale"] == [0.7, 1.0]


@pytest.mark.parametrize("classes", [["0", "1"], ["b", "d"], ["turn left", "stop"]])
def test_classes_with_sides_are_not_mirrored(classes):
    operators = config(DATA._replace(classes=classes))["DataLoader"]["Train"]["dataset"]["transform_ops"]
    assert "RandFlipImage" not in names(operators) and "RandCropImage" in names(operators)


def test_several_labels():
    found = config(DATA._replace(several=True))
    assert found["Global"]["use_multilabel"] is True
    assert found["DataLoader"]["Train"]["dataset"]["name"] == "MultiLabelDataset"
    assert names(found["Loss"]["Train"]) == ["MultiLabelLoss"]
    shown = found["Infer"]["PostProcess"]  # the labels above 0.5, as in evaluation
    assert shown == {"name": "MultiLabelTopk", "class_id_map_file": "/data/label_list.txt"}
    assert names(found["Metric"]["Eval"])[0] == "AccuracyScore"


@pytest.mark.parametrize("root", ["/with space/: and # 'quotes'", "/日本"])
def test_paths_of_all_kinds_are_read_back(root):
    assert written(DATA._replace(root=root, name="日本")).isascii()
    assert config(DATA._replace(root=root))["DataLoader"]["Train"]["dataset"]["image_root"] == f"{root}/"


@pytest.mark.parametrize("several", [False, True])
def test_paddleclas_knows_every_key_and_name(several, tmp_path, caplog):
    register()
    from ppcls_mixformer.paddleclas import config as host_config
    from ppcls_mixformer.paddleclas import labels, schema

    path = tmp_path / "config.yaml"
    path.write_text(written(DATA._replace(several=several), device="cpu", model="MixFormer_B0"))
    found, _ = host_config.read(str(path), [])
    schema.check(found, "train", [])
    labels.check(found, "train")
    assert not caplog.records
