"""What a user can get wrong about detection is said in one line, before anything is built or trained."""

import json
import logging
import re

import paddle
import pytest
from commands import HAS_ONNX, error_line
from det_tools import DETECTOR, KEYPOINTS, LVIS, command_line, forget_config, module

from ppcls_mixformer.hosting.errors import UserError
from ppcls_mixformer.paddledet import commands

pytestmark = pytest.mark.usefixtures("host")


@pytest.fixture
def warnings(caplog):
    """Function that gives what this package has warned of so far."""
    caplog.set_level(logging.WARNING, "ppcls_mixformer")
    return lambda: [r.getMessage() for r in caplog.records if r.name.startswith("ppcls_mixformer")]


def refusal(command, arguments):
    """The one line that `command` refuses its `arguments` with."""
    with pytest.raises(UserError) as refused:
        command(arguments)
    assert "\n" not in str(refused.value)
    return str(refused.value)


@pytest.mark.parametrize(
    "config, override, error",
    [
        (
            DETECTOR,
            "TrainDataset.dataset_dir=nowhere",
            "TrainDataset.dataset_dir: there is no folder nowhere",
        ),
        (DETECTOR, "EvalDataset.dataset_dir=nowhere", "EvalDataset.dataset_dir: there is no folder nowhere"),
        (DETECTOR, "TrainDataset.image_dir=none", "TrainDataset.image_dir: there is no folder"),
        (DETECTOR, "TrainDataset.anno_path=none.json", "TrainDataset.anno_path: there is no file"),
        (DETECTOR, "num_classes=80", "has 11 classes, num_classes is 80: set -o num_classes=11"),
        (
            DETECTOR,
            "TrainDataset.anno_path=annotations/person_keypoints_train2017.json",
            "has 1 classes, num_classes is 11",
        ),
        (
            KEYPOINTS,
            "TrainDataset.anno_path=annotations/instances_train2017.json",
            "is not a file of COCO keypoints: its annotations have no keypoints",
        ),
        (
            LVIS,
            "TrainDataset.anno_path=annotations/instances_train2017.json",
            "is not a file of LVIS v1: its categories have no frequency",
        ),
        (DETECTOR, "TrainDataset=null", "TrainDataset.anno_path: there is no file"),
        (DETECTOR, "TrainReader.batch_size=0", "TrainReader.batch_size: it is 0, not a whole number from 1"),
        (DETECTOR, "snapshot_epoch=0", "snapshot_epoch: it is 0, not a whole number from 1 on"),
        (LVIS, "log_iter=0.5", "log_iter: it is 0.5, not a whole number from 1 on"),
        (KEYPOINTS, "epoch=0", "epoch: it is 0, not a whole number from 1 on"),
        (DETECTOR, "worker_num=-1", "worker_num: it is -1, not a whole number from 0 on"),
        (DETECTOR, "metric=5", "metric: 5 is no text"),
        (DETECTOR, "metric=null", "metric: None is no text"),
        (LVIS, "TrainDataset.image_dir=2017", "TrainDataset.image_dir: 2017 is no text; digits alone"),
        (LVIS, "TrainDataset.image_dir=0", "TrainDataset.image_dir: 0 is no text"),
        (
            KEYPOINTS,
            "EvalDataset=5",
            "EvalDataset: it is 5, not a section of keys, such as EvalDataset.dataset_dir=VALUE",
        ),
        (DETECTOR, "TrainReader=5", "TrainReader: it is 5, not a section of keys"),
        (LVIS, "MixFormer=b0", "MixFormer: it is 'b0', not a section of keys, such as MixFormer.arch=VALUE"),
        (DETECTOR, "LearningRate=0.1", "LearningRate: it is 0.1, not a section of keys"),
        (DETECTOR, "LearningRate.schedulers=5", "LearningRate.schedulers cannot be 5: TypeError"),
        (DETECTOR, "LearningRate.schedulers=[]", "LearningRate.schedulers cannot be []: AssertionError"),
        (DETECTOR, "FPN.out_channel=[]", "FPN cannot be made of {'out_channel': []}: TypeError"),
        (DETECTOR, "RPNHead.anchor_generator.strides=[]", "RPNHead.anchor_generator.strides cannot be []: "),
        (DETECTOR, "BBoxHead.head=x", "'head': 'x', 'roi_extractor'"),
        (KEYPOINTS, "TopDownHRNet.width=x", "'width': 'x'}: TypeError: "),
        (
            LVIS,
            "OptimizerBuilder.optimizer.beta1=5",
            "OptimizerBuilder.optimizer.beta1 cannot be 5",
        ),
        (DETECTOR, "num_classes=[]", "num_classes: it is [], not a whole number from 1 on"),
        (DETECTOR, "TrainReader.shuffle=x", "TrainReader.shuffle: it is 'x', neither true nor false"),
        (KEYPOINTS, "MixFormer.pretrained=5", "MixFormer.pretrained: it is 5, neither true, false nor the"),
        (DETECTOR, "architecture=[]", "architecture: [] is no text"),
        (DETECTOR, "MaskRCNN=null", "MaskRCNN: it is None, not a section of keys"),
        (DETECTOR, "architecture=MaskRCN", "architecture: MaskRCN is not known; did you mean MaskRCNN?"),
        (DETECTOR, "EvalDataset.name=COCO", "EvalDataset.name: 'COCO' is not known to ppdet.data.source"),
        (DETECTOR, "TrainDataset.data_fields=5", "TrainDataset.data_fields: it is 5, not a list of names"),
        (KEYPOINTS, "save_dir=5", "save_dir: 5 is no text"),
        (KEYPOINTS, "EvalReader.batch_size=many", "EvalReader.batch_size: it is many, not a whole number"),
        (DETECTOR, "save_dir=setup.py/x", "save_dir: setup.py/x cannot be a folder"),
        (DETECTOR, "save_dir=null", "save_dir: None is no name of a folder"),
        (DETECTOR, "use_gpu=true", "use_gpu is true, but this machine"),
        (DETECTOR, "MixFormer.arch=MixFormer_B9", "MixFormer_B9 is not a variant"),
        (DETECTOR, "MixFormer.out_indices=[3, 4]", "MixFormer: out_indices must be"),
        (DETECTOR, "epoch", "-o epoch: an override is written key=value"),
        (DETECTOR, "epoch=[1", "-o epoch=[1: the value is not valid YAML"),
    ],
)
def test_data_and_settings_that_cannot_be_trained_on(scenes, warnings, config, override, error):
    if override == "use_gpu=true" and paddle.device.cuda.device_count():
        pytest.skip("there is a GPU")
    assert error in refusal(commands.train, command_line(scenes, config, override, flags=["--eval"]))
    assert not warnings()


def test_all_that_is_wrong_is_said_at_once(scenes):
    wrong = ["epoch=0", "MixFormer.arch=MixFormer_B9", "MixFormer.pretrained=none", "TrainDataset.foo=1"]
    with pytest.raises(UserError) as refused:
        commands.train(command_line(scenes, DETECTOR, *wrong))
    starts = ["MixFormer: MixFormer_B9 is not", "epoch: it is 0", "TrainDataset: COCODataSet: foo is not an"]
    starts.append("MixFormer.pretrained: checkpoint not found")
    assert all(text.startswith(start) for text, start in zip(refused.value.texts, starts))
    assert len(refused.value.texts) == 4


MOVES, CROPS = "moves pictures and boxes, but not the masks that", "crops pictures, but not the masks that"


@pytest.mark.parametrize(
    "config, wrong, error",
    [
        (DETECTOR, "Mosaic: {}", f"Mosaic {MOVES}"),
        (DETECTOR, "RandomShift: {}", f"RandomShift {MOVES}"),
        (DETECTOR, "RandomCrop: {}", f"RandomCrop {CROPS} this network learns: set is_mask_crop: true"),
        (DETECTOR, "RandomCrop: [1]", "RandomCrop: its arguments are no mapping"),
        (DETECTOR, "RandomCrop: {is_mask_crop: true}", None),
        (DETECTOR, "RandomExpand: {}", None),
        (DETECTOR, "RandomDistort: {}", None),
        (KEYPOINTS, "RandomCrop: {}", None),
    ],
)
def test_transforms_that_forget_the_masks(scenes, config, wrong, error):
    from ppcls_mixformer.paddledet import config as configs
    from ppcls_mixformer.paddledet.moved_masks import check_masks_move

    line = command_line(scenes, config, f"TrainReader.sample_transforms=[{{Decode: {{}}}}, {{{wrong}}}]")
    if error:
        expected = f"TrainReader.sample_transforms: {error}"
        assert expected in refusal(commands.train, [*line, "use_gpu=false"])
        return
    check_masks_move(configs.load(config, line[line.index("-o") + 1 :]))


@pytest.mark.parametrize("name, is_refused", [("zebra", True), (None, False)])
def test_names_to_draw_are_compared_with_those_of_training(scenes, sections, tmp_path, name, is_refused):
    from ppcls_mixformer.paddledet import config

    categories = json.loads((scenes / "annotations/instances_train2017.json").read_text())["categories"]
    names = [category["name"] for category in categories][::-1]  # in another order, which is taken as it is
    (tmp_path / "names.txt").write_text("\n".join([name or names[0], *names[1:]]))
    places = [f"TestDataset.dataset_dir={tmp_path}", "TestDataset.anno_path=names.txt"]
    if is_refused:
        error = refusal(commands.train, command_line(scenes, DETECTOR, *places))
        assert "TestDataset.anno_path: " in error and "names.txt has other classes than" in error
    else:
        config.settings(command_line(scenes, DETECTOR, *places), "train")


def test_data_that_are_not_needed_are_not_asked_for(scenes, sections):
    from ppcls_mixformer.paddledet import config, preflight

    setting = "EvalDataset.dataset_dir=nowhere"
    preflight.check(config.settings(command_line(scenes, DETECTOR, setting), "train"), "train")
    forget_config(sections)
    assert setting.split("=")[0] in refusal(
        commands.train, command_line(scenes, DETECTOR, setting, flags=["--eval"])
    )


@pytest.mark.parametrize(
    "content, error",
    [
        ("{", "is not JSON"),
        ("[]", "is not a file of COCO instances: it has no images"),
        (
            '{"images": [{"file_name": ""}], "annotations": [{"bbox": []}]}',
            "its annotations have no segmentation",
        ),
    ],
)
def test_files_that_hold_no_annotations(scenes, tmp_path, content, error):
    path = tmp_path / "annotations.json"
    path.write_text(content)
    message = refusal(commands.train, command_line(scenes, DETECTOR, f"TrainDataset.anno_path={path}"))
    assert message.startswith(f"TrainDataset.anno_path: {path} is not") and error in message


def test_annotations_without_categories(scenes, tmp_path):
    content = json.loads((scenes / "annotations/instances_train2017.json").read_text())
    del content["categories"]
    path = tmp_path / "annotations.json"
    path.write_text(json.dumps(content))
    message = refusal(commands.train, command_line(scenes, DETECTOR, f"TrainDataset.anno_path={path}"))
    assert "is not a file of COCO instances: it has no categories" in message


def test_boxes_of_a_detector_that_are_not_there(scenes):
    settings = ["EvalDataset.use_gt_bbox=False", "EvalDataset.bbox_file=none.json"]
    arguments = command_line(scenes, KEYPOINTS, *settings, flags=["--eval"])
    assert "EvalDataset.bbox_file: there is no file" in refusal(commands.train, arguments)


@pytest.mark.parametrize(
    "command, weights, error",
    [
        ("evaluate", "{files}/none", "weights: checkpoint not found: {files}/none"),
        ("evaluate", "{files}/damaged", "weights: {files}/damaged.pdparams: not a whole"),
        ("evaluate", "{files}/three", "{files}/three was trained for 3 classes, num_classes is 11"),
        ("export", "{files}/b1", "weights: {files}/b1 is of another variant: it has embed_dim 32"),
        ("infer", "{classifier}", "is of a classifier alone"),
        ("export", "", "export needs a checkpoint: -o weights=PATH"),
    ],
)
def test_weights_that_do_not_fit(scenes, files, classifier, warnings, command, weights, error):
    weights, error = (text.format(files=files, classifier=classifier) for text in (weights, error))
    arguments = command_line(scenes, DETECTOR, f"weights={weights}")
    assert error in refusal(getattr(commands, command), arguments)
    assert not warnings()


@pytest.mark.parametrize(
    "config, flags, error",
    [
        (KEYPOINTS, ["--full-masks"], "--full-masks is for MaskRCNN; this is TopDownHRNet"),
        pytest.param(
            DETECTOR,
            ["--onnx", "--full-masks"],
            "--onnx: MaskRCNN gives masks in their boxes there, so leave --full-masks out",
            marks=pytest.mark.skipif(not HAS_ONNX, reason="there is no paddle2onnx"),
        ),
    ],
)
def test_exports_that_cannot_be_had(scenes, files, config, flags, error):
    arguments = command_line(scenes, config, f"weights={files}/b0", flags=flags)
    assert refusal(commands.export, arguments).startswith(error)


@pytest.mark.parametrize(
    "name, error",
    [
        ("none", "--resume: checkpoint not found: {files}/none"),
        ("damaged", "--resume: {files}/damaged.pdparams: not a whole"),
        ("b1", "--resume: {files}/b1 is of another variant"),
        ("b0", "there is no {files}/b0.pdopt, which resuming needs"),
    ],
)
def test_checkpoints_that_cannot_be_resumed(scenes, files, name, error):
    arguments = command_line(scenes, DETECTOR, flags=["-r", files / name])
    assert error.format(files=files) in refusal(commands.train, arguments)


@pytest.mark.parametrize(
    "settings, error",
    [
        (["MixFormer.pretrained={files}/none"], "MixFormer.pretrained: checkpoint not found: {files}/none"),
        (["MixFormer.pretrained={files}/damaged"], "{files}/damaged.pdparams: not a whole Paddle checkpoint"),
        (["MixFormer.pretrained=true"], "no weights were ever published for MixFormer_B0"),
        (
            ["MixFormer.pretrained={classifier}", "MixFormer.arch=MixFormer_B1"],
            "{classifier} is not a checkpoint of this MixFormer (embed_dim 32",
        ),
    ],
)
def test_classifiers_that_cannot_be_started_from(scenes, files, classifier, settings, error):
    *settings, error = (text.format(files=files, classifier=classifier) for text in (*settings, error))
    assert error in refusal(commands.train, command_line(scenes, DETECTOR, *settings))


@pytest.mark.parametrize(
    "flags, error",
    [
        (["--infer_img", "none.jpg"], "--infer_img: there is no file none.jpg"),
        (["--infer_dir", "nowhere"], "--infer_dir: there is no folder nowhere"),
        ([], "name a picture, --infer_img PATH, or a folder of pictures"),
        (["--output_dir", "setup.py"], "--output_dir: setup.py cannot be a folder"),
    ],
)
def test_pictures_that_are_not_there(scenes, files, flags, error):
    arguments = command_line(scenes, DETECTOR, f"weights={files}/b0", flags=flags)
    assert error in refusal(commands.infer, arguments)


def test_entries_of_a_folder_that_are_no_pictures_are_mentioned(scenes, files, tmp_path, warnings):
    from ppcls_mixformer.paddledet.config import settings

    for name in ("a.jpg", "b.PNG", "c.webp", ".hidden"):
        (tmp_path / name).touch()
    (tmp_path / "d").mkdir()
    weights = f"weights={files}/b0"
    settings(command_line(scenes, DETECTOR, weights, flags=["--infer_dir", tmp_path]), "infer")
    (warning,) = warnings()
    assert warning.startswith("--infer_dir: 2 entries of") and warning.endswith("first c.webp")
    settings(command_line(scenes, DETECTOR, weights, flags=["--infer_img", tmp_path / "a.jpg"]), "infer")
    assert len(warnings()) == 1


def test_mixed_precision_without_a_gpu_is_mentioned(scenes, warnings):
    refusal(commands.train, command_line(scenes, DETECTOR, "TrainDataset.anno_path=none", flags=["--amp"]))
    assert warnings() == ["--amp: use_gpu is false, so all runs in full precision"]


def test_a_level_of_mixed_precision_that_there_is_not(scenes):
    arguments = command_line(scenes, KEYPOINTS, "amp_level=O3", flags=["--amp"])
    assert refusal(commands.train, arguments) == "amp_level: it is O3, not one of O1, O2, O0"


def test_an_unknown_argument_of_the_network_is_refused_with_the_nearest_one(scenes, warnings):
    error = refusal(commands.train, command_line(scenes, DETECTOR, "MixFormer.droppath=0.1"))
    assert error == "MixFormer.droppath is not an argument; did you mean drop_path_rate?"
    assert len(warnings()) == 1


def test_a_misspelt_key_is_named_with_the_nearest_one(scenes, files, warnings):
    settings = [f"weights={files}/b0", "TestReader.batch_sise=2"]
    refusal(commands.infer, command_line(scenes, DETECTOR, *settings))
    (warning,) = warnings()
    assert warning.startswith("-o TestReader.batch_sise: ")
    assert warning.endswith("the nearest key there is TestReader.batch_size")


@pytest.mark.slow
def test_a_process_ends_in_one_line(scenes, files):
    log = module("eval", scenes, DETECTOR, f"weights={files}/none", check=False)
    assert f"weights: checkpoint not found: {files}/none" in error_line(log)


@pytest.mark.parametrize("config", [DETECTOR, LVIS, KEYPOINTS])
def test_fewer_samples_than_a_batch_are_refused_before_a_network_is_built(scenes, config, monkeypatch):
    from ppdet.engine import trainer

    built = []
    monkeypatch.setattr(trainer, "create", noting(trainer.create, built))
    overrides = ["TrainReader.batch_size=400", "TrainReader.drop_last=true"]
    overrides += ["TrainDataset.repeat_threshold=0"] * (config == LVIS)
    message = refusal(commands.train, command_line(scenes, config, *overrides, flags=["--eval"]))
    count = re.match(r"TrainReader.batch_size: it is 400, but there are (\d+) samples to train on,", message)
    assert config == KEYPOINTS or int(count[1]) == 8
    assert count and built == ["TrainDataset", "TrainReader"]


def noting(function, calls):
    """`function`, whose first arguments are added to `calls`."""

    def noted(first, *args, **kwargs):
        calls.append(first)
        return function(first, *args, **kwargs)

    return noted


@pytest.fixture
def with_empty(scenes, tmp_path):
    """The scenes, of which two pictures to evaluate on have crowds alone and no object at all."""
    folder = tmp_path / "coco"
    (folder / "annotations").mkdir(parents=True)
    for path in scenes.iterdir():
        if path.name != "annotations":
            (folder / path.name).symlink_to(path)
    for path in (scenes / "annotations").iterdir():
        content = json.loads(path.read_text())
        if path.name in ("instances_val2017.json", "lvis_v1_val.json"):
            crowd, nothing = (image["id"] for image in content["images"][:2])
            content["annotations"] = [a for a in content["annotations"] if a["image_id"] != nothing]
            for annotation in content["annotations"]:
                if annotation["image_id"] == crowd:
                    annotation.update({"iscrowd": 1, "ignore": 1})
        (folder / "annotations" / path.name).write_text(json.dumps(content))
    return folder


@pytest.mark.parametrize("config", [DETECTOR, LVIS])
def test_pictures_without_objects_are_evaluated_and_counted(with_empty, tmp_path, config, warnings, caplog):
    from ppdet.core.workspace import create

    from ppcls_mixformer.paddledet.config import settings

    caplog.set_level(logging.INFO, "ppcls_mixformer")
    settings(command_line(with_empty, config, f"save_dir={tmp_path}", flags=["--eval"]), "train")
    dataset = create("EvalDataset")()
    dataset.parse_dataset()
    count = len(dataset.roidbs)
    assert f"EvalDataset: 2 of {count} pictures without objects are among its samples" in caplog.text
    assert "crowds count neither way" in caplog.text
    assert not any("left out" in line for line in warnings())


@pytest.mark.slow
@pytest.mark.parametrize("config", [DETECTOR, LVIS])
def test_evaluation_runs_over_pictures_without_objects(with_empty, trained, tmp_path, config):
    log = module("eval", with_empty, config, f"weights={trained(config)[0]}", f"save_dir={tmp_path}")
    found = {result["image_id"] for result in json.loads((tmp_path / config / "bbox.json").read_text())}
    name = "lvis_v1_val.json" if config == LVIS else "instances_val2017.json"
    images = json.loads((with_empty / "annotations" / name).read_text())["images"]
    assert f"Total sample number: {len(images)}," in log and found & {i["id"] for i in images[:2]}


def test_pictures_that_evaluation_leaves_out_are_said(with_empty, tmp_path, warnings):
    from ppcls_mixformer.paddledet.config import settings

    overrides = [f"save_dir={tmp_path}", "EvalDataset.allow_empty=false"]
    settings(command_line(with_empty, DETECTOR, *overrides, flags=["--eval"]), "train")
    (line,) = (line for line in warnings() if "left out of evaluation" in line)
    assert line.startswith("EvalDataset: 2 of 4 pictures without objects") and "allow_empty=true" in line


@pytest.mark.parametrize("config", [DETECTOR, LVIS, KEYPOINTS])
def test_results_of_evaluation_go_beside_the_checkpoints(scenes, tmp_path, config):
    from ppcls_mixformer.paddledet.config import settings

    found = settings(command_line(scenes, config, f"save_dir={tmp_path}", flags=["--eval"]), "train").config
    assert found["output_eval"] == str(tmp_path / config) and (tmp_path / config).is_dir()
