"""Files of class names in the forms that people have; others are refused by line, and no result is lost."""

import logging

import pytest

from ppcls_mixformer.hosting.errors import UserError
from ppcls_mixformer.predict import names

EXPECTED = ["goldfish, Carassius auratus", "tench", "great white"]


def numbered(separator):
    return "\n".join(f"{number}{separator}{name}" for number, name in enumerate(EXPECTED))


@pytest.fixture
def read(tmp_path):
    def read(content, encoding="utf-8"):
        path = tmp_path / "names.txt"
        path.write_bytes(content.encode(encoding))
        return names.read(path)

    return read


@pytest.mark.parametrize("separator", [" ", "\t", ",", ", ", ": ", "  ", ";", " | ", "=", ". ", ") ", " - "])
def test_numbers_and_names(read, separator):
    assert names.fit(read(numbered(separator) + "\n"), 3, "") == EXPECTED


@pytest.mark.parametrize("end", ["", "\n", "\n\n\n", "\r\n", "\r\n \r\n"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "gb18030"])
def test_names_by_line_in_any_encoding(read, encoding, end):
    chinese = ["金鱼", "丁鱥", "101 dalmatians"]
    assert names.fit(read("\n".join(chinese) + end, encoding), 3, "") == chinese


@pytest.mark.parametrize("value", ["abc", 5, {"0": "a"}, {-1: "a"}, b"ab"])
def test_what_is_no_names_is_refused(value):
    with pytest.raises(UserError, match="label_names: it takes a list of names, or a dict"):
        names.given(value)


def test_lists_and_dicts_are_names():
    assert names.given(("a", 7)) == {0: "a", 1: "7"} and names.given({2: "c"}) == {2: "c"}


def test_any_order_and_blank_lines_between_numbers(read):
    assert read("2 c\n\n0 a\n1 b")[1] == "b"


def test_signs_that_a_name_starts_with_stay(read):
    assert names.fit(read("0 -40 degrees\n1 (none)\n2 .22 rifle"), 3, "") == [
        "-40 degrees",
        "(none)",
        ".22 rifle",
    ]


def test_numbers_that_are_parts_of_names_are_not_those_of_classes(read):
    assert names.fit(read("101 dalmatians\ncat\nroute 66"), 3, "") == ["101 dalmatians", "cat", "route 66"]


def test_quotes_of_spreadsheets_are_taken_off(read):
    lines = '0,"goldfish, Carassius auratus"\n1,"great ""white"" shark"\n2,a "quoted" word'
    expected = ["goldfish, Carassius auratus", 'great "white" shark', 'a "quoted" word']
    assert names.fit(read(lines), 3, "") == expected


PUNCTUATED = '- z   -   - - z   : x   = x   , x   ;   |a   "q"   "   ""   - "q"   . x   ) x   #x   ~   a: b'
LIKE_OTHER_THINGS = "3   3 x   nan   null   yes   1e3"


@pytest.mark.parametrize("name", f"{PUNCTUATED}   {LIKE_OTHER_THINGS}   日本".split("   "))
def test_a_line_is_read_as_the_name_that_was_written(read, name):
    assert read(f"{names.line(0, 'cat')}\n{names.line(1, name)}") == {0: "cat", 1: name}


def test_digits_are_names_too(read):
    assert names.fit(read("\n".join("0123456789")), 10, "") == list("0123456789")


@pytest.mark.parametrize(
    "content, line",
    [
        ("0 a\n1 b\nc", "line 3: 'c' is no class number and its name, as other lines are"),
        ("-1 a\n0 b", "line 1: '-1 a' is no class number"),
        ('{"0": "a", "1": "b"}', "line 1: '{.*is no class number"),
        ("dog 1\ncat 0", "line 1: the number stands behind the name; write `number name`"),
        ("dog,1\ncat,0", "line 1: the number stands behind the name"),
        ("dog;1\ncat;0", "line 1: the number stands behind the name"),
        ("class,name\n0,cat\n1,dog", "line 1: 'class,name' is no class number"),
        ("0 a\n1 b\n1 c", "line 3: class 1 has a name already, 'b'"),
        ("a\n\nb", "line 2 is blank"),
        ("", "holds no names"),
        ("\n\n", "holds no names"),
        ("a\0b", "is no text"),
    ],
)
def test_another_form_is_refused_by_line(read, content, line):
    with pytest.raises(UserError, match=line):
        read(content)


def test_a_file_that_is_not_there_is_one_line(tmp_path):
    with pytest.raises(UserError, match="names.txt cannot be read: No such file"):
        names.read(tmp_path / "names.txt")


def test_a_class_without_a_name_is_named_by_its_number(caplog):
    with caplog.at_level(logging.WARNING):
        assert names.fit(names.Names({0: "a", 2: "c"}), 4, "names.txt") == ["a", "1", "c", "3"]
    assert "names.txt has no name for 2 of 4 classes, such as 1" in caplog.text


def test_without_any_names_classes_are_numbers(caplog):
    assert names.fit(names.Names(), 3, "") == ["0", "1", "2"] and not caplog.text


def test_names_of_another_network_are_refused():
    with pytest.raises(UserError, match="names.txt names class 999, but the network has 10, 0 to 9$"):
        names.fit(names.Names({999: "toilet tissue"}), 10, "names.txt")


def test_numbers_from_one_are_refused_with_the_reason():
    with pytest.raises(UserError, match="its numbers start at 1, they must start at 0"):
        names.fit(names.Names({1: "a", 2: "b"}), 2, "names.txt")
