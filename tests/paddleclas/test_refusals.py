"""What cannot work is said in one line before anything is built, with the key that is wrong."""

import logging
import sys

import paddle
import pytest
import yaml
from commands import CONFIG, ROOT, checked, error_line, overrides, retrieval, run, tool
from commands import refusal as refusal_of


def read(*settings, mode="train", **options):
    """PaddleClas's config, once it is checked."""
    return checked(mode, *settings, **options)


def refusal(*settings, **options):
    """What PaddleClas's settings are refused with."""
    return refusal_of(read, *settings, **options)


@pytest.mark.parametrize(
    "settings, text",
    [
        (["DataLoader=None"], "-o DataLoader replaces a section, which every command needs"),
        (["Arch=x"], "-o Arch replaces a section, which every command needs"),
        (["DataLoader.Train.dataset.image_root=nowhere"], "there is no folder nowhere"),
        (["Arch.class_num=5"], "needs Arch.class_num of at least"),
        (["Arch.name=MixFormer_B9"], "did you mean MixFormer_B"),
        (["Arch.drop_path=0.1"], "did you mean drop_path_rate?"),
        (["Arch.drop_path_rate=2.0"], "Arch of MixFormer_B0: drop_path_rate must be in [0, 1), got 2.0"),
        (["Global.checkpoints=nowhere"], "checkpoint not found"),
        (["Global.epochs"], "an override is written key=value"),
        (["Global.epochs.a=1"], "epochs is a plain value"),
    ],
)
def test_what_cannot_work_is_named(digits, tmp_path, settings, text):
    assert text in refusal(*overrides(digits, tmp_path), *settings)


@pytest.mark.skipif(
    paddle.is_compiled_with_cuda() and paddle.device.cuda.device_count() > 0, reason="this machine has a GPU"
)
def test_a_gpu_that_is_not_there_is_named(digits, tmp_path):
    assert "Global.device=cpu" in refusal(*overrides(digits, tmp_path), "Global.device=gpu")


@pytest.mark.parametrize(
    "setting, text",
    [
        ("Arch.Backbone.drop_path=0.1", "Arch.Backbone.drop_path is not an argument of MixFormer_B0; did"),
        ("Arch.Backbone.drop_path_rate=2.0", "Arch.Backbone of MixFormer_B0: drop_path_rate must be in"),
        ("Arch.Backbone.name=MixFormer_B9", "Arch.Backbone.name MixFormer_B9 is not a model"),
        ("Arch.Backbone.pretrained=nowhere", "Arch.Backbone.pretrained: checkpoint not found: nowhere"),
        ("Arch.Head.class_num=5", "needs Arch.Head.class_num of at least"),
    ],
)
def test_errors_of_retrieval_name_the_key_that_is_wrong(digits, tmp_path, setting, text):
    assert text in refusal(setting, config=retrieval(digits, tmp_path, "last_proj"))


def test_arguments_of_the_backbone_are_known_to_retrieval(digits, tmp_path, caplog):
    config = retrieval(digits, tmp_path, "last_proj")
    refusal("Arch.Backbone.recompute=True", "Arch.Backbone.pretrained=nowhere", config=config)
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


@pytest.mark.parametrize(
    "content", ["", "- a", "Global: 3\nArch: {name: x}\nDataLoader: {}", "Global: {}\nArch:\nDataLoader: {}"]
)
def test_a_config_without_sections_is_named(tmp_path, content):
    path = tmp_path / "x.yaml"
    path.write_text(content)
    assert refusal(config=path).startswith(f"{path} is not a")


def test_unknown_override_names_the_nearest_key(caplog):
    refusal("Global.epoch=1", "DataLoader.Train.dataset.image_root=nowhere")
    (line,) = [r.getMessage() for r in caplog.records if r.name.startswith("ppcls_mixformer")]
    assert line.endswith("has no such key, it is added; the nearest key there is Global.epochs")


@pytest.mark.slow
def test_a_tool_ends_in_one_line(digits, tmp_path):
    log = tool("train", *overrides(digits, tmp_path), "Arch.class_num=5", check=False)
    assert "needs Arch.class_num of at least" in error_line(log)


@pytest.mark.slow
def test_retrieval_that_stops_elsewhere_is_refused(digits, tmp_path):
    log = tool("train", config=retrieval(digits, tmp_path, "norm"), check=False)
    assert "can only stop after last_proj" in error_line(log)


@pytest.mark.slow
def test_missing_paddleclas_names_both_remedies(tmp_path):
    command = [sys.executable, "tools/train.py", "-c", CONFIG]
    log = run(*command, check=False, HOME=str(tmp_path), PADDLECLAS_HOME="")
    assert "python -m ppcls_mixformer fetch" in log and "PADDLECLAS_HOME" in log
    log = run(*command, check=False, PADDLECLAS_HOME=str(tmp_path))
    assert "is not a PaddleClas clone" in log and "Traceback" not in log


def split_list(digits, name, line):
    """Path of a list of the pictures that the list `name` has, with another line at the end."""
    path = digits / f"changed_{name}"
    path.write_text((digits / name).read_text() + line)
    return path


@pytest.mark.parametrize("split, name", [("Train", "train_list.txt"), ("Eval", "test_list.txt")])
def test_a_picture_that_is_missing_anywhere_is_named(digits, tmp_path, split, name):
    path = split_list(digits, name, "nowhere.png 1\n")
    text = refusal(*overrides(digits, tmp_path), f"DataLoader.{split}.dataset.cls_label_path={path}")
    assert text.endswith(
        f"there is no nowhere.png in {digits}; image paths are taken from "
        f"DataLoader.{split}.dataset.image_root"
    )


@pytest.mark.parametrize("part", ["Query", "Gallery"])
def test_lists_of_retrieval_are_read_but_their_labels_are_no_classes(digits, tmp_path, part):
    config = retrieval(digits, tmp_path, "last_proj")
    key = f"DataLoader.Eval.{part}.dataset"
    path = split_list(digits, "test_list.txt", f"{next(digits.rglob('*.png')).relative_to(digits)} 100\n")
    read(f"{key}.cls_label_path={path}", config=config)
    path = split_list(digits, "test_list.txt", "nowhere.png 1\n")
    assert f"taken from {key}.image_root" in refusal(f"{key}.cls_label_path={path}", config=config)


LINES = {
    "CompCars": "{0} {1}",
    "VeriWild": "{0} {1} 0",
    "LogoDataset": "0\t{2}\tx\t{0}",
    "ICartoonDataset": "{0}\t{1}",
}


@pytest.mark.parametrize("name", LINES)
@pytest.mark.parametrize("fault", [None, "picture", "label", "column"])
def test_lists_of_other_datasets_are_read_as_their_classes_do(digits, tmp_path, name, fault):
    rows = [line.rsplit(None, 1) for line in (digits / "train_list.txt").read_text().splitlines()[:50]]
    rows[40] = {"picture": ["nowhere.png", "1"], "label": [rows[0][0], "10"]}.get(fault, rows[40])
    lines = [LINES[name].format(image, label, int(label) + 1) for image, label in rows]
    if fault == "column":
        lines[40] = rows[40][0]
    (tmp_path / "list.txt").write_text("\n".join(lines))
    settings = [f"DataLoader.Train.dataset.name={name}", "DataLoader.Train.dataset.cls_label_path"]
    settings = [*overrides(digits, tmp_path), settings[0], f"{settings[1]}={tmp_path}/list.txt"]
    if fault:
        assert "list.txt, line 41: " in refusal(*settings)
        return
    section = read(*settings)["DataLoader"]["Train"]["dataset"]
    import ppcls.data

    own = {key: section[key] for key in ("image_root", "cls_label_path", "transform_ops")}
    dataset = getattr(ppcls.data, name)(**own)
    assert dataset.labels == [int(label) for _, label in rows]


@pytest.mark.parametrize("folder, text", [("", "there is no nowhere.png"), ("nowhere", "there is no folder")])
def test_lists_of_mixed_datasets_are_read(digits, tmp_path, folder, text):
    config = yaml.safe_load((ROOT / CONFIG).read_text())
    (tmp_path / "list.txt").write_text("nowhere.png 0\n")
    one = {"name": "ImageNetDataset", "image_root": str(digits / folder), "transform_ops": None}
    one["cls_label_path"] = f"{tmp_path}/list.txt"
    mixed = {"name": "MixDataset", "datasets_config": [one]}
    config["DataLoader"]["Train"]["dataset"] = mixed
    path = tmp_path / "x.yaml"
    path.write_text(yaml.safe_dump(config))
    own = [setting for setting in overrides(digits, tmp_path) if "Train" not in setting]
    assert text in refusal(*own, config=path)
