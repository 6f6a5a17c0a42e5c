"""Pictures that PaddleClas cannot read or transform, in every dataset class and with every reader it has."""

import importlib
import inspect
import pkgutil
import re

import numpy as np
import pytest
from commands import checkpoint, error_line, overrides, tool
from PIL import Image

from ppcls_mixformer.hosting.errors import UserError

DECODE = {"DecodeImage": {"to_rgb": True, "channel_first": False}}


pytestmark = pytest.mark.usefixtures("bridged_paddleclas")


@pytest.fixture
def folder(tmp_path):
    """Four pictures of noise, 40x30, the third of them cut in half, and their lists."""
    for number in range(4):
        noise = np.random.RandomState(number).randint(0, 256, (30, 40, 3), dtype="uint8")
        Image.fromarray(noise).save(tmp_path / f"{number}.jpg")
    half(tmp_path / "2.jpg")
    (tmp_path / "list.txt").write_text("".join(f"{number}.jpg {number}\n" for number in range(4)))
    (tmp_path / "cameras.txt").write_text("".join(f"{number}.jpg {number} 0\n" for number in range(4)))
    (tmp_path / "tabs.txt").write_text("".join(f"{number}.jpg\t0,1\n" for number in range(4)))
    return tmp_path


def half(path):
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])


def build(name, folder, listing="list.txt", **options):
    """The dataset class `name` of PaddleClas over `folder`."""
    import ppcls.data

    options = {"transform_ops": [DECODE], **options}
    return getattr(ppcls.data, name)(str(folder), str(folder / listing), **options)


def watched(folder, operators, workers, split="Eval", name="ImageNetDataset", **config):
    """A loader that PaddleClas builds, watched as the Engine's."""
    from ppcls.data import build_dataloader

    from ppcls_mixformer.hosting import loading
    from ppcls_mixformer.paddleclas import reading

    dataset = {"image_root": str(folder), "cls_label_path": str(folder / "list.txt")}
    settings = {
        "dataset": {"name": name, "transform_ops": operators, **dataset},
        "sampler": {"batch_size": 2, "drop_last": False, "shuffle": False},
        "loader": {"num_workers": workers, "use_shared_memory": False},
    }
    loader = build_dataloader({split: settings, "class_num": 4}, split, "cpu")
    settings = {"Global": {}, **config}
    loading.watch(loader, reading.watcher(settings, f"DataLoader.{split}", len(loader.dataset)))
    return loader


def datasets_that_substitute():
    """Names of the dataset classes of the PaddleClas in use whose source takes a random other sample."""
    import ppcls.data.dataloader as room

    for module in pkgutil.iter_modules(room.__path__):
        if module.name == "dali":
            continue
        module = importlib.import_module(f"{room.__name__}.{module.name}")
        for name, found in inspect.getmembers(module, inspect.isclass):
            own = found.__module__ == module.__name__ and vars(found).get("__getitem__")
            if own and re.search(r"__getitem__\(\s*rnd_idx", inspect.getsource(own)):
                yield module, name


def test_no_dataset_class_substitutes():
    found = list(datasets_that_substitute())
    assert {"CommonDataset", "MultiLabelDataset", "VeriWild"} <= {name for _, name in found}
    for module, _ in found:
        assert hasattr(module.logger, "stands_for"), module
        try:
            raise KeyError("a cause")
        except KeyError:
            with pytest.raises(KeyError, match="a cause"):
                module.logger.error("Exception occured when parse line")


@pytest.mark.parametrize(
    "name, listing",
    [("ImageNetDataset", "list.txt"), ("MultiLabelDataset", "tabs.txt"), ("VeriWild", "cameras.txt")],
)
def test_a_half_picture_is_an_error_in_every_class(folder, name, listing):
    from ppcls_mixformer.hosting.pictures import Unreadable

    dataset = build(name, folder, listing)
    assert dataset[1][0].shape == (3, 30, 40)
    with pytest.raises(Unreadable, match="truncated"):
        dataset[2]


def test_mixed_datasets_name_the_file(folder):
    from ppcls_mixformer.paddleclas import reading

    config = {"name": "ImageNetDataset", "image_root": str(folder), "transform_ops": [DECODE]}
    parts = [{**config, "cls_label_path": str(folder / "list.txt")} for _ in range(2)]
    from ppcls.data import MixDataset

    assert reading.file_of(MixDataset(parts), 6) == str(folder / "2.jpg")
    assert reading.file_of(build("ImageNetDataset", folder), (32, 32, 1)) == str(folder / "1.jpg")


def test_pillows_reader_is_held_to_the_same(folder):
    from ppcls.data.preprocess import DecodeImage

    if "backend" not in inspect.signature(DecodeImage.__init__).parameters:
        pytest.skip("this PaddleClas reads with OpenCV only")
    from ppcls_mixformer.hosting import reading

    dataset = build("ImageNetDataset", folder, transform_ops=[{"DecodeImage": {"backend": "pil"}}])
    with pytest.raises(OSError, match="truncated") as error:
        dataset[2]
    assert reading.is_unreadable(error.value)


@pytest.mark.parametrize("workers", [0, 2])
def test_an_evaluation_is_refused_or_says_of_how_many_it_is(folder, workers, caplog):
    (folder / "0.jpg").write_bytes(b"")
    with pytest.raises(UserError) as refusal:
        list(watched(folder, [DECODE], workers))
    text = str(refusal.value)
    assert text.startswith(
        f"DataLoader.Eval: 2 of 4 pictures cannot be read: {folder}/0.jpg (the file is empty)"
    )
    batches = list(watched(folder, [DECODE], workers, skip_unreadable=True))
    assert [batch[1].flatten().tolist() for batch in batches] == [[1], [3]]
    assert "the result is of the other 2" in caplog.text


@pytest.mark.parametrize("workers", [0, 2])
def test_training_goes_on_up_to_a_share(folder, workers, caplog):
    with pytest.raises(UserError, match="1 of 4 .* more than Global.unreadable_share = 0.01"):
        list(watched(folder, [DECODE], workers, split="Train"))
    caplog.clear()
    loader = watched(folder, [DECODE], workers, split="Train", Global={"unreadable_share": 0.5})
    labels = [label for _ in range(2) for batch in loader for label in batch[1].flatten().tolist()]
    assert len(labels) == 8 and 2 not in labels
    (line,) = [record.getMessage() for record in caplog.records if "goes on" in record.getMessage()]
    assert "2.jpg cannot be read: image file is truncated" in line


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("split", ["Train", "Eval"])
def test_a_crop_that_does_not_fit_is_refused_with_sizes(folder, workers, split):
    start = f"DataLoader.{split}: CropImage fails on {folder}/0.jpg: a crop of 64x48 does not fit"
    with pytest.raises(UserError) as refusal:
        list(watched(folder, [DECODE, {"CropImage": {"size": [64, 48]}}], workers, split))
    assert str(refusal.value).startswith(start) and "\n" not in refusal.value.args[0]


def test_a_crop_is_padded_where_the_config_says_so(folder):
    padded = [DECODE, {"PadImage": {"size": [64, 48], "value": 7}}, {"CropImage": {"size": [64, 48]}}]
    picture = build("ImageNetDataset", folder, transform_ops=padded)[0][0]
    assert picture.shape == (3, 48, 64) and (picture[:, :9] == 7).all() and (picture[:, :, :12] == 7).all()
    plain = build("ImageNetDataset", folder)[0][0]
    assert (picture[:, 9:39, 12:52] == plain).all()
    fits = build("ImageNetDataset", folder, transform_ops=[DECODE, {"PadImage": {"size": 8}}])[0][0]
    assert (fits == plain).all()


def test_without_the_bridge_a_crop_is_the_corner():
    from ppcls.data.preprocess import CropImage

    picture = np.arange(100 * 100 * 3).reshape(100, 100, 3)
    corner = CropImage.__call__.bridged(CropImage(224), picture)
    assert corner.shape[:2] == (62, 62)
    assert CropImage(50)(picture).shape[:2] == (50, 50)


def test_a_transform_of_batches_that_fails_is_named(folder):
    from ppcls_mixformer.hosting import loading
    from ppcls_mixformer.paddleclas import reading

    loader = watched(folder, [DECODE], 0, "Train", Global={"unreadable_share": 1})
    from ppcls.data.preprocess import MixupOperator, transform

    operators = [MixupOperator(class_num=2, alpha=0.2)]  # labels go up to 3
    loader.collate_fn = lambda batch: transform(batch, operators)
    loading.watch(loader, reading.watcher({"Global": {"unreadable_share": 1}}, "DataLoader.Train", 4))
    with pytest.raises(
        UserError, match="DataLoader.Train: MixupOperator fails on .*/3.jpg: IndexError: index"
    ):
        list(loader)


@pytest.fixture
def pictures(digits, tmp_path):
    """A copy of the lists of `digits` whose first test picture is cut in half."""
    import shutil

    folder = tmp_path / "digits"
    shutil.copytree(digits, folder)
    half(folder / (folder / "test_list.txt").read_text().split()[0])
    return folder


@pytest.mark.slow
def test_the_tools_refuse_a_result_of_half_pictures(pictures, trained):
    weights = f"Global.pretrained_model={checkpoint(trained[0], 'latest')}"
    settings = [*overrides(pictures, pictures / "output"), weights]
    line = error_line(tool("eval", *settings, check=False))
    assert "DataLoader.Eval: 1 of 40 pictures cannot be read" in line and "--skip-unreadable" in line
    log = tool("eval", *settings, flags=["--skip-unreadable"])
    assert "the result is of the other 39" in log and "top1" in log


@pytest.mark.slow
def test_training_stops_above_the_share(digits, tmp_path):
    names = (digits / "train_list.txt").read_text().splitlines()
    (tmp_path / "empty.png").touch()
    (tmp_path / "list.txt").write_text("\n".join([*names[:94], *[f"{tmp_path}/empty.png 0"] * 2]))
    settings = [*overrides(digits, tmp_path / "out"), "Global.unreadable_share=0"]
    settings += [f"DataLoader.Train.dataset.cls_label_path={tmp_path}/list.txt"]
    line = error_line(tool("train", *settings, check=False))
    assert "1 of 96 pictures cannot be read" in line and "more than Global.unreadable_share = 0" in line
