"""`explain`: a sheet for each picture, and refusals in one line."""

import shutil
from types import SimpleNamespace

import numpy as np
import pytest
from commands import checkpoint, error_line, overrides, tool
from matplotlib.figure import Figure
from PIL import Image

from ppcls_mixformer.predict.sources import Source


def explain(digits, trained, *flags, settings=(), check=True):
    weights = f"Global.pretrained_model={checkpoint(trained[0], 'latest')}"
    settings = [*overrides(digits, trained[0]), weights, *settings]
    return tool("explain", *settings, flags=flags, check=check)


@pytest.mark.slow
def test_each_picture_gets_a_sheet_and_a_bad_one_is_named(digits, trained, tmp_path):
    first = next((digits / "test").glob("*.png"))
    pictures = tmp_path / "pictures"
    (pictures / "sub").mkdir(parents=True)
    for name in ("a.png", "sub/a.png", "sub/ü b.png"):
        shutil.copyfile(first, pictures / name)
    (pictures / "bad.png").write_bytes(first.read_bytes()[:90])
    log = explain(
        digits,
        trained,
        *("--image", pictures, "--output", tmp_path / "sheets", "--class", "digit 3", "--class", "5"),
        *("--at", "0,1"),
        settings=["Global.to_static=True"],
        check=False,
    )
    assert error_line(log) == f"error: 1 of 4 pictures have no answer: {pictures / 'bad.png'}"
    sheets = sorted(path.name for path in (tmp_path / "sheets").iterdir())
    assert sheets == ["a-2.png", "a.png", "ü_b.png"]
    with Image.open(tmp_path / "sheets/a.png") as one, Image.open(tmp_path / "sheets/a-2.png") as other:
        assert one.size == other.size and one.size[0] > 1000
        assert np.abs(np.asarray(one, "float32") - np.asarray(other, "float32")).mean() < 1
    assert "sub/ü b.png: digit " in log and f"{tmp_path / 'sheets/ü_b.png'}" in log


@pytest.mark.slow
@pytest.mark.parametrize(
    "flags, settings, message",
    [
        (["--class", "digt 3"], [], "--class digt 3: there is no such class; did you mean digit 3?"),
        (["--class", "10"], [], "--class 10: the network has 10 classes, from 0 on"),
        (["--at", "2,0"], [], "--at 2,0: it takes shares of width and height, such as --at 0.5,0.25"),
        ([], ["Global.pretrained_model=null"], "names no weights, which explain needs"),
    ],
)
def test_what_cannot_be_explained_is_refused(digits, trained, tmp_path, flags, settings, message):
    paths = ("--image", digits / "test", "--output", tmp_path / "sheets")
    log = explain(digits, trained, *paths, *flags, settings=settings, check=False)
    assert message in error_line(log)
    assert not (tmp_path / "sheets").exists()


@pytest.mark.slow
def test_another_network_is_refused(digits, trained, tmp_path):
    flags = ["--image", digits / "test", "--output", tmp_path / "sheets", "--random-weights"]
    settings = [*overrides(digits, tmp_path), "Arch.name=ResNet18"]
    log = tool("explain", *settings, flags=flags, check=False)
    assert error_line(log) == "error: explain: Arch.name is ResNet18, but it needs a MixFormer"


def test_no_file_is_written_twice(bridged_paddleclas):
    from ppcls_mixformer.paddleclas.explain import file_names

    names = ["x/a.png", "x/a-2.png", "y/a.jpg", "z/A.gif", "http://h/p.jpg?q=1", "/"]
    found = file_names(map(Source, names))
    assert len({name.lower() for name in found}) == len(names)
    assert found[0] == "a.png" and all(name.endswith(".png") and "/" not in name for name in found)


def test_sheets_are_not_written_among_the_pictures(bridged_paddleclas, tmp_path):
    from ppcls_mixformer.hosting.errors import UserError
    from ppcls_mixformer.paddleclas.explain import check_output

    pictures = tmp_path / "pictures"
    pictures.mkdir()
    (tmp_path / "link").symlink_to(pictures)
    sources = [Source("http://host/a.png"), Source(str(pictures / "a.png"))]
    check_output(tmp_path / "new/sheets", pictures, sources)
    check_output(pictures / "sheets", pictures / "a.png", sources)
    for folder in ("pictures", "link", "pictures/../link", "pictures/sheets"):
        with pytest.raises(UserError, match="the pictures lie in"):
            check_output(tmp_path / folder, pictures, sources)
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="file is a file"):
        check_output(tmp_path / "file", pictures, sources)


def test_sheets_of_one_picture_are_not_written_into_the_folder_of_all_classes(bridged_paddleclas, tmp_path):
    """Where the next `prepare` would take them for pictures of a class."""
    from ppcls_mixformer.hosting.errors import UserError
    from ppcls_mixformer.paddleclas.explain import check_output, image_roots

    photos = tmp_path / "photos"
    (photos / "cat").mkdir(parents=True)
    config = {"DataLoader": {"Train": {"dataset": {"image_root": f"{photos}/"}}, "Eval": None, "epochs": 3}}
    own, other = ([Source(str(place / "1.jpg"))] for place in (photos / "cat", tmp_path))
    with pytest.raises(UserError, match=f"the pictures lie in {photos}, and"):
        check_output(photos / "x", own[0].name, own, image_roots(config))
    check_output(tmp_path / "x", own[0].name, own, image_roots(config))
    check_output(photos / "x", other[0].name, other, image_roots(config))
    assert not image_roots({})


def test_pictures_of_the_same_names_are_not_replaced(bridged_paddleclas, tmp_path):
    from ppcls_mixformer.hosting.errors import UserError
    from ppcls_mixformer.paddleclas.explain import check_free

    sheet, mine, none = (tmp_path / f"{name}.png" for name in ("sheet", "mine", "none"))
    Image.new("RGB", (8, 8)).save(mine)
    Figure().savefig(sheet)
    check_free([sheet, none])
    with pytest.raises(UserError, match=r"mine\.png is no sheet of this command, and is not replaced"):
        check_free([sheet, none, mine])
    mine.write_text("half")
    with pytest.raises(UserError, match="is not replaced"):
        check_free([mine])


def test_of_a_distilled_network_the_student_is_explained(host):
    import ppcls.arch

    from ppcls_mixformer.paddleclas.explain import mixformer_of

    small = {"name": "MixFormer_B0", "class_num": 4, "depths": [1, 1, 1, 1]}
    names = ("Teacher", "Student")
    model = ppcls.arch.DistillationModel(models=[{name: dict(small)} for name in names])
    engine = SimpleNamespace(model=model, config={"Arch": {"name": "DistillationModel"}})
    assert mixformer_of(engine) is model.model_list[1]
    engine.config["Arch"]["infer_model_name"] = "Teacher"
    assert mixformer_of(engine) is model.model_list[0]
    assert mixformer_of(SimpleNamespace(model=model.model_list[0].norm)) is None


@pytest.mark.parametrize("to_rgb", [True, False])
def test_the_picture_is_what_the_network_saw(bridged_paddleclas, tmp_path, to_rgb):
    from ppcls.data.dataloader.common_dataset import create_operators

    from ppcls_mixformer.paddleclas.explain import seen

    pixels = np.random.default_rng(0).integers(0, 256, (28, 28, 3)).astype("uint8")
    Image.fromarray(pixels).save(tmp_path / "a.png")
    scaling = {"scale": "1.0/255.0", "mean": [0.4, 0.5, 0.6], "std": [0.1, 0.2, 0.3], "order": ""}
    operators = create_operators(
        [
            {"DecodeImage": {"to_rgb": to_rgb, "channel_first": False}},
            {"NormalizeImage": scaling},
            {"ToCHWImage": None},
        ]
    )
    image = (tmp_path / "a.png").read_bytes()
    for operator in operators:
        image = operator(image)
    np.testing.assert_array_equal(seen(image, operators), pixels)
