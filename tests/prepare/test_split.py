"""Splits are stratified, the same for a seed, and have copies of a picture on one side."""

from collections import Counter

import pytest

from ppcls_mixformer.prepare.found import Picture
from ppcls_mixformer.prepare.split import repeats, sort_out, stratify


def of(counts):
    return [(name,) for name, count in counts.items() for _ in range(count)]


def counted(labels, chosen):
    return {split: Counter(la for la, name in zip(labels, chosen) if name == split) for split in set(chosen)}


def test_each_class_is_split_in_the_same_shares():
    labels = of({"a": 50, "b": 10, "c": 205})
    found = counted(labels, stratify(labels, [1] * len(labels), {"val": 0.2, "test": 0.1}, 0))
    assert found["val"] == {("a",): 10, ("b",): 2, ("c",): 41}
    assert found["test"] == {("a",): 5, ("b",): 1, ("c",): 20} or found["test"][("c",)] == 21


@pytest.mark.parametrize("count, val", [(1, 0), (2, 1), (3, 1), (7, 1), (8, 2)])
def test_small_classes_are_in_both_from_two_pictures_on(count, val):
    labels = of({"a": count})
    assert counted(labels, stratify(labels, [1] * count, {"val": 0.2}, 0))["train"][("a",)] == count - val


def test_the_seed_alone_decides():
    labels, sizes = of({"a": 30, "b": 30}), [1] * 60
    first = stratify(labels, sizes, {"val": 0.2}, 0)
    assert stratify(labels, sizes, {"val": 0.2}, 0) == first != stratify(labels, sizes, {"val": 0.2}, 1)


def test_several_labels_are_split_each_in_its_share():
    labels = [("a", "b"), ("b",), ("a", "c"), ("c", "b"), ()] * 20
    chosen = stratify(labels, [1] * 100, {"val": 0.25}, 0)
    for label, count in {"a": 40, "b": 60, "c": 40}.items():
        held_out = sum(label in own for own, name in zip(labels, chosen) if name == "val")
        assert abs(held_out - count / 4) <= 1
    assert abs(sum(name == "val" for own, name in zip(labels, chosen) if not own) - 5) <= 1


def pictures(*items):
    return [Picture(str(i), str(i), (label,), split) for i, (label, split) in enumerate(items)]


def test_copies_stay_together():
    own = pictures(*[("a", None)] * 40)
    digests = [number // 4 for number in range(40)]
    found = sort_out(own, digests, {"val": 0.3}, 0)
    sides = [{digests[index] for index in indices} for indices in found.splits.values()]
    assert len(found.splits["val"]) == 12 and not sides[0] & sides[1]
    assert len(found.duplicates) == 30


def test_copies_with_other_labels_are_left_out():
    found = sort_out(
        pictures(("a", None), ("b", None), ("a", None), ("a", None)), [0, 0, 1, 2], {"val": 0.5}, 0
    )
    assert found.contradictory == [0, 1] and sorted(sum(found.splits.values(), [])) == [2, 3]


def test_a_copy_of_a_later_split_is_left_out_of_an_earlier_one():
    own = pictures(("a", "train"), ("a", "val"), ("a", "test"), ("a", "train"))
    found = sort_out(own, [0, 0, 0, 1], {"val": 0.5}, 0)
    assert (found.leaked, found.splits["test"], found.splits["train"]) == ([0, 1], [2], [3])


def test_a_split_that_is_there_is_not_made_again():
    own = pictures(*[("a", "train")] * 10, ("a", "val"))
    found = sort_out(own, list(range(11)), {"val": 0.5, "test": 0.2}, 0)
    assert found.splits["val"] == [10] and len(found.splits["test"]) == 2


def test_rare_classes_are_repeated_from_ten_times_on():
    assert set(repeats(of({"a": 100, "b": 10}))) == {1}
    labels = of({"a": 101, "b": 10, "c": 1})
    times = dict(zip(labels, repeats(labels)))
    assert times == {("a",): 1, ("b",): 2, ("c",): 11}


def test_a_picture_of_several_classes_follows_the_rarest():
    labels = [*of({"a": 99}), ("a", "b"), ()]
    assert repeats(labels)[-3:] == [1, 10, 1]
