"""The benchmark commands, on small pictures and few rounds."""

import argparse
import itertools
import json
import sys

import matplotlib
import paddle
import pytest
from commands import HAS_ONNX, ROOT, error_line, run

from benchmarks import choose, tradeoff
from benchmarks.report import rates

matplotlib.use("Agg")
plt = pytest.importorskip("matplotlib.pyplot")

MODES = ["evaluation", "training", "onednn"]
ONNX = ["onnxruntime"] if HAS_ONNX and paddle.__version__.startswith("3.1.") else []


def benchmark(*arguments, **options):
    return run(sys.executable, "benchmarks/run.py", *arguments, **options)


@pytest.mark.slow
def test_table_and_chart(tmp_path):
    networks = ["MixFormer_B0", "EfficientNetB0"]
    settings = ["--size", 64, "--batches", 1, "--training-batch", 2, "--rounds", 2, "--output", tmp_path]
    log = benchmark("--models", *networks, "--modes", *MODES, *ONNX, *settings)
    results = json.loads((tmp_path / "results.json").read_text())
    assert [timing["mode"] for timing in results["timings"]] == [*MODES, *ONNX]
    for timing in results["timings"]:
        assert timing["mode"] == "training" or timing["gemm_gflops"] > 0
        for name in networks:
            assert len(timing["seconds"][name]) == 2
            assert f"| {timing['mode']} | {timing['batch']} | {name} | {rates(timing, name)[0]:.2f} (" in log
    assert (tmp_path / "results.md").read_text() in log
    assert "<svg" in (tmp_path / "results.svg").read_text()


@pytest.mark.slow
@pytest.mark.skipif(not ONNX, reason="paddle2onnx is not installed, or for another Paddle")
def test_accuracy_against_speed(tmp_path):
    networks = ["MixFormer_B0", "MixFormer_B1", "PPLCNet_x1_0"]
    settings = ["--batches", 1, "--rounds", 2, "--seconds", 0.01, "--together", 2]
    log = run(sys.executable, "benchmarks/choose.py", "--models", *networks, *settings, "--output", tmp_path)
    rows = json.loads((tmp_path / "results.json").read_text())["rows"]
    assert len(rows) == 2 * 4 and not [row for row in rows if "reason" in row]
    for row in rows:
        reference = row["folder"].endswith("SwinTransformer_tiny")
        assert (row["speed_ratio"] is None) == reference and len(row["rounds"]) == (4 if reference else 2)
    table = (tmp_path / "choice.md").read_text(encoding="utf-8")
    assert table in log and all(f"| {name} | " in table for name in (*networks, "SwinTransformer_tiny"))
    drawn = (tmp_path / "choice.svg").read_text()
    assert all(f"<!-- {label} -->" in drawn for label in ("B0", "B1", "PP-LCNet ×1.0", "Swin-T"))
    refused = run(sys.executable, "benchmarks/choose.py", "--models", "MixFormer_B9", check=False)
    assert "MixFormer_B9" in error_line(refused)


def test_a_network_that_cannot_be_exported_is_left_out(tmp_path):
    networks, missing = choose.exported({"ResNet51": tmp_path / "ResNet51"}, 64)
    assert networks == {} and "ResNet51" in missing["ResNet51"]


def test_a_time_is_that_of_the_reference_by_the_ratio_to_it():
    shared = {"reader": "onednn", "batch": 1, "threads": 2}
    rows = [
        {"folder": "x/fast", "percentiles": {"50": 9.0}, "speed_ratio": [2.0, 1.5, 2.5], **shared},
        {"folder": "x/alone", "percentiles": {"50": 9.0}, "speed_ratio": None, **shared},
        {"folder": "x/broken", "reason": "it died", **shared},
        {"folder": "x/last", "percentiles": {"50": 3.0}, "speed_ratio": None, **shared},
    ]
    assert tradeoff.points({"rows": rows}, "last") == {
        ("fast", "onednn", 1): (1.5, 2.0, 1.5, 2.5),
        ("last", "onednn", 1): (3.0, 1, 1, 1),
    }


def test_without_the_reference_there_is_nothing_to_draw(tmp_path):
    row = {"folder": "x/fast", "reader": "onednn", "batch": 1, "percentiles": {"50": 9.0}}
    (tmp_path / choose.NETWORKS).write_text('{"networks": {}, "missing": {}}')
    (tmp_path / choose.RESULTS).write_text(json.dumps({"rows": [{**row, "speed_ratio": [2.0, 1.5, 2.5]}]}))
    with pytest.raises(SystemExit, match="error: .*results.json has no speed beside one of Swin"):
        choose.main(argparse.Namespace(draw=True, output=tmp_path))


def test_no_label_of_the_chart_covers_another(tmp_path):
    """Twelve networks that are nearly alike."""
    names = [f"network-{n}" for n in range(12)]
    facts = {name: {"top1": 80 + n % 4 * 0.1, "family": name, "label": name} for n, name in enumerate(names)}
    found = {(name, "onednn", 1): (0.05 + n * 0.003, 1, 1, 1) for n, name in enumerate(names)}
    tradeoff.chart({"networks": facts, "rows": [{"threads": 2}]}, found, tmp_path / "chart.svg")
    figure, axis = plt.subplots(figsize=(8, 4.6))
    shown = {name: (found[name, "onednn", 1][0] * 1e3, f["top1"], name, name) for name, f in facts.items()}
    tradeoff.panel(axis, shown, dict.fromkeys(names, "black"))
    tradeoff.place_labels(axis)
    boxes = [text.get_window_extent() for text in axis.texts]
    assert len(boxes) == 12
    assert not [(a, b) for a, b in itertools.combinations(boxes, 2) if a.overlaps(b)]
    plt.close(figure)


def test_what_cannot_be_measured_is_refused():
    assert "MixFormer_B9" in error_line(benchmark("--models", "MixFormer_B9", check=False))
    assert "CPU only" in error_line(benchmark("--device", "gpu", check=False))


def test_data_pipeline():
    config = ROOT / "configs/ImageNet/MixFormer/MixFormer_B0.yaml"
    settings = ["--workers", 0, 1, "--batch", 4, "--batches", 2, "--rounds", 1]
    log = run(sys.executable, "benchmarks/data_pipeline.py", "-c", config, *settings)
    assert "| 0 | " in log and "| 1 | " in log
