"""List files as people have them: what is read, what is refused, and that every picture is there."""

import pytest
from commands import refusal as refusal_of

from ppcls_mixformer.hosting.errors import UserError
from ppcls_mixformer.paddleclas import lists


def listing(tmp_path, content, **options):
    path = tmp_path / "list.txt"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return lists.read(path, **options)


def refusal(tmp_path, content, **options):
    return refusal_of(listing, tmp_path, content, **options)


@pytest.mark.parametrize(
    "content",
    [
        "a.png 0\n猫狗.png 1\n",
        "a.png 0\r\n猫狗.png 1",
        "a.png 0\r猫狗.png 1\r",
        "\ufeffa.png 0\n猫狗.png 1\n",
        "a.png 0\n猫狗.png 1\n".encode("gbk"),
        "a.png 0\n猫狗.png 1\n".encode("utf-16"),
        "a.png\t0\n猫狗.png\t1\n",
        "a.png   0 \n  猫狗.png  1\n",
        "\na.png 0\n\n  \n猫狗.png 1\n\n",
    ],
)
def test_the_same_list_in_other_clothes(tmp_path, content):
    found = listing(tmp_path, content)
    assert (found.images, found.labels) == (["a.png", "猫狗.png"], [0, 1])


@pytest.mark.parametrize("delimiter", [None, " ", "\t", ","])
def test_names_may_have_spaces(tmp_path, delimiter):
    between = delimiter or " "
    content = f"my cat (1).png{between}3\n\nb.png{between}0\n"
    found = listing(tmp_path, content, delimiter=delimiter)
    assert (found.images, found.labels, list(found.lines)) == (["my cat (1).png", "b.png"], [3, 0], [1, 3])


@pytest.mark.parametrize(
    "content, text",
    [
        ("", "lists no images"),
        ("\n \n", "lists no images"),
        ("a.png 0\nb.png\n", "line 2: expected an image, a tab or a space, and a label, got 'b.png'"),
        ("a.png,0\n", "it is separated by ','"),
        ("a.png;0\n", "it is separated by ';'"),
        ("a.png -1\n", "line 1: label '-1' is no whole number from 0 on"),
        ("a.png 1.0\n", "label '1.0' is no whole number"),
        ("a.png ²\n", "label '²' is no whole number"),
        ("a.png cat\n", "line 1: expected an image"),
        ("x" * 101, "and a label, got '" + "x" * 100 + "…'"),
        (" 3\n", "line 1: expected an image"),
        (b"a.png 0\n\xff\xfe\xfd 1\n", "no text in UTF-8"),
    ],
)
def test_a_line_of_another_form_is_named(tmp_path, content, text):
    assert text in refusal(tmp_path, content)


@pytest.mark.parametrize(
    "content, text",
    [
        (
            "a.png\t0,1,1\nb.png\t0,2,0\n",
            "line 2: expected an image, a tab or a space, and 0 or 1 for each class",
        ),
        ("a.png\t0,1,\n", "line 1"),
        ("a.png\n", "line 1"),
    ],
)
def test_a_line_of_several_labels_is_named(tmp_path, content, text):
    assert text in refusal(tmp_path, content, several=True)


LOGO = "image_id\tclass\tbrand\timage\n1\t1\tx\ta.png\n\n2\t3\ty\tmy b.png\n"


@pytest.mark.parametrize(
    "name, content, found",
    [
        ("CompCars", "a.png 4\nb.png 0\n", (["a.png", "b.png"], [4, 0])),
        ("VeriWild", "a.png 4 1\nb.png\t0  2\n", (["a.png", "b.png"], [4, 0])),
        ("LogoDataset", LOGO, (["a.png", "my b.png"], [0, 2])),
    ],
)
def test_lists_in_columns_of_their_own(tmp_path, name, content, found):
    rows = listing(tmp_path, content, columns=lists.COLUMNS[name])
    assert (rows.images, rows.labels) == found


@pytest.mark.parametrize(
    "name, content, text",
    [
        ("CompCars", "a.png 4\nb.png\n", "line 2: expected 2 columns with spaces between, got 'b.png'"),
        ("CompCars", "a.png 4\nmy b.png 1\n", "line 2: expected 2 columns"),
        ("CompCars", "a.png x\n", "line 1: label 'x' is no whole number from 0 on"),
        ("VeriWild", "a.png 1 0\nb.png 2\n", "line 2: expected 3 columns"),
        ("VeriWild", "a.png 1 0\nb.png 2 north\n", "line 2: camera 'north' is no whole number"),
        ("LogoDataset", LOGO + "3\t0\tz\tc.png\n", "line 5: label '0' is no whole number from 1 on"),
        ("LogoDataset", "a.png 1\n", "line 1: expected 4 columns with tabs between"),
    ],
)
def test_a_line_in_other_columns_is_named(tmp_path, name, content, text):
    assert text in refusal(tmp_path, content, columns=lists.COLUMNS[name])


class Five:
    key, number = "Arch.class_num", 5


def test_labels_fit_the_head(tmp_path):
    lists.check_labels("x", listing(tmp_path, "a 0\nb 4\n"), Five)
    with pytest.raises(UserError, match="x, line 3: label 5 needs Arch.class_num of at least 6, it is 5$"):
        lists.check_labels("x", listing(tmp_path, "a 0\n\nb 5\nc 1\n"), Five)
    with pytest.raises(UserError, match="labels start at 0, here at 1"):
        lists.check_labels("x", listing(tmp_path, "a 1\nb 5\n"), Five)
    lists.check_labels("x", listing(tmp_path, "a 100\nb 5\n"), Five, relabelled=True)
    one = listing(tmp_path, "a\t0,1,0,0,0\nb\t0,1,0,0\n", several=True)
    with pytest.raises(UserError, match="x, line 2: 4 labels, but Arch.class_num is 5"):
        lists.check_labels("x", one, Five)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    root = tmp_path / "images"
    root.mkdir()
    for name in ("a.png", "b c.png"):
        (root / name).touch()
    return root


def check_pictures(tmp_path, folder, content):
    found = listing(tmp_path, content)
    lists.check_pictures(tmp_path / "list.txt", folder, found, "image_root")


def test_a_missing_picture_anywhere_is_named(tmp_path, folder):
    check_pictures(tmp_path, folder, "a.png 0\nb c.png 1\n")
    text = f"list.txt, line 3: there is no d.png in {folder}; image paths are taken from image_root"
    with pytest.raises(UserError, match=text):
        check_pictures(tmp_path, folder, "a.png 0\n\nd.png 1\n")
    with pytest.raises(UserError, match="2 of 3 are missing"):
        check_pictures(tmp_path, folder, "e.png 0\na.png 0\nd.png 1\n")
    with pytest.raises(UserError, match="there is a.png: a line has an image and a label, nothing else"):
        check_pictures(tmp_path, folder, "a.png 0 1\n")


def test_pictures_are_looked_for_once_by_one_process(tmp_path, folder, monkeypatch):
    looked = []
    exists = lists.os.path.isfile
    monkeypatch.setattr(lists.os.path, "isfile", lambda path: looked.append(path) or exists(path))
    for _ in range(2):
        check_pictures(tmp_path, folder, "a.png 0\nb c.png 1\n")
    assert len(looked) == 2
    check_pictures(tmp_path, folder, "a.png 0\nb c.png 0\n")
    assert len(looked) == 4
    (folder / "a.png").unlink()
    with pytest.raises(UserError, match="there is no a.png"):
        check_pictures(tmp_path, folder, "a.png 0\nb c.png 0\n")
    monkeypatch.setenv("PADDLE_TRAINER_ID", "1")
    check_pictures(tmp_path, folder, "z.png 0\n")
