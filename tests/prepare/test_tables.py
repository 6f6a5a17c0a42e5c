"""Tables in the forms that people have; what is in them is found by trying."""

import pytest

from ppcls_mixformer.hosting.errors import UserError
from ppcls_mixformer.prepare import forms, tables
from ppcls_mixformer.prepare.found import classes_of

LETTERS = "ababab"


def rows(separator=",", header="image,label", folder="img/"):
    lines = [f"{folder}{number}.png,{letter}" for number, letter in enumerate(LETTERS)]
    return "\n".join([*([header] if header else []), *lines]).replace(",", separator)


def labels(found):
    return {picture.name.split("/")[-1]: picture.labels for picture in found.pictures}


SINGLE = {f"{number}.png": (letter,) for number, letter in enumerate(LETTERS)}


@pytest.mark.parametrize(
    "text, encoding",
    [
        (rows(), "utf-8-sig"),
        (rows(), "utf-16"),
        (rows(";"), "utf-8"),
        (rows("\t", header=None), "utf-8"),
        (rows("|", folder=""), "utf-8"),
        (rows().replace("/", "\\"), "utf-8"),
        (rows().replace("\n", "\r\n") + "\r\n\r\n", "gbk"),
    ],
    ids=["mark", "utf-16", "semicolons", "tabs", "no folder", "backslashes", "line ends"],
)
def test_pictures_and_labels(pictures, text, encoding):
    pictures.add_table(text, encoding)
    found = forms.find(pictures.root)
    assert labels(found) == SINGLE and not found.several and not found.missing


@pytest.mark.parametrize(
    "names, encoding",
    [(("Löwe", "Bär"), "cp1252"), (("Café crème", "Señor €"), "cp1252"), (("狮子", "熊猫"), "gbk")],
)
def test_names_in_the_encoding_of_a_spreadsheet(pictures, names, encoding):
    lines = [f"img/{number}.png;{names[number % 2]}" for number in range(6)]
    pictures.add_table("\r\n".join(["Bild;Tier", *lines]), encoding)
    assert set(classes_of(forms.find(pictures.root).pictures)) == set(names)


def test_columns_are_told_by_their_names_and_splits_are_read(pictures):
    lines = [f"{i},{c},img/{i}.png,{'val' if i > 3 else 'train'}" for i, c in enumerate(LETTERS)]
    pictures.add_table("\n".join(["id,Class,file,split", *lines]))
    found = forms.find(pictures.root)
    assert labels(found) == SINGLE
    assert [picture.split for picture in found.pictures] == ["train"] * 4 + ["val"] * 2


def test_columns_that_are_not_read_are_named(pictures):
    lines = [f"img/{i}.png,{c},{i > 3},," for i, c in enumerate(LETTERS)]
    pictures.add_table("\n".join(["file,label,is_valid,split,", *lines]))
    found = forms.find(pictures.root)
    assert labels(found) == SINGLE
    assert any("the columns 'is_valid', 'split' of" in note for note in found.notes)


def test_names_may_lack_their_ending(pictures):
    pictures.add_table("id,breed\n" + "".join(f"{i},{c}\n" for i, c in enumerate(LETTERS)) + "77,a\n")
    found = forms.find(pictures.root)
    assert labels(found) == SINGLE
    assert [reason for _, reason in found.missing] == ["there is no such file"]


@pytest.mark.parametrize(
    "folder, ending", [("", ".png"), ("", ""), ("/kaggle/input/x/", ".png"), ("C:\\x\\", ".png")]
)
def test_pictures_in_several_folders_are_found_by_their_names(pictures, folder, ending):
    for number in range(6):
        pictures.add(f"part_{number % 2}/deep/{number}a.png")
    lines = [f"{folder}{number}a{ending},{letter}\n" for number, letter in enumerate(LETTERS)]
    pictures.add_table(f"id,kind\n{''.join(lines)}", pictures=0)
    found = forms.find(pictures.root / "table.csv")
    assert labels(found) == {name.replace(".", "a."): label for name, label in SINGLE.items()}
    assert found.root == str(pictures.root) and not found.missing


def test_a_name_that_two_pictures_have_tells_neither(pictures):
    for name in ("train/0.png", "train/1.png", "test/1.png", "test/2.png"):
        pictures.add(name)
    pictures.add_table("id,kind\n0.png,a\n1.png,b\n2.png,b\n", pictures=0)
    found = forms.find(pictures.root / "table.csv")
    assert {picture.name for picture in found.pictures} == {"0.png", "1.png"} and len(found.missing) == 1


@pytest.mark.parametrize("header", [",file,kind\n", "Unnamed: 0,file,kind\n", ""])
def test_a_column_that_counts_rows_is_no_label(pictures, header):
    lines = [f"{number},img/{number}.png,{letter}\n" for number, letter in enumerate(LETTERS)]
    pictures.add_table(header + "".join(lines))
    found = forms.find(pictures.root)
    assert labels(found) == SINGLE and not found.several


def test_columns_of_true_and_false_behind_one_that_counts(pictures):
    pictures.add_table(",image,x,y\n7,img/0.png,TRUE,FALSE\n9,img/1.png,FALSE,TRUE\n")
    found = forms.find(pictures.root)
    assert labels(found) == {"0.png": ("x",), "1.png": ("y",)} and not found.several


def test_absolute_paths_elsewhere(pictures, tmp_path):
    pictures.add_table("")
    table = tmp_path / "elsewhere.csv"
    table.write_text(rows(folder=f"{pictures.root}/img/"))
    found = tables.read(str(table), str(tmp_path), False)
    assert {picture.path: picture.labels for picture in found.pictures} == {
        str(pictures.root / "img" / name): label for name, label in SINGLE.items()
    }


@pytest.mark.parametrize("sign, said", [(";", False), ("|", False), (" ", True)])
def test_several_labels_in_a_cell(pictures, sign, said):
    text = "".join(f"img/{i}.png,{sign.join(c)}\n" for i, c in enumerate(["xy", "y", "zx"]))
    pictures.add_table(f"image,tags\n{text}")
    found = forms.find(pictures.root, said)
    assert labels(found) == {"0.png": ("x", "y"), "1.png": ("y",), "2.png": ("x", "z")} and found.several


@pytest.mark.parametrize("sign", [" ", ", "])
def test_labels_that_may_be_several_are_hinted_at(pictures, sign):
    text = "".join(f'img/{i}.png,"{sign.join(c)}"\n' for i, c in enumerate(["xy", "y", "x", "yx"]))
    pictures.add_table(f"image,tags\n{text}")
    (note,) = forms.find(pictures.root).notes
    assert f"such as {'y' + sign + 'x'!r} are one class each; if they are several, add --multi-label" in note
    assert not forms.find(pictures.root, True).notes


def test_several_labels_in_columns(pictures):
    pictures.add_table("image,x,y\nimg/0.png,1,1\nimg/1.png,0,1\nimg/2.png,0,0\n")
    found = forms.find(pictures.root)
    assert labels(found) == {"0.png": ("x", "y"), "1.png": ("y",), "2.png": ()} and found.several


def test_one_label_in_columns(pictures):
    pictures.add_table("image,x,y\nimg/0.png,1,0\nimg/1.png,0,1\n")
    found = forms.find(pictures.root)
    assert labels(found) == {"0.png": ("x",), "1.png": ("y",)} and not found.several


def test_rows_of_a_picture_are_labels_where_there_may_be_several(pictures):
    pictures.add_table("img/0.png,x\nimg/0.png,y\nimg/1.png,y\nimg/1.png,y\n")
    found = forms.find(pictures.root, True)
    assert labels(found) == {"0.png": ("x", "y"), "1.png": ("y",)}
    found = forms.find(pictures.root)
    assert sorted(picture.labels for picture in found.pictures) == [("x",), ("y",), ("y",)]
    assert any("1 row " in note for note in found.notes)


def test_a_name_of_a_class_may_have_a_comma(pictures):
    pictures.add_table('img/0.png,"tench, Tinca tinca"\nimg/1.png,b\n')
    assert labels(forms.find(pictures.root)) == {"0.png": ("tench, Tinca tinca",), "1.png": ("b",)}


def test_rows_that_lack_something_are_listed(pictures):
    table = pictures.add_table(rows() + "\nimg/7.png,a\n,b\nimg/0.png,\n")
    assert forms.find(pictures.root).missing == [
        (f"{table}, line 8: img/7.png", "there is no such file"),
        (f"{table}, line 9: ", "no picture is named"),
        (f"{table}, line 10: img/0.png", "it has no label"),
    ]


@pytest.mark.parametrize(
    "text, words",
    [
        ("", "is empty"),
        ("image,label\nnope.png,a\n", r"table.csv, line 2: there is no nope.png in .*mine"),
        ("image\n1.png\n", "expected a column of pictures.*its first line is 'image'"),
        ("name,height,kind\nimg/0.png,3,x\n", "name one of them label: 'height', 'kind'"),
        ("img/0.png,1,0\nimg/1.png,0,1\n", "its columns of 0 and 1 have no names"),
        ("image,x,x\nimg/0.png,1,0\n", "'x' cannot name a class"),
        ("image,label\nimg/0.png,\n", "none of its rows has a picture and a label.*it has no label"),
        ("image,label\0\n", "is no text"),
        ("image,label,split\nimg/0.png,a,train\nimg/1.png,a,holdout\n", "line 3: split is 'holdout', and no"),
        ("image,label\nnope.png,1\nnope2.png,2\n", "line 2: there is no nope.png"),
    ],
)
def test_another_table_is_refused(pictures, text, words):
    pictures.add_table(text)
    with pytest.raises(UserError, match=words):
        forms.find(pictures.root)
