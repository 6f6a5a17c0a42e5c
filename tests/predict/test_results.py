"""Results as they are shown and saved: every picture is there, in the order of PaddleClas."""

import csv
import json
import os

import numpy as np
import pytest

from ppcls_mixformer.hosting.errors import UserError
from ppcls_mixformer.predict import results

SCORES = np.array([0.1, 0.6, 0.3], "float32")
NAMES = ["a", "金鱼", "c, d"]
GOOD = results.result(SCORES, results.best(SCORES, 2), NAMES, "x y.png")
NONE = results.result(SCORES, results.likely(SCORES, 0.9), NAMES, "none.png")
BAD = {"file_name": "bad.png", "error": "the file is empty"}


def test_the_best_and_the_likely():
    assert list(results.best(SCORES, 2)) == [1, 2] and list(results.best(SCORES, 9)) == [1, 2, 0]
    assert list(results.likely(SCORES, 0.3)) == [1, 2] and list(results.likely(SCORES, 0.7)) == []
    ties = np.array([0.5, 0.5, 0.5, 0.1])
    assert list(results.best(ties, 2)) == list(ties.argsort()[-2:][::-1])  # PaddleClas's order


def test_a_result_and_how_it_is_shown():
    assert GOOD["class_ids"] == [1, 2] and GOOD["label_names"] == ["金鱼", "c, d"]
    expected = "class_ids: [1, 2], scores: [0.6, 0.3], label_names: ['金鱼', 'c, d'], filename: x y.png"
    assert results.shown(GOOD) == expected


def save(path):
    with results.writer(path) as write:
        for found in (GOOD, NONE, BAD):
            write(found)


def test_json_lines(tmp_path):
    save(tmp_path / "new" / "r.jsonl")
    lines = (tmp_path / "new" / "r.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line) for line in lines] == [GOOD, NONE, BAD] and "金鱼" in lines[0]


def test_csv_has_a_row_for_each_class_and_none_is_lost(tmp_path):
    save(tmp_path / "r.CSV")
    with open(tmp_path / "r.CSV", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["file_name"], row["rank"], row["label_name"]) for row in rows] == [
        ("x y.png", "1", "金鱼"),
        ("x y.png", "2", "c, d"),
        ("none.png", "", ""),
        ("bad.png", "", ""),
    ]
    assert float(rows[0]["score"]) == float(SCORES[1]) and rows[3]["error"] == BAD["error"]


@pytest.mark.parametrize("name", ["r.txt", "r", "r.json"])
def test_another_ending_is_refused(tmp_path, name):
    with pytest.raises(UserError, match=r"results are saved as \.csv or \.jsonl"):
        save(tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_a_folder_is_refused_before_anything_is_computed(tmp_path):
    (tmp_path / "r.csv").mkdir()
    with pytest.raises(UserError, match="r.csv is a folder"):
        results.check_path(tmp_path / "r.csv")


@pytest.mark.parametrize("name", ["r.csv", "r.jsonl"])
def test_a_file_whose_name_is_no_utf_8_is_saved_escaped(tmp_path, name):
    with results.writer(tmp_path / name) as write:
        write({**GOOD, "file_name": os.fsdecode(b"\xff.png")})
    text = (tmp_path / name).read_text(encoding="utf-8")
    assert r"\udcff.png" in text and "金鱼" in text
    assert name == "r.csv" or os.fsencode(json.loads(text)["file_name"]) == b"\xff.png"


def test_a_run_that_is_cut_short_leaves_the_earlier_file_and_its_results(tmp_path):
    path = tmp_path / "r.jsonl"
    path.write_text("earlier")
    with pytest.raises(ZeroDivisionError), results.writer(path) as write:
        write(GOOD)
        raise ZeroDivisionError
    assert path.read_text() == "earlier"
    assert (tmp_path / "r.part.jsonl").read_text(encoding="utf-8") == json.dumps(
        GOOD, ensure_ascii=False
    ) + "\n"
    assert len(list(tmp_path.iterdir())) == 2
