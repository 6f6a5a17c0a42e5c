"""The table of what works where, and the program that makes it."""

import json
import sys

import pytest
from commands import ROOT, run

from benchmarks import matrix, matrix_pages


@pytest.mark.parametrize("language", matrix_pages.WORDS)
def test_the_tables_of_the_pages_are_those_of_the_results(language):
    page = (ROOT / "docs" / language / "WhatWorksWhere.md").read_text(encoding="utf-8")
    results = json.loads(matrix.RESULTS.read_text(encoding="utf-8"))
    assert matrix_pages.fill(page, results, language) == page


def test_a_row_says_what_worked_and_why_the_rest_did_not():
    works = dict.fromkeys(matrix_pages.STEPS, {"works": True})
    works["export"] = {"works": True, "formats": ["json"]}
    works["paddleclas"] = {"works": False, "reason": "no `pdmodel`"}
    packages = {"numpy": "2.5.5", "opencv-python": "5.0"}
    results = {
        "runs": [
            {"python": "3.13", "paddle": "2.6.2", "install": "no wheel"},
            {"python": "3.13", "paddle": "3.3.1", "packages": packages, "steps": works},
        ],
        "resolved": [{"python": "3.13", "paddle": "3.3.1", "platform": "win_amd64"}],
    }
    places = "".join(
        f"<!-- table: {name} -->\nold\n<!-- end -->\n" for name in ("runs", "failures", "resolved")
    )
    page = matrix_pages.fill(places, results, "en")
    assert "| 3.13 | 3.3.1 | 2.5.5 | 5.0 | ✓ | ✓ | ✓ | `json` | ✓ | ✗ |" in page
    assert "| 3.13 | 2.6.2 | – | – | – | – | – | – | – | – |" in page
    assert "| 3.13 | 2.6.2 | `pip install` | `no wheel` |" in page
    assert "| 3.13 | 3.3.1 | `paddleclas` | `no 'pdmodel'` |" in page
    assert "| Windows, x86-64 | 3.13 | 3.3.1 | resolved, not run |" in page and "old" not in page


def test_a_later_result_takes_the_place_of_an_earlier_one(tmp_path):
    path = tmp_path / "results.json"
    for python, value in (("3.13", 1), ("3.9", 2), ("3.13", 3)):
        matrix.add(path, "runs", {"python": python, "paddle": "3.1.1", "value": value}, "python", "paddle")
    assert [result["value"] for result in json.loads(path.read_text())["runs"]] == [2, 3]


def test_a_python_that_is_missing_is_named(tmp_path):
    log = run(
        sys.executable, "benchmarks/matrix.py", "run", "--python", "3.99", "--results", tmp_path / "r.json"
    )
    assert log == "there is no python3.99 here: it is left out\n" and not list(tmp_path.iterdir())
