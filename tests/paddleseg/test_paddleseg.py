"""PaddleSeg as the host, for real: its trainer on the composed scenes, each tool in a process of its own."""

import re
import shutil
import sys
from unittest import mock

import numpy as np
import paddle
import pytest
import yaml
from commands import ROOT, error_line, run
from google.protobuf import descriptor
from paddle import nn
from PIL import Image

from benchmarks.flops import multiply_adds
from ppcls_mixformer import MixFormer_B0
from ppcls_mixformer.hosting.errors import HostError
from ppcls_mixformer.paddleseg import commands as runner
from ppcls_mixformer.paddleseg import flags

CONFIG = "configs/scenes/upernet_mixformer_b0.yml"
SIZES = [(1, 3, 61, 75), (2, 3, 130, 97)]
PADDLE_3 = not paddle.__version__.startswith("2.")


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    """Folder of a few scenes in ADE20K's layout, of 8 classes."""
    folder = tmp_path_factory.mktemp("segmentation") / "scenes"
    run(sys.executable, "tools/prepare_scenes.py", "--output", folder, "--train", 6, "--val", 3)
    return folder / "ADEChallengeData2016"


def overrides(root, *more):
    settings = [f"{split}.dataset_root={root}" for split in ("train_dataset", "val_dataset")]
    return ["--opts", *settings, "model.backbone.pretrained=None", *more]


def tool(name, root, *options, config=CONFIG, check=True):
    """Runs `tools/seg/NAME.py` on the data in `root`."""
    command = [sys.executable, f"tools/seg/{name}.py", "--config", config, *options, *overrides(root)]
    return run(*command, check=check)


TRAINING = "--do_eval --iters 4 --batch_size 2 --save_interval 2 --log_iters 1 --seed 0".split()


@pytest.fixture(scope="module")
def trained(scenes, tmp_path_factory):
    """Output folder and log of a run of four iterations, two checkpoints."""
    output = tmp_path_factory.mktemp("trained")
    return output, tool("train", scenes, *TRAINING, "--save_dir", output)


@pytest.fixture(scope="module")
def weights(trained):
    return trained[0] / "best_model/model.pdparams"


@pytest.fixture(scope="module")
def exported(scenes, weights, tmp_path_factory):
    """Folder of an export that gives logits."""
    folder = tmp_path_factory.mktemp("exported")
    tool("export", scenes, "--model_path", weights, "--save_dir", folder, "--output_op", "none")
    return folder


@pytest.fixture(scope="module")
def host():
    """PaddleSeg in this process."""
    from ppcls_mixformer.paddleseg import register

    return register()


def build(config=CONFIG, *settings):
    from ppcls_mixformer.paddleseg import config as configs
    from ppcls_mixformer.paddleseg.builder import Builder

    return Builder(configs.load(str(config), ["model.backbone.pretrained=None", *settings]))


def network(weights):
    """The trained network, in evaluation mode."""
    model = runner.trained_model(build(), weights)
    model.eval()
    return model


def pictures(size):
    return np.random.RandomState(0).standard_normal(size).astype("float32")


def learning_rates(log):
    return dict(re.findall(r"iter: (\d+)/\d+, loss: [\d.]+, lr: ([\d.]+)", log))


def mean_ious(log):
    return re.findall(r"#Images: 3 mIoU: ([\d.]+)", log)


# The run


def test_trains_and_evaluates(scenes, trained, weights):
    output, log = trained
    assert list(learning_rates(log)) == ["1", "2", "3", "4"] and len(mean_ious(log)) == 2
    files = {str(path.relative_to(output)) for path in output.rglob("*.pd*")}
    assert {"iter_2/model.pdparams", "iter_2/model.pdopt", "iter_4/model.pdopt"} <= files
    assert not list(output.rglob("*.part"))
    evaluated = tool("eval", scenes, "--model_path", weights)
    assert mean_ious(evaluated) == [max(mean_ious(log))]
    slid = ["--is_slide", "--crop_size", 96, 96, "--stride", 64, 64]
    augmented = ["--aug_eval", "--scales", 0.75, 1.0, "--flip_horizontal"]
    assert mean_ious(tool("eval", scenes, "--model_path", weights, *slid, *augmented))


def test_resumes_at_the_iteration_with_the_optimizer_and_the_best_model(scenes, trained, tmp_path):
    output = tmp_path / "resumed"
    shutil.copytree(trained[0], output)
    best = output / "best_model"
    paddle.save({"mIoU": 0.99}, str(best / "model.pdstates"))
    before = (best / "model.pdparams").read_bytes()
    log = tool("train", scenes, *TRAINING, "--save_dir", output, "--resume_model", output / "iter_2")
    rates = learning_rates(log)
    assert list(rates) == ["3", "4"] and rates.items() <= learning_rates(trained[1]).items()
    states = [paddle.load(str(folder / "iter_4/model.pdopt")) for folder in (trained[0], output)]
    powers = [{k: v.item() for k, v in state.items() if "beta1_pow" in k} for state in states]
    assert powers[0] and powers[0] == powers[1]
    assert "best_model stays: its mIoU is 0.9900" in log and (best / "model.pdparams").read_bytes() == before


@pytest.mark.skipif(
    not hasattr(descriptor.FieldDescriptor, "label"), reason="Paddle's fleet needs protobuf before 7"
)
def test_trains_in_two_processes(scenes, tmp_path):
    launcher = ["-m", "paddle.distributed.launch", "--nproc_per_node", 2, "--log_dir", tmp_path / "log"]
    options = ["--do_eval", "--iters", 1, "--batch_size", 1, "--log_iters", 1, "--device", "cpu"]
    command = ["tools/seg/train.py", "--config", CONFIG, *options, "--save_dir", tmp_path]
    log = run(sys.executable, *launcher, *command, *overrides(scenes))
    assert "iter: 1/1" in log and len(mean_ious(log)) == 1


def test_predicts_coloured_pictures(scenes, weights, tmp_path, host):
    folder = scenes / "images/validation"
    tool("predict", scenes, "--model_path", weights, "--image_path", folder, "--save_dir", tmp_path)
    picture = next(folder.iterdir())
    labels = Image.open(tmp_path / "pseudo_color_prediction" / f"{picture.stem}.png")
    mixed = Image.open(tmp_path / "added_prediction" / picture.name)
    assert labels.mode == "P" and labels.size == mixed.size == Image.open(picture).size
    x = (np.asarray(Image.open(picture)) / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    x = paddle.to_tensor(x.astype("float32").transpose(2, 0, 1)[None])
    with paddle.no_grad():
        expected = network(weights)(x)[0].argmax(1)[0].numpy()
    assert (
        np.asarray(labels) == expected
    ).mean() > 0.99  # Pillow and OpenCV decode JPEG a little differently


# Export

READER = """
import os, sys, numpy as np, paddle
from paddle.inference import Config, create_predictor
folder, onednn = sys.argv[1:]
data = np.load(f"{folder}/reference.npz")
program = next(p for p in ("model.json", "model.pdmodel") if os.path.exists(f"{folder}/{p}"))
config = Config(f"{folder}/{program}", f"{folder}/model.pdiparams")
config.disable_gpu()
config.disable_glog_info()
if onednn == "True":
    config.enable_mkldnn()
elif hasattr(config, "disable_mkldnn"):
    config.disable_mkldnn()
if program.endswith("json"):
    config.enable_new_executor()
config.enable_memory_optim()
predictor = create_predictor(config)
loaded = paddle.jit.load(f"{folder}/model")
for i in (0, 1):
    x, expected = data[f"x{i}"], data[f"y{i}"]
    predictor.get_input_handle(predictor.get_input_names()[0]).copy_from_cpu(x)
    predictor.run()
    output = predictor.get_output_handle(predictor.get_output_names()[0]).copy_to_cpu()
    logits = loaded(paddle.to_tensor(x))
    logits = logits[0] if isinstance(logits, (list, tuple)) else logits
    for y in (output, logits.numpy()):
        assert y.shape == expected.shape, (y.shape, expected.shape)
        print("error", np.abs(y - expected).max())
"""


@pytest.mark.parametrize("onednn", [True, False], ids=["oneDNN", "plain"])
def test_export_gives_the_logits_at_any_size(exported, weights, host, onednn):
    if onednn and paddle.__version__.startswith("3.3."):
        pytest.skip("paddlepaddle 3.3 refuses every bilinear interpolation with oneDNN on")
    model, data = network(weights), {}
    for i, size in enumerate(SIZES):
        data[f"x{i}"] = pictures(size)
        with paddle.no_grad():
            data[f"y{i}"] = model(paddle.to_tensor(data[f"x{i}"]))[0].numpy()
    np.savez(exported / "reference.npz", **data)
    log = run(sys.executable, "-c", READER, exported, onednn)
    errors = [float(error) for error in re.findall("^error (.*)", log, re.M)]
    assert len(errors) == 4 and max(errors) < 1e-5, log


def test_export_is_described_and_a_failed_one_leaves_it(exported, scenes, tmp_path):
    description = yaml.safe_load((exported / "deploy.yaml").read_text())["Deploy"]
    assert description["model"] == ("model.json" if PADDLE_3 else "model.pdmodel")
    assert all((exported / description[key]).is_file() for key in ("model", "params"))
    assert [t["type"] for t in description["transforms"]] == ["Normalize"]
    before = {path.name: path.read_bytes() for path in exported.iterdir()}
    (tmp_path / "broken.pdparams").write_bytes(b"no checkpoint")
    options = ["--model_path", tmp_path / "broken.pdparams", "--save_dir", exported]
    assert "broken.pdparams" in error_line(tool("export", scenes, *options, check=False))
    assert {path.name: path.read_bytes() for path in exported.iterdir()} == before


# The network


def test_logits_have_the_size_of_the_picture(host):
    model = build().model
    x = paddle.to_tensor(pictures((2, 3, 33, 50)))
    assert [logits.shape for logits in model(x)] == [[2, 8, 33, 50]] * 2
    model.eval()
    assert [logits.shape for logits in model(x)] == [[2, 8, 33, 50]]


def test_backbone_starts_from_a_classifier_and_names_what_is_wrong(host, tmp_path):
    classifier = MixFormer_B0(class_num=3)
    path = tmp_path / "classifier.pdparams"
    paddle.save(classifier.state_dict(), str(path))
    model = build(CONFIG, f"model.backbone.pretrained={path}").model
    stem = model.backbone.patch_embed.proj.weight
    assert (stem.numpy() == classifier.patch_embed.proj.weight.numpy()).all()
    for settings, text in (
        ([f"pretrained={path}", "arch=MixFormer_B1"], "is not a checkpoint of this MixFormer"),
        (["pretrained=nowhere"], "checkpoint not found: nowhere"),
        (["arch=MixFormer_B9"], "MixFormer_B9 is not a variant"),
        (["drop_path=0.1"], "drop_path is not an argument of MixFormer; did you mean drop_path_rate?"),
        (["frozen_stages=9"], "frozen_stages must be -1 to 4"),
    ):
        with pytest.raises(HostError, match=re.escape(text)):
            assert build(CONFIG, *(f"model.backbone.{setting}" for setting in settings)).model


def without_products(layer, x):
    """A convolution's output, of the right shape only."""
    stride, kernel = layer._stride[0], layer.weight.shape[2]
    padding = layer._padding if isinstance(layer._padding, int) else layer._padding[0]
    size = [(side + 2 * padding - kernel) // stride + 1 for side in x.shape[2:]]
    return paddle.zeros([x.shape[0], layer.weight.shape[0], *size])


# Variant, parameters in M and GFLOPs of the published table.
PUBLISHED = [("b1", 35, 854), ("b2", 37, 859), ("b3", 44, 880), ("b4", 63, 918)]


@pytest.mark.parametrize("variant, params, gflops", PUBLISHED)
def test_published_size(host, variant, params, gflops):
    """Multiply-adds at 512×2048 without the auxiliary head; parameters with it, and with buffers."""
    model = build(f"configs/ADE20K/upernet_mixformer_{variant}_ade20k_512x512_160k.yml").model
    assert sum(v.size for v in model.state_dict().values()) / 1e6 == pytest.approx(params, abs=0.6)
    model.eval()
    with mock.patch.object(nn.Conv2D, "forward", without_products):
        counted = multiply_adds(model, paddle.zeros([1, 3, 512, 2048])) / 1e9
    assert counted == pytest.approx(gflops, abs=1.5)


# The configs


def test_ade20k_configs_differ_in_the_variant_only(host):
    from ppcls_mixformer.paddleseg import config as configs

    contents = []
    for variant, params, gflops in PUBLISHED:
        path = f"configs/ADE20K/upernet_mixformer_{variant}_ade20k_512x512_160k.yml"
        content = configs.load(path, []).dic
        assert content["model"]["backbone"].pop("arch") == f"MixFormer_{variant.upper()}"
        assert f"{params} M parameters, {gflops} GFLOPs" in (ROOT / path).read_text()
        contents.append(content)
    assert all(content == contents[0] for content in contents)
    assert contents[0]["batch_size"] * 8 == 16 and contents[0]["iters"] == 160000


def test_ade20k_recipe_on_the_scenes(host, scenes):
    """Learning rates, decay and augmented samples of the recipe, on data of fewer classes."""
    roots = [f"{split}_dataset.dataset_root={scenes}" for split in ("train", "val")]
    path = f"configs/ADE20K/upernet_mixformer_{PUBLISHED[0][0]}_ade20k_512x512_160k.yml"
    builder = build(path, *roots)
    schedule = builder.lr_scheduler
    rates = {}
    for step in (0, 750, 1500, 80750, 160000):
        schedule.step(step)
        rates[step] = schedule.last_lr
    expected = {0: 6e-11, 750: 3e-5, 1500: 6e-5, 80750: 3e-5, 160000: 0.0}
    assert rates == pytest.approx(expected, rel=1e-3, abs=1e-12)

    model, optimizer = builder.model, builder.optimizer
    start = {name: p.numpy() for name, p in model.named_parameters()}
    for parameter in model.parameters():
        parameter.grad = paddle.zeros_like(parameter)
    optimizer.set_lr_scheduler(paddle.optimizer.lr.LambdaDecay(1.0, lambda _: 1.0))
    optimizer.step()
    learning = {n: p for n, p in model.named_parameters() if not p.stop_gradient and start[n].any()}
    decays = {n: (p.numpy() != start[n]).any() for n, p in learning.items()}
    for name, decayed in decays.items():
        assert decayed == ("norm" not in name and "relative_position_bias_table" not in name), name

    sample = builder.train_dataset[0]
    assert sample["img"].shape == (3, 512, 512) and sample["label"].shape == (512, 512)
    assert set(np.unique(sample["label"])) <= {*range(8), 255}
    height, width = builder.val_dataset[0]["img"].shape[1:]
    assert min(height, width) == 512 or max(height, width) == 2048


# Errors


def attempt(kind, root, *options):
    """Runs a tool in this process; its error is what the tool would print."""
    body = getattr(runner, f"run_{kind}")
    parser = {
        "training": flags.train_flags,
        "evaluation": flags.eval_flags,
        "prediction": flags.predict_flags,
    }
    arguments = list(map(str, options))
    if "--config" not in arguments:
        arguments += ["--config", CONFIG]
    more = [] if "--opts" not in arguments else arguments[arguments.index("--opts") + 1 :]
    arguments = arguments[: arguments.index("--opts")] if more else arguments
    body(parser[kind]().parse_args([*arguments, *overrides(root, *more)]))


@pytest.mark.parametrize(
    "kind, options, text",
    [
        ("training", ["--config", "nowhere.yml"], "config file not found: nowhere.yml"),
        ("training", ["--config", "README.md"], "README.md: PaddleSeg reads .yml and .yaml only"),
        (
            "training",
            ["--config", "configs/quick_start/MixFormer_B0_digits.yaml"],
            "is no config for PaddleSeg: No batch_size specified",
        ),
        ("training", ["--opts", "train_dataset.dataset_root=no"], "train_dataset: there is no folder no"),
        (
            "training",
            ["--opts", "model.num_classes=5"],
            "the data have 8 classes, but model.num_classes is 5",
        ),
        ("training", ["--opts", "model.type=UPerNetFNC"], "did you mean UPerNetFCN?"),
        ("training", ["--opts", "model.backbone.ach=1"], "did you mean arch?"),
        ("training", ["--opts", "no.such=1"], "Can not update no.such"),
        ("training", ["--resume_model", "nowhere"], "--resume_model: there is no folder nowhere"),
        ("training", ["--resume_model", "docs"], "PaddleSeg resumes from a folder iter_N"),
        ("training", ["--device", "npu"], "--device npu: this machine or this Paddle has none"),
        ("evaluation", ["--model_path", "nowhere"], "checkpoint not found: nowhere"),
        (
            "evaluation",
            ["--model_path", "nowhere", "--is_slide"],
            "--is_slide needs --crop_size and --stride",
        ),
        ("prediction", ["--model_path", "x", "--image_path", "no"], "--image_path: no is no picture"),
        ("prediction", ["--model_path", "x", "--image_path", "Makefile"], "does not exist or is no picture"),
    ],
)
def test_what_cannot_work_is_said(host, scenes, kind, options, text):
    with pytest.raises((HostError, ValueError), match=re.escape(text)):
        attempt(kind, scenes, *options)


def test_checkpoints_of_another_network_are_refused(host, scenes, trained, tmp_path):
    weights = trained[0] / "iter_4/model.pdparams"
    options = ["--model_path", weights, "--opts", "model.backbone.arch=MixFormer_B1"]
    with pytest.raises(ValueError, match=r"is no checkpoint of this UPerNetFCN: .* is \[12, 3, 3, 3\], not"):
        attempt("evaluation", scenes, *options, "model.channels=64")
    with pytest.raises(HostError, match="training ends at 4; raise --iters to go on"):
        attempt("training", scenes, "--resume_model", trained[0] / "iter_4", "--iters", 4)
    broken = tmp_path / "iter_2"
    shutil.copytree(trained[0] / "iter_2", broken)
    (broken / "model.pdopt").write_bytes((broken / "model.pdopt").read_bytes()[:1000])
    with pytest.raises(ValueError, match="model.pdopt: not a whole Paddle checkpoint"):
        attempt("training", scenes, "--resume_model", broken)


def test_wrong_data_are_named(host, scenes, tmp_path):
    root = tmp_path / "ADEChallengeData2016"
    options = ["--config", "configs/ADE20K/upernet_mixformer_b1_ade20k_512x512_160k.yml"]
    with pytest.raises(HostError, match="there is no folder .*nothing is downloaded"):
        attempt("training", root, *options)
    shutil.copytree(scenes, root)
    class_map = root / "annotations/training/ADE_train_00000003.png"
    labels = np.array(Image.open(class_map))
    for wrong, text in (
        (np.full_like(labels, 9), "ADE_train_00000003.png has a class 9"),
        (labels[:-1], "its picture"),
        (np.stack([labels] * 3, -1), "is no class map"),
    ):
        Image.fromarray(wrong).save(class_map)
        with pytest.raises(HostError, match=text):
            attempt("training", root)
    class_map.unlink()
    with pytest.raises(HostError, match="ADE_train_00000003.jpg has no class map"):
        attempt("training", root)


@pytest.mark.skipif(bool(paddle.device.is_compiled_with_cuda()), reason="this Paddle may have a GPU")
def test_the_tools_end_in_one_line(scenes, tmp_path):
    assert "--device gpu: this machine" in error_line(
        tool("train", scenes, "--device", "gpu", "--save_dir", tmp_path, check=False)
    )
    command = [sys.executable, "tools/seg/train.py", "--config", CONFIG]
    log = run(*command, check=False, HOME=str(tmp_path), PADDLESEG_HOME="")
    assert "python -m ppcls_mixformer fetch paddleseg" in error_line(log)
    assert "is not a PaddleSeg clone" in error_line(run(*command, check=False, PADDLESEG_HOME=str(tmp_path)))


# Bridges. The PaddleSeg in use may need only some: the others are held to a stand-in of what they mend.


def test_one_element_losses(host):
    from ppcls_mixformer.paddleseg import bridges

    losses = bridges._with_one_element_each(lambda: [paddle.to_tensor(1.5)])()
    assert losses[0].numpy()[0] == 1.5
    with pytest.raises(IndexError):
        paddle.to_tensor(1.5).numpy()[0]


def test_scalars_in_concat(host):
    from paddleseg.utils import metrics

    label = paddle.to_tensor([[[0, 1, 255]]])
    areas = metrics.calculate_area(paddle.to_tensor([[[0, 0, 1]]]), label, 2)
    assert [area.tolist() for area in areas] == [[1, 0], [2, 0], [1, 1]]
    with pytest.raises((TypeError, ValueError, RuntimeError)):
        paddle.concat([paddle.to_tensor(1), paddle.to_tensor(2)])


@pytest.mark.parametrize("weight", [None, [1.0, 2.0]])
def test_labels_times_floats(host, weight):
    from paddleseg.models.losses import CrossEntropyLoss

    logits, label = paddle.to_tensor(pictures((1, 2, 2, 2))), paddle.to_tensor([[[0, 1], [255, 1]]])
    loss = CrossEntropyLoss(weight=weight)(logits, label)
    log_softmax = nn.functional.log_softmax(logits, 1).numpy()[0]
    terms = {
        c: [-log_softmax[c, i, j] for i, j in ((0, 0), (0, 1), (1, 1)) if label[0, i, j] == c] for c in (0, 1)
    }
    factors = weight or [1.0, 1.0]
    total = sum(factors[c] * sum(terms[c]) for c in (0, 1))
    assert float(loss) == pytest.approx(total / (factors[0] + 2 * factors[1]), rel=1e-4)
    if PADDLE_3:
        with pytest.raises((TypeError, ValueError, RuntimeError)):
            paddle.ones([2], "float32") * paddle.ones([2], "int64")


def test_crops_of_pictures(host):
    from paddleseg.transforms import RandomPaddingCrop

    label = np.arange(100, dtype="uint8").reshape(10, 10)
    image = np.stack([label.astype("float32") + 1000] * 3, -1)
    crop = RandomPaddingCrop(crop_size=[12, 4], category_max_ratio=0.75)

    def check(call):
        sample = call(crop, {"img": image, "label": label, "gt_fields": ["label"]})
        inside = sample["img"][:, :10]
        assert sample["gt_fields"] == ["label"] and inside.shape == (4, 10, 3)
        assert (inside[..., 0] == sample["label"][:, :10] + 1000.0).all()
        assert (sample["img"][:, 10:] == 127.5).all() and (sample["label"][:, 10:] == 255).all()

    check(RandomPaddingCrop.__call__)
    original = getattr(RandomPaddingCrop.__call__, "bridged", None)
    if original:
        with pytest.raises((AssertionError, IndexError)):
            check(original)


def test_scaler_of_groups(host):
    from ppcls_mixformer.paddleseg import bridges

    weight = paddle.create_parameter([1], "float32", default_initializer=nn.initializer.Constant(1.0))

    def step(scaler):
        optimizer = paddle.optimizer.AdamW(0.1, parameters=[{"params": [weight]}])
        loss = scaler.scale((2 * weight).sum())
        loss.backward()
        scaler.minimize(optimizer, loss)

    step(bridges.SteppingScaler(enable=False))
    assert float(weight) < 1.0
    with pytest.raises((TypeError, ValueError), match="got dict"):
        step(paddle.amp.GradScaler(enable=False))


def test_a_save_that_fails_leaves_the_old_checkpoint(host, tmp_path):
    from ppcls_mixformer.paddleseg import bridges

    class Broken:
        def __reduce__(self):
            raise RuntimeError("disk full")

    paths = [tmp_path / "iter_2" / name for name in ("model.pdparams", "model.pdopt")]
    save = bridges.saver.save
    assert bridges.trainer.paddle.save == save
    for path in paths:
        save({"x": paddle.zeros([1])}, str(path))
    old = [path.read_bytes() for path in paths]
    save({"x": paddle.ones([1])}, str(paths[0]))
    with pytest.raises(RuntimeError, match="disk full"):
        save({"x": Broken()}, str(paths[1]))
    assert [path.read_bytes() for path in paths] == old and not list(tmp_path.rglob("*.part"))
    with pytest.raises(RuntimeError, match="disk full"):
        paddle.save({"x": Broken()}, str(paths[1]))
    assert paths[1].read_bytes() != old[1]


def test_bridges_are_applied_once(host):
    from ppcls_mixformer.paddleseg import bridges

    def state():
        trainer = bridges.trainer
        return [trainer.paddle, trainer.loss_computation, trainer.evaluate, bridges.metrics.paddle]

    before = state()
    bridges.apply()
    assert all(a is b for a, b in zip(state(), before))
    assert bridges.trainer.paddle.nn is paddle.nn
