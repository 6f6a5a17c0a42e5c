"""A distilled network: weights for each of its networks, and pictures classified with one of them."""

import numpy as np
import paddle
import pytest
import yaml
from commands import CONFIG, ROOT, losses, tool

from ppcls_mixformer import MixFormer_B0
from ppcls_mixformer.paddleclas import register
from ppcls_mixformer.predict import description


@pytest.fixture(scope="module")
def teacher(tmp_path_factory):
    """Path of a teacher's checkpoint, without its suffix."""
    path = tmp_path_factory.mktemp("teacher") / "teacher"
    paddle.save(MixFormer_B0(class_num=10).state_dict(), f"{path}.pdparams")
    return path


def models():
    return [{name: {"name": "MixFormer_B0", "class_num": 10}} for name in ("Teacher", "Student")]


@pytest.mark.parametrize("name", ["DistillationModel", "AttentionModel"])
def test_each_network_gets_its_weights(host, teacher, name):
    import ppcls.arch

    if not hasattr(ppcls.arch, name):
        pytest.skip(f"this PaddleClas has no {name}")
    model = getattr(ppcls.arch, name)(models=models(), pretrained_list=[str(teacher), None])
    weight = paddle.load(f"{teacher}.pdparams")["head.weight"].numpy()
    found = [np.array_equal(network.head.weight.numpy(), weight) for network in model.model_list]
    assert found == [True, False]


def test_one_output_is_chosen():
    register()
    from ppcls_mixformer.paddleclas.distillation import one_of

    outputs = {"Teacher": {"logits": 1}, "Student": {"logits": 2}}
    assert one_of(outputs, ("Student", None, "logits", "output")) == 2
    assert one_of({"features": 1, "logits": 3}, ("Student", "logits", "output")) == 3
    assert one_of(4, ("Student", "logits", "output")) == 4


@pytest.mark.parametrize("activation", ["softmax", "sigmoid", None])
def test_an_export_is_compared_with_what_the_student_gives(host, activation):
    import ppcls.arch

    from ppcls_mixformer.paddleclas.export import scores_of

    network = ppcls.arch.DistillationModel(models=models(), pretrained_list=None)
    config = {
        "Arch": {"infer_model_name": "Student", "infer_add_softmax": activation is not None},
        "Global": {"use_multilabel": activation == "sigmoid"},
    }
    images = np.random.RandomState(0).standard_normal((2, 3, 28, 28)).astype("float32")
    (found,) = scores_of(network, config)(images)
    logits = network.model_list[1](paddle.to_tensor(images))
    expected = getattr(paddle.nn.functional, activation)(logits) if activation else logits
    np.testing.assert_allclose(found, expected.numpy(), rtol=0, atol=1e-6)


@pytest.fixture
def config(digits, teacher, tmp_path):
    """Content of a config that distils MixFormer into MixFormer."""
    content = yaml.safe_load((ROOT / CONFIG).read_text())
    content["Global"].update(epochs=1, output_dir=str(tmp_path), save_interval=1, print_batch_step=1)
    content["Arch"] = {
        "name": "DistillationModel",
        "infer_model_name": "Student",
        "pretrained_list": [f"{teacher}.pdparams", None],
        "freeze_params_list": [True, False],
        "models": models(),
    }
    pair = {"weight": 1.0, "model_name_pairs": [["Student", "Teacher"]]}
    content["Loss"] = {
        "Train": [{"DistillationCELoss": pair}],
        "Eval": [{"DistillationGTCELoss": {"weight": 1.0, "model_names": ["Student"]}}],
    }
    metric = {"DistillationTopkAcc": {"model_key": "Student", "topk": [1, 5]}}
    content["Metric"] = {"Train": [metric], "Eval": [metric]}
    for split, name in (("Train", "train_list.txt"), ("Eval", "test_list.txt")):
        dataset = content["DataLoader"][split]["dataset"]
        dataset.update(image_root=str(digits), cls_label_path=f"{digits}/{name}")
    content["Infer"]["infer_imgs"] = str(digits / (digits / "test_list.txt").read_text().split()[0])
    return content


@pytest.mark.slow
def test_it_trains_and_classifies(config, tmp_path):
    path, log = tmp_path / "distil.yaml", ""
    for post in ("DistillationPostProcess", "Topk"):
        config["Infer"]["PostProcess"] = {"name": post, "topk": 3}
        path.write_text(yaml.safe_dump(config))
        log = log or tool("train", config=path)  # which knows nothing of it
        weights = f"Global.pretrained_model={next(tmp_path.rglob('latest.pdparams'))}"
        assert "class_ids" in tool("infer", weights, config=path)
        tool("export_model", weights, f"Global.save_inference_dir={tmp_path}/{post}", config=path)
        assert description.read(tmp_path / post).model_name == "MixFormer_B0"
    assert len(losses(log)) == 2
