"""The key of a section that is to blame is found by trying without each."""

from ppcls_mixformer.hosting.blame import blame


def test_the_value_without_which_it_succeeds_is_to_blame():
    section = {"a": 1, "inner": {"b": 2, "c": "x"}, "d": 4}

    def make():
        return section.get("a", 0) + section.get("inner", {}).get("c", 0)

    assert blame("Section", section, make) == "Section.inner.c cannot be 'x'"
    assert list(section) == ["a", "inner", "d"] and section["inner"] == {"b": 2, "c": "x"}


def test_a_section_as_a_whole_is_to_blame_where_no_value_in_it_is():
    section = {"inner": {"b": []}}

    def make():
        assert "inner" not in section

    assert blame("Section", section, make) == "Section.inner cannot be {'b': []}"


def test_no_key_is_to_blame_where_two_are_wrong_or_one_is_needed():
    def make():
        return section["a"] + section.get("b", 0) + section.get("c", 0)

    for section in ({"a": 1, "b": "x", "c": "y"}, {"a": "x", "b": 1}):
        assert blame("Section", section, make) == ""


def test_long_values_are_cut():
    section = {"a": list(range(10_000))}

    def make():
        assert not section

    assert len(blame("Section", section, make)) < 80
