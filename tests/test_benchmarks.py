"""The benchmark commands, on small pictures and few rounds."""

import json
import sys

import paddle
import pytest
from commands import HAS_ONNX, ROOT, error_line, run

from benchmarks.report import rates

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


def test_what_cannot_be_measured_is_refused():
    assert "MixFormer_B9" in error_line(benchmark("--models", "MixFormer_B9", check=False))
    assert "CPU only" in error_line(benchmark("--device", "gpu", check=False))


def test_data_pipeline():
    config = ROOT / "configs/ImageNet/MixFormer/MixFormer_B0.yaml"
    settings = ["--workers", 0, 1, "--batch", 4, "--batches", 2, "--rounds", 1]
    log = run(sys.executable, "benchmarks/data_pipeline.py", "-c", config, *settings)
    assert "| 0 | " in log and "| 1 | " in log
