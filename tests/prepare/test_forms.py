"""Which form a folder has is found out, and where it has none, it is said what was expected."""

import os

import pytest

from ppcls_mixformer.hosting.errors import UserError
from ppcls_mixformer.prepare import forms
from ppcls_mixformer.prepare.found import check_names, classes_of


def labels(found):
    return {picture.name: picture.labels[0] for picture in found.pictures}


def test_a_folder_for_each_class_and_all_below_it(pictures):
    pictures.add_classes({"a": 2, "b": 1})
    pictures.add("a/x/y/deep.JPG")
    found = forms.find(pictures.root)
    assert labels(found) == {"a/0.png": "a", "a/1.png": "a", "a/x/y/deep.JPG": "a", "b/0.png": "b"}
    assert found.root == str(pictures.root) and not found.notes


def test_what_is_beside_the_classes_is_told(pictures):
    pictures.add_classes({"a": 1, "b": 1})
    pictures.add("loose.png")
    pictures.add(".hidden/c/0.png")
    pictures.add("a/.ipynb_checkpoints/0.png")
    (pictures.root / "void").mkdir()
    (pictures.root / "x.csv").touch()
    found = forms.find(pictures.root)
    assert len(found.pictures) == 2
    notes = "\n".join(found.notes)
    assert "2 pictures in hidden folders" in notes and "loose.png" in notes
    assert "no pictures in void" in notes and "x.csv" in notes


def test_a_report_is_no_class(pictures):
    pictures.add_classes({"a": 1, "b": 1, "report": 2, "b/old": 1, "c": 1})
    for folder in ("report", "b/old"):
        for name in forms.REPORT:
            (pictures.root / folder / name).touch()
    (pictures.root / "c/report.html").touch()
    found = forms.find(pictures.root)
    assert set(labels(found)) == {"a/0.png", "b/0.png", "c/0.png"}
    assert found.notes == [f"not read: 3 figures of reports, such as {pictures.root}/b/old/0.png"]


@pytest.mark.parametrize("name", ["val", "valid", "Validation"])
def test_folders_of_splits_in_the_usual_spellings(pictures, name):
    for folder in ("Train", name, "test"):
        pictures.add_classes({"a": 1, "b": 1}, f"{folder}/")
    found = forms.find(pictures.root)
    assert {(p.name, p.labels[0], p.split) for p in found.pictures if "/b/" in p.name} == {
        ("Train/b/0.png", "b", "train"),
        (f"{name}/b/0.png", "b", "val"),
        ("test/b/0.png", "b", "test"),
    }


def test_a_class_may_be_called_train(pictures):
    pictures.add_classes({"car": 1, "train": 1})
    found = forms.find(pictures.root)
    assert set(labels(found).values()) == {"car", "train"} and found.notes == ["train is taken for a class"]


def test_one_folder_around_all_is_looked_into(pictures):
    pictures.add_classes({"a": 1, "b": 1}, "archive/flowers/")
    found = forms.find(pictures.root)
    assert labels(found) == {"a/0.png": "a", "b/0.png": "b"}
    assert found.root == str(pictures.root / "archive/flowers")


def test_links_that_lead_back_are_followed_once(pictures):
    pictures.add_classes({"a": 1, "b": 1})
    os.symlink(pictures.root, pictures.root / "a/again")
    assert len(forms.find(pictures.root).pictures) == 2


def test_a_class_without_training_pictures_names_the_one_that_is_meant(pictures):
    pictures.add_classes({"Rose": 1, "oak": 1}, "train/")
    pictures.add_classes({"rose": 1, "oak": 1}, "val/")
    with pytest.raises(UserError, match="'rose' has no pictures for training; did you mean 'Rose'"):
        forms.find(pictures.root)


@pytest.mark.parametrize(
    "names, words",
    [
        ([], "holds no pictures"),
        (["a/0.png"], "expected a folder for each class.*found the one folder 'a', and .* two classes"),
        (["0.png", "1.png"], "found 2 pictures in no folder"),
        (["train/0.png", "test/0.png"], "found the folders test, train without folders of classes"),
    ],
)
def test_another_form_is_refused_and_described(pictures, names, words):
    pictures.root.mkdir()
    for name in names:
        pictures.add(name)
    with pytest.raises(UserError, match=words):
        forms.find(pictures.root)


@pytest.mark.parametrize(
    "text",
    ["image,label\n0.png,cat\n1.png,dog\n2.png,cat\n3.png,dog\n", "id,of\n0,1\n1,1\n2,1\n3,1\n"],
)
def test_a_table_that_sorts_pictures_otherwise_than_folders_is_refused(pictures, text):
    pictures.add_classes({"train_images": 4, "test_images": 1})
    table = pictures.root / "train.csv"
    table.write_text(text)
    with pytest.raises(UserError, match="train.csv names pictures that lie in folders, test_images, train"):
        forms.find(pictures.root)
    assert len(forms.find(table).pictures) == 4


@pytest.mark.parametrize(
    "text", ["label,name\n0,a\n1,b\n", "file,by,of\na/0.png,x,0\na/1.png,y,0\nb/0.png,z,1\n"]
)
def test_a_table_that_says_no_more_than_the_folders_is_not_read(pictures, text):
    pictures.add_classes({"a": 4, "b": 1})
    (pictures.root / "classes.csv").write_text(text)
    assert set(labels(forms.find(pictures.root)).values()) == {"a", "b"}


def test_two_tables_are_one_too_many(pictures):
    pictures.add_table("")
    pictures.add_table("", name="other.tsv")
    with pytest.raises(UserError, match="other.tsv, table.csv: name one"):
        forms.find(pictures.root)


def test_classes_that_are_numbers_are_in_the_order_of_numbers(pictures):
    pictures.add_classes({"10": 1, "9": 1, "100": 1})
    assert classes_of(forms.find(pictures.root).pictures) == ["9", "10", "100"]


def test_names_of_classes_that_are_alike():
    assert "'Rose' and 'rose'" in check_names(["Rose", "rose", "x"])[0]
    assert check_names(["NaN", "nano"]) == [
        "'NaN' is taken for a class; if it means that there is no label, leave it empty"
    ]
    with pytest.raises(UserError, match="'a  b' and 'a b' differ in nothing but spaces"):
        check_names(["a  b", "a b"])
    with pytest.raises(UserError, match="a class is blank, ' ': rename its folder"):
        check_names(["a", " "])
    with pytest.raises(UserError, match="no text in UTF-8"):
        check_names([os.fsdecode(b"\xff")])


def test_a_split_without_folders_of_classes_is_not_read(pictures):
    pictures.add_classes({"a": 3, "b": 3}, "train/")
    pictures.add("test/1.png")
    found = forms.find(pictures.root)
    assert {picture.split for picture in found.pictures} == {"train"} and len(found.pictures) == 6
    assert found.notes == ["not read, without folders of classes: test"]


@pytest.mark.parametrize(
    "name, words", [("a.ZIP", "unpack this archive"), ("a.xlsx", "as CSV"), ("a.jpg", "the folder of all")]
)
def test_files_that_are_no_tables_are_refused(tmp_path, name, words):
    (tmp_path / name).touch()
    with pytest.raises(UserError, match=words):
        forms.find(tmp_path / name)
