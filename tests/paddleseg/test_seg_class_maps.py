"""Class maps as people have them: all are read before a run; what has no meaning is refused in one line."""

import json
import re
import shutil
import sys
import time
from pathlib import Path

import numpy as np
import paddle
import pytest
import yaml
from commands import run
from PIL import Image, ImageFile
from segmentation import CONFIG, TRAINING, overrides

from ppcls_mixformer.hosting.errors import UserError
from ppcls_mixformer.paddleseg import commands

WIDTH, HEIGHT = 40, 30
COUNT = 130  # more than any sample of them


def labels(*numbers):
    """A class map in which each of the numbers has a stripe, `[H, W]`."""
    return np.tile(np.resize(np.array(numbers, "uint8"), WIDTH), (HEIGHT, 1))


def write(path, pixels, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **options)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A folder for PaddleSeg's `Dataset`, of two classes, and one in ADE20K's layout, of eight."""
    folder = tmp_path_factory.mktemp("maps")
    picture = np.random.RandomState(0).randint(0, 256, (HEIGHT, WIDTH, 3), "uint8")
    for n in range(COUNT):
        write(folder / f"own/p/{n:03}.jpg", picture)
        write(folder / f"own/m/{n:03}.png", labels(0, 1, 255))
        for split in ("training", "validation"):
            write(folder / f"ade/images/{split}/{n:03}.jpg", picture)
            write(folder / f"ade/annotations/{split}/{n:03}.png", labels(*range(9)))
    (folder / "own/list.txt").write_text("".join(f"p/{n:03}.jpg m/{n:03}.png\n" for n in range(COUNT)))
    return folder


class Data:
    """One of the two kinds of data; `check` checks a split of it as a command does."""

    def __init__(self, folder, kind):
        self.root, self.kind = folder / kind, kind

    def picture(self, number):
        return self.root / ("p" if self.kind == "own" else "images/training") / f"{number:03}.jpg"

    def map(self, number):
        return self.root / ("m" if self.kind == "own" else "annotations/training") / f"{number:03}.png"

    def maps(self):
        return [self.map(number) for number in range(COUNT)]

    def config(self):
        content = yaml.safe_load(Path(CONFIG).read_text(encoding="utf-8"))
        for split, mode in (("train_dataset", "train"), ("val_dataset", "val")):
            section = content[split]
            section["dataset_root"] = str(self.root)
            if self.kind == "own":
                section.update(type="Dataset", num_classes=2)
                section[f"{mode}_path"] = str(self.root / "list.txt")
        if self.kind == "own":
            content["model"]["num_classes"] = 2
        path = self.root / "config.yml"
        path.write_text(yaml.safe_dump(content))
        return path

    def check(self, split="train_dataset", opts=()):
        from ppcls_mixformer.paddleseg import sections
        from ppcls_mixformer.paddleseg.config import load

        sections.check_data(load(str(self.config()), list(opts)), split)

    def refuse(self, *texts, split="train_dataset", opts=()):
        with pytest.raises(UserError) as error:
            self.check(split, opts)
        for text in texts:
            assert text in str(error.value)
        assert str(error.value).startswith(f"{split}: ") and "\n" not in str(error.value)


@pytest.fixture(params=["own", "ade"])
def data(request, host, whole, tmp_path):
    shutil.copytree(whole / request.param, tmp_path / request.param)
    return Data(tmp_path, request.param)


@pytest.fixture
def own(host, whole, tmp_path):
    shutil.copytree(whole / "own", tmp_path / "own")
    return Data(tmp_path, "own")


@pytest.fixture
def ade(host, whole, tmp_path):
    shutil.copytree(whole / "ade", tmp_path / "ade")
    return Data(tmp_path, "ade")


def test_good_ones_pass_in_both_splits(data, caplog):
    with caplog.at_level("INFO"):
        data.check()
        data.check("val_dataset")
    held = "2 of 2" if data.kind == "own" else "8 of 8"
    assert f"{COUNT} class maps, with {held} classes in them" in caplog.text
    assert not [record for record in caplog.records if record.levelname == "WARNING"]


def test_a_class_too_high_is_found_wherever_it_is(data):
    write(data.map(1), labels(9, 200))
    write(data.map(128), labels(0, 77))
    data.refuse(
        "2 of 130 class maps have numbers that are none of the classes",
        f"{data.map(1)} (9, 200), {data.map(128)} (77)",
        "0 to 1, and 255 for" if data.kind == "own" else "1 to 8, and 0 for",
    )


def test_the_first_number_that_is_no_class_is_refused(data):
    write(data.map(5), labels(2 if data.kind == "own" else 9))
    data.refuse("1 of 130 class maps", f"({2 if data.kind == 'own' else 9})")


@pytest.mark.parametrize(
    "pixels, text",
    [
        (np.stack([labels(0, 1), labels(0, 1), labels(0, 0)], -1), "its pixels are RGB, of colours"),
        (np.stack([labels(0, 1)] * 3 + [labels(254, 255)], -1), "it has transparent pixels"),
        (np.stack([labels(0, 1)] * 2, -1), "it has transparent pixels"),
    ],
)
def test_what_is_no_class_map_is_refused(data, pixels, text):
    write(data.map(2), pixels)
    data.refuse("1 of 130 class maps are no class maps", f"{data.map(2)} ({text}")


def test_a_jpeg_is_no_class_map(data):
    write(data.map(2), labels(0, 1), format="JPEG")
    data.refuse("a JPEG, which changes numbers")


def test_a_palette_is_a_class_map(data):
    image = Image.fromarray(labels(1, 0))
    image.putpalette([200, 0, 0, 0, 200, 0])
    image.save(data.map(2))
    data.check()


def in_channels(count, numbers):
    """A class map saved as a picture: grey or RGB, an even number of channels with one for opacity."""
    opaque = [np.full_like(numbers, 255)] * (count % 2 == 0)
    return np.stack([numbers] * (count - len(opaque)) + opaque, -1)


@pytest.mark.parametrize("split", ["train_dataset", "val_dataset"])
@pytest.mark.parametrize("kind", ["1", 2, 3, 4])
def test_one_number_in_several_channels_or_one_bit_reaches_the_network(data, kind, split):
    from ppcls_mixformer.paddleseg.builder import Builder
    from ppcls_mixformer.paddleseg.config import load

    numbers = labels(0, 1) if kind == "1" else labels(0, 1, 255) if data.kind == "own" else labels(1, 2, 0)
    write(data.map(0), numbers > 0 if kind == "1" else in_channels(kind, numbers))
    if data.kind == "ade":
        shutil.copy(data.map(0), data.root / "annotations/validation/000.png")
    assert Image.open(data.map(0)).mode == {"1": "1", 2: "LA", 3: "RGB", 4: "RGBA"}[kind]
    data.check(split)
    builder = Builder(load(str(data.config()), [f"{split}.transforms=[]"]))
    label = getattr(builder, split)[0]["label"]
    assert label.dtype == "uint8" and (label.squeeze() == numbers - np.uint8(data.kind == "ade")).all()


@pytest.mark.parametrize("split", ["train_dataset", "val_dataset"])
@pytest.mark.parametrize("kind", ["uint16", "int32", "float32"])
def test_classes_of_more_than_8_bits_reach_the_network(data, kind, split):
    from ppcls_mixformer.paddleseg.builder import Builder
    from ppcls_mixformer.paddleseg.config import load

    numbers = [0, 1, 255] if data.kind == "own" else [1, 2, 0]
    write(data.map(0), labels(*numbers).astype(kind), format="PNG" if kind == "uint16" else "TIFF")
    if data.kind == "ade":
        shutil.copy(data.map(0), data.root / "annotations/validation/000.png")
    data.check(split)
    builder = Builder(load(str(data.config()), [f"{split}.transforms=[]"]))
    label = getattr(builder, split)[0]["label"]
    assert label.dtype == "uint8"
    read = paddle.to_tensor(label).astype("int64").numpy().reshape(HEIGHT, WIDTH)
    assert (read == labels(0, 1, 255)).all()


def test_a_class_above_255_reaches_the_network(host, tmp_path):
    from paddleseg.transforms import Compose, RandomPaddingCrop, ResizeStepScaling

    numbers = np.full((HEIGHT, WIDTH), 300, "uint16")
    write(tmp_path / "a.png", numbers)
    write(tmp_path / "a.jpg", np.zeros((HEIGHT, WIDTH, 3), "uint8"))
    chain = Compose([ResizeStepScaling(0.5, 0.5), RandomPaddingCrop((WIDTH, HEIGHT), label_padding_value=7)])
    paths = {"img": str(tmp_path / "a.jpg"), "label": str(tmp_path / "a.png")}
    label = chain({**paths, "gt_fields": ["label"]})["label"]
    assert label.dtype == "int32" and set(np.unique(label)) == {7, 300}


def test_paddlesegs_ade20k_knows_what_is_unlabelled_in_16_bits(host, ade):
    from paddleseg.datasets import ADE20K

    write(ade.map(0), labels(0, 1).astype("uint16"))
    label = ADE20K([], str(ade.root))[0]["label"]
    assert (label == labels(255, 0)).all()


def test_more_classes_than_ade20ks_layout_holds_are_refused(ade):
    counts = [f"{name}.num_classes=256" for name in ("train_dataset", "val_dataset", "model")]
    ade.refuse("hold 255 classes at most, not 256", opts=counts)


def test_another_size_is_refused(data):
    write(data.map(2), labels(0, 1)[:-1])
    data.refuse("have another size than their pictures", "(40×29; the picture is 40×30)")


def test_sizes_are_compared_as_the_reader_turns_pictures(data):
    exif = Image.Exif()
    exif[0x0112] = 6
    write(data.picture(2), np.zeros((HEIGHT, WIDTH, 3), "uint8"), exif=exif)
    data.refuse("(40×30; the picture is 30×40, before the turn that its EXIF asks for")
    write(data.map(2), labels(0, 1).T)
    data.check()


def test_files_that_cannot_be_read_are_refused(data, monkeypatch):
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)  # as PaddleDetection has it
    data.map(1).write_bytes(data.map(1).read_bytes()[:60])
    data.picture(2).write_bytes(data.picture(2).read_bytes()[:300])
    data.map(3).write_bytes(b"")
    data.refuse(
        "2 of 130 class maps are missing or cannot be read: ",
        f"{data.map(1)} (",
        "; 1 of 130 class maps are of pictures that are missing or cannot be read: ",
        f"({data.picture(2)}: ",
    )


def test_files_that_are_missing_are_refused(data):
    data.map(1).unlink()
    data.refuse(str(data.map(1)))


def test_a_missing_picture_in_a_list_is_refused(own):
    own.picture(1).unlink()
    own.refuse(f"{own.picture(1)}: No such file")


def test_masks_of_0_and_255_are_refused(own):
    for path in own.maps():
        write(path, labels(0, 255))
    text = (
        "all 130 class maps together hold one of 2 classes: they hold 0 and 255 alone; the numbers are 0 to 1"
    )
    own.refuse(text)
    own.refuse(text, split="val_dataset")


def test_no_class_at_all_is_refused_and_some_without_are_said(data, caplog):
    unlabelled = 255 if data.kind == "own" else 0
    for path in data.maps()[1:]:
        write(path, labels(unlabelled))
    data.check()
    assert f"129 of 130 class maps are all unlabelled: {data.map(1)}, " in caplog.text
    write(data.map(0), labels(unlabelled))
    data.refuse(f"all 130 class maps are unlabelled: they hold {unlabelled} alone")


def test_classes_that_no_map_has_are_said(ade, caplog):
    for path in ade.maps():
        write(path, labels(1, 2))
    ade.check()
    assert "6 of 8 classes are in no class map (counted from 0: 2, 3, 4, …)" in caplog.text


def test_pictures_of_all_endings_are_used(ade, caplog):
    from ppcls_mixformer.paddleseg.data import list_pairs

    for number, ending in enumerate((".JPG", ".jpeg", ".png", ".Png")):
        Image.open(ade.picture(number)).convert("RGB").save(ade.root / f"x{ending}")
        shutil.move(ade.root / f"x{ending}", ade.picture(number).with_suffix(ending))
        ade.picture(number).unlink()
    shutil.move(ade.map(7), ade.map(7).with_suffix(".PNG"))
    (ade.picture(0).parent / "notes.txt").touch()
    (ade.picture(0).parent / ".DS_Store").touch()
    write(ade.map(500), labels(1))
    ade.check()
    assert len(list_pairs(ade.root, "train")) == COUNT
    assert "2 files are left out" in caplog.text and "notes.txt" in caplog.text and "500.png" in caplog.text
    shutil.copy(ade.picture(9), ade.picture(9).with_suffix(".JPEG"))
    ade.refuse("009.JPEG", "would have the same class map")


def test_paddlesegs_ade20k_has_the_same_pairs(host, ade):
    from paddleseg.datasets import ADE20K

    from ppcls_mixformer.paddleseg.data import list_pairs

    shutil.move(ade.picture(0), ade.picture(0).with_suffix(".JPG"))
    pairs = ADE20K(transforms=[], dataset_root=str(ade.root), mode="train").file_list
    assert pairs == list_pairs(ade.root, "train")
    original = ADE20K.__init__.bridged
    bare = ADE20K.__new__(ADE20K)
    original(bare, transforms=[], dataset_root=str(ade.root), mode="train")
    assert not all(path.endswith(".png") for _, path in bare.file_list)


# Folders and endings of the pictures and class maps of data sets that PaddleSeg pairs by their places.
PLACES = {
    "Cityscapes": (
        ("leftImg8bit/train/ulm", "_leftImg8bit.png"),
        ("gtFine/train/ulm", "_gtFine_labelTrainIds.png"),
    ),
    "CocoStuff": (("images/train2017", ".jpg"), ("annotations/train2017", ".png")),
}


@pytest.mark.parametrize("kind", PLACES)
def test_a_missing_class_map_gives_no_picture_that_of_another(host, tmp_path, kind):
    from paddleseg import datasets

    def pairs():
        return getattr(datasets, kind)(transforms=[], dataset_root=str(tmp_path), mode="train").file_list

    files = [[tmp_path / folder / f"{n}{ending}" for folder, ending in PLACES[kind]] for n in "abc"]
    for path in sum(files, []):
        write(path, labels(0))
    assert pairs() == [[str(path) for path in pair] for pair in files]
    files[0][1].unlink()
    bare = getattr(datasets, kind).__new__(getattr(datasets, kind))
    type(bare).__init__.bridged(bare, transforms=[], dataset_root=str(tmp_path), mode="train")
    assert bare.file_list[0] == [str(files[0][0]), str(files[1][1])]
    with pytest.raises(
        UserError, match=f"1 of 3 pictures have no class map: {files[0][0]} has none, there is "
    ):
        pairs()
    files[0][0].unlink()
    files[1][0].unlink()
    with pytest.raises(UserError, match=f"1 of 2 class maps have no picture, such as {files[1][1]}"):
        pairs()


def test_it_is_said_which_class_maps_are_not_checked(own, caplog):
    from ppcls_mixformer.paddleseg import sections
    from ppcls_mixformer.paddleseg.config import load

    write(own.root / "Images/0.png", np.zeros((HEIGHT, WIDTH, 3), "uint8"))
    write(own.root / "Labels/0.png", labels(0, 77))
    (own.root / "eg1800_train.txt").write_text("0.png")
    content = yaml.safe_load(own.config().read_text())
    section = {"type": "EG1800", "dataset_root": str(own.root), "mode": "train"}
    chains = {name: [{"type": "Normalize"}] for name in ("common_transforms", "transforms1", "transforms2")}
    content["train_dataset"] = {**section, **chains}
    (own.root / "config.yml").write_text(yaml.safe_dump({**content, "batch_size": 1}))
    sections.check_data(load(str(own.root / "config.yml"), []), "train_dataset")
    assert "train_dataset: class maps are not checked: EG1800 has a way of its own" in caplog.text


def test_one_of_several_processes_reads_the_maps(own, monkeypatch):
    write(own.map(1), labels(9))
    monkeypatch.setattr(paddle.distributed, "get_rank", lambda: 1)
    own.check()
    monkeypatch.undo()
    own.refuse("1 of 130 class maps")


@pytest.mark.slow
def test_a_refusal_ends_all_processes(ade, tmp_path):
    write(ade.map(1), labels(9))
    launcher = ["-m", "paddle.distributed.launch", "--nproc_per_node", 2, "--log_dir", tmp_path / "log"]
    command = [
        "tools/seg/train.py",
        "--config",
        CONFIG,
        "--iters",
        1,
        "--device",
        "cpu",
        *overrides(ade.root),
    ]
    begin = time.perf_counter()
    log = run(sys.executable, *launcher, *command, "--save_dir", tmp_path / "out", check=False)
    assert "error: train_dataset: 1 of 130 class maps have numbers" in log and "Traceback" not in log
    assert "iter: 1/1" not in log and time.perf_counter() - begin < 120
    others = (tmp_path / "log/workerlog.1").read_text()
    assert "class maps have numbers" not in others and "Traceback" not in others


@pytest.mark.parametrize(
    "lines, text",
    [
        ("", "is empty"),
        ("\n\n", "is empty"),
        ("p/000.jpg\nm/000.png", "2 of 2 lines, first line 1, are not a picture, ' ' and its class map"),
        ("p/000.jpg m/000.png\n\na picture.jpg m/000.png", "1 of 2 lines, first line 3"),
    ],
)
def test_wrong_lists_are_named(own, lines, text):
    (own.root / "list.txt").write_text(lines, encoding="utf-8")
    own.refuse(f"{own.root / 'list.txt'} (train_path)", text)


@pytest.mark.parametrize(
    "line, separator",
    [
        ("{} {}", " "),
        ("{}\t{}", " "),
        ("{}  {}", " "),
        ("{},{}", " "),
        ("{}, {}", ","),
        ("{} ; {}", " "),
        ("{} {}", "\t"),
        ("{}|{}", "|"),
    ],
)
@pytest.mark.parametrize("name", ["a", "a b", "a, b c", "猫", "sub\\a"])
def test_lists_as_people_have_them(own, line, separator, name):
    from ppcls_mixformer.paddleseg.builder import Builder
    from ppcls_mixformer.paddleseg.config import load

    names = [f"p/{name}.jpg", f"m/{name}.png"]
    places = [own.root / part.replace("\\", "/") for part in names]
    for place, source in zip(places, (own.picture(0), own.map(0))):
        place.parent.mkdir(exist_ok=True)
        shutil.copy(source, place)
    absolute = line.format(own.picture(1), own.map(1))
    lines = ["", line.format(*names), absolute, "", ""]
    (own.root / "list.txt").write_bytes("\r\n".join(lines).encode("utf-8-sig"))
    opts = ["batch_size=1", f"train_dataset.separator={json.dumps(separator)}"]
    own.check(opts=opts)
    dataset = Builder(load(str(own.config()), opts)).train_dataset
    wanted = [list(map(str, places)), [str(own.picture(1)), str(own.map(1))]]
    assert dataset.file_list == wanted and dataset[0]["label"].max() == 255


def test_a_list_that_is_no_text_is_refused(own):
    (own.root / "list.txt").write_text("p/0\x0000.jpg m/000.png")
    own.refuse(f"train_path: {own.root / 'list.txt'} is no text in UTF-8")


def test_a_line_that_can_be_split_in_two_ways_is_not_guessed(own):
    for place in ("a", "a b", "b c", "c"):
        shutil.copy(own.map(0), own.root / place)
    (own.root / "list.txt").write_text("a b c\n")
    own.refuse("1 of 1 lines, first line 1", opts=["batch_size=1"])


def test_a_number_of_classes_is_a_number(own):
    names = ("train_dataset", "val_dataset", "model")
    own.refuse("num_classes must be a whole number above 0", opts=[f"{n}.num_classes=2.0" for n in names])


def test_padding_that_is_no_class_is_refused(own):
    opts = ["train_dataset.ignore_index=9"]
    own.refuse(
        "RandomPaddingCrop pads class maps with 255 (label_padding_value), which is no class", opts=opts
    )
    crop = "{'type': 'RandomPaddingCrop', 'label_padding_value': %d}"
    for path in own.maps():
        write(path, labels(0, 1, 9))
    for value in (9, 1):
        own.check(opts=[*opts, f"train_dataset.transforms=[{crop % value}]"])


def test_an_empty_separator_is_refused(own):
    own.refuse("separator must not be empty", opts=["train_dataset.separator=''"])


def test_a_list_in_the_folder_of_the_data_is_found_for_the_user(own):
    own.refuse("there is no file list.txt", "list.txt is there", opts=["train_dataset.train_path=list.txt"])


def test_commands_refuse_before_anything_is_built(ade):
    write(ade.map(1), labels(9))
    with pytest.raises(UserError, match=re.escape("1 of 130 class maps have numbers")):
        commands.train(["--config", CONFIG, *TRAINING, *overrides(ade.root)])


def test_thousands_of_maps_take_seconds(host, tmp_path):
    from ppcls_mixformer.paddleseg import class_maps

    picture, path = tmp_path / "a.jpg", tmp_path / "a.png"
    blocks = np.kron(np.random.RandomState(0).randint(0, 150, (16, 21)), np.ones((32, 32)))
    write(path, blocks.astype("uint8"))
    write(picture, np.zeros((*blocks.shape, 3), "uint8"))
    begin = time.perf_counter()
    found = class_maps.check([[picture, path]] * 2000, class_maps.Meaning(150, 0, 255), "train_dataset")
    assert len(found.maps) > 100 and sum(found.pixels.values()) == 2000 * blocks.size
    assert time.perf_counter() - begin < 60
