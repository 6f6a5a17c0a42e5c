"""The benchmark command on small exports, in processes as a user starts them."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import paddle
import pytest
from commands import HAS_ONNX, ROOT, error_line, run
from PIL import Image
from small_export import DESCRIPTION, SHAPE, export

from ppcls_mixformer import Classifier
from ppcls_mixformer.benchmark import command, report
from ppcls_mixformer.benchmark.measure import Timing
from ppcls_mixformer.benchmark.worker import Task
from ppcls_mixformer.hosting import inference, onnx

QUICK = ("--rounds", 2, "--seconds", 0.01, "--starts", 1, "--threads", 1)
needs_onnx = pytest.mark.skipif(
    not HAS_ONNX, reason="paddle2onnx, which writes inference.onnx, is not installed"
)


def benchmark(*arguments, **options):
    return run(sys.executable, "tools/benchmark_export.py", *arguments, **options)


def copies(small, folder, *names):
    return [shutil.copytree(small, folder / name) for name in names]


def rows_of(folder):
    return json.loads((folder / "results.json").read_text(encoding="utf-8"))["rows"]


@pytest.mark.slow
def test_every_reader_of_two_exports(small, foreign, tmp_path):
    log = run(
        *(sys.executable, "-m", "ppcls_mixformer", "benchmark", foreign, small, *QUICK, "--starts", 2),
        *("--batches", 1, 3, "--output", tmp_path / "out"),
    )
    rows = rows_of(tmp_path / "out")
    kinds = [(row["folder"], row["reader"], row["batch"]) for row in rows]
    expected = [(str(f), r, b) for r in ("onednn", "paddle") for b in (1, 3) for f in (foreign, small)]
    assert kinds == [*expected, *[(str(small), "onnxruntime", b) for b in (1, 3) if HAS_ONNX]]
    for row in rows:
        p50, p90, p99 = (row["percentiles"][n] for n in ("50", "90", "99"))
        assert 0 < p50 <= p90 <= p99 and row["images_per_second"] > 0 and row["size"] == SHAPE
        assert len(row["rounds"]) == 2 and all(len(turn) >= 3 for turn in row["rounds"])
        assert len(row["first_answers"]) == 2 and min(row["first_answers"]) > p50
        assert 20 << 20 < row["memory"] < 2 << 30
        assert (row["speed_ratio"] is not None) == (row["folder"] == str(foreign))
    sizes = {(row["folder"], row["reader"]): row["file_size"] for row in rows}
    files = [
        small / f"inference.{suffix}"
        for suffix in ("json" if paddle.__version__ > "3" else "pdmodel", "pdiparams")
    ]
    assert sizes[str(small), "paddle"] == sum(path.stat().st_size for path in files)
    assert (tmp_path / "out/results.md").read_text(encoding="utf-8") in log and "Traceback" not in log
    assert "ccache" not in log.split("onednn on the CPU")[1]  # what Paddle says at each start


@needs_onnx
def test_the_last_export_takes_part_in_each_group(small, tmp_path):
    folders = copies(small, tmp_path, "a", "b", "c", "last")
    flags = ("--readers", "onnxruntime", "--batches", 1, "--together", 2, "--output", tmp_path)
    benchmark(*folders, *QUICK, *flags)
    rows = rows_of(tmp_path)
    assert [(row["folder"], len(row["rounds"])) for row in rows] == [
        *((str(folder), 2) for folder in folders[:3]),
        (str(folders[3]), 4),
    ]
    assert [row["speed_ratio"] is None for row in rows] == [False, False, False, True]


@needs_onnx
def test_without_the_last_export_nothing_is_compared(small, tmp_path):
    """Nor with the one before it."""
    one, two, three = copies(small, tmp_path, "one", "two", "three")
    (three / "inference.onnx").unlink()
    benchmark(one, two, three, *QUICK, "--batches", 1, "--output", tmp_path)
    rows = [row for row in rows_of(tmp_path) if row["reader"] == "onnxruntime"]
    assert [row["folder"] for row in rows] == [str(one), str(two)]
    assert [row["speed_ratio"] for row in rows] == [None, None]


@pytest.mark.slow
@needs_onnx
def test_a_damaged_export_does_not_stop_the_others(small, tmp_path):
    one, damaged = copies(small, tmp_path, "one", "damaged")
    (damaged / "inference.pdiparams").write_bytes((small / "inference.pdiparams").read_bytes()[:50])
    log = benchmark(one, damaged, *QUICK, "--readers", "onednn", "--output", tmp_path, check=False)
    assert error_line(log) == "error: 2 of 4 combinations could not be measured"
    assert log.count("warning: ") == 1  # at batch 16 it is not loaded again
    for row in rows_of(tmp_path):
        assert ("inference.pdiparams is cut off" in row.get("reason", "")) == (row["folder"] == str(damaged))
    assert [row.get("speed_ratio") for row in rows_of(tmp_path)] == [None] * 4


@pytest.mark.slow
@needs_onnx
def test_a_damaged_program_does_not_stop_other_readers(small, tmp_path):
    """Neither the look at its shape, nor its accuracy."""
    (damaged,) = copies(small, tmp_path, "damaged")
    (damaged / "inference.onnx").write_bytes((small / "inference.onnx").read_bytes()[:50])
    Image.new("RGB", (40, 30)).save(tmp_path / "a.png")
    (tmp_path / "list.txt").write_text("a.png 1\n")
    flags = (*QUICK, "--batches", 1, "--images", tmp_path, tmp_path / "list.txt", "--output", tmp_path)
    log = benchmark(damaged, *flags, "--readers", "paddle", "onnxruntime", check=False)
    assert error_line(log) == "error: 1 of 2 combinations could not be measured"
    paddle_row, onnx_row = rows_of(tmp_path)
    assert paddle_row["accuracy"] in (0, 1) and "cannot be read by ONNX Runtime" in onnx_row["reason"]
    assert f"warning: accuracy of {damaged}, onnxruntime: " in log
    (damaged / "inference.pdiparams").unlink()
    log = benchmark(damaged, *flags, check=False)
    assert "inference.onnx cannot be read by ONNX Runtime" in error_line(log)


@needs_onnx
def test_half_precision_is_measured_beside_the_whole(small, tmp_path):
    (folder,) = copies(small, tmp_path, "half")
    onnx.halve(small / "inference.onnx", folder / "inference_fp16.onnx")
    benchmark(folder, *QUICK, "--readers", "onnxruntime", "onnxruntime-fp16", "--output", tmp_path / "both")
    for name in ("inference.onnx", "inference.yml", "inference.pdiparams"):
        (folder / name).unlink()
    for suffix in (".json", ".pdmodel"):
        (folder / f"inference{suffix}").unlink(missing_ok=True)
    benchmark(folder, *QUICK, "--batches", 1, "--output", tmp_path / "alone")
    kinds = [(row["reader"], row["batch"]) for row in rows_of(tmp_path / "both")]
    assert kinds == [(reader, batch) for reader in ("onnxruntime", "onnxruntime-fp16") for batch in (1, 16)]
    (alone,) = rows_of(tmp_path / "alone")
    assert alone["reader"] == "onnxruntime-fp16" and alone["size"] == SHAPE
    assert alone["file_size"] == (folder / "inference_fp16.onnx").stat().st_size
    log = benchmark(folder, *QUICK, "--readers", "onnxruntime", check=False)
    assert "holds inference_fp16.onnx alone" in error_line(log)


@needs_onnx
def test_names_of_folders_are_as_people_have_them(small, tmp_path):
    """A folder that is named twice is measured once, and the last one stays the last."""
    (odd,) = copies(small, tmp_path, "a |b ü")
    (other,) = copies(small, tmp_path, "other")
    flags = ("--readers", "onnxruntime", "--batches", 1, "--output", tmp_path)
    log = benchmark(odd, other, f"{odd}/", *QUICK, *flags)
    assert "warning: a folder that is named twice is measured once" in log
    assert [row["folder"] for row in rows_of(tmp_path)] == [str(other), str(odd)]
    lines = (tmp_path / "results.md").read_text(encoding="utf-8").splitlines()
    assert lines[0].startswith("device cpu, date ")
    assert lines[-1].startswith(f"| {tmp_path}/a \\|b ü | onnxruntime | 1 | 1 |")
    assert [row["speed_ratio"] is None for row in rows_of(tmp_path)] == [False, True]


@needs_onnx
def test_accuracy_is_that_of_the_pictures_as_inference_yml_prepares_them(small, tmp_path):
    random = np.random.RandomState(0)
    for number in range(12):
        picture = Image.fromarray(random.randint(0, 256, (2, 2, 3), "uint8")).resize((40, 30))
        picture.save(tmp_path / f"{number}.png")
    found = [result["class_ids"][0] for result in Classifier(small, "onnxruntime")(tmp_path)]
    paths = sorted(tmp_path.glob("*.png"))
    wrong = {paths[3], paths[7], paths[8]}
    lines = [f"{path.name} {(label + (path in wrong)) % 3}\n" for path, label in zip(paths, found)]
    (tmp_path / "list.txt").write_text("".join(lines))
    flags = (*QUICK, "--readers", "onnxruntime", "--batches", 1, "--images", tmp_path, tmp_path / "list.txt")
    log = benchmark(small, *flags)
    assert "| top-1 % |" in log and "| 75.00 |" in log
    (tmp_path / "list.txt").write_text("".join(lines).replace(lines[0], "0.png 3\n"))
    message = f"error: {tmp_path / 'list.txt'}, line 1: label 3, but {small} has 3 classes"
    assert error_line(benchmark(small, *flags, check=False)) == message
    (tmp_path / "list.txt").write_text("nowhere.png 1\n")
    assert "there is no nowhere.png" in error_line(benchmark(small, *flags, check=False))


@needs_onnx
def test_a_combination_that_fails_is_named_and_the_others_are_measured(tmp_path):
    network = paddle.nn.Sequential(paddle.nn.Flatten(), paddle.nn.Linear(48, 3))
    spec = [paddle.static.InputSpec([2, 3, 4, 4], "float32")]
    paddle.jit.save(paddle.jit.to_static(network, input_spec=spec, full_graph=True), f"{tmp_path}/inference")
    onnx.convert(inference.find_program(tmp_path), tmp_path / "inference.onnx")
    flags = ("--readers", "onnxruntime", "--batches", 2, 5)
    log = benchmark(tmp_path, *QUICK, *flags, check=False)
    assert error_line(log) == "error: 1 of 2 combinations could not be measured"
    assert f"| {tmp_path} | onnxruntime | 1 | 2 | " in log
    assert f"- {tmp_path}, onnxruntime, threads 1, batch 5: {tmp_path}/inference.onnx does not run on" in log


@pytest.mark.slow
def test_an_open_size_is_asked_for(tmp_path):
    export(tmp_path, paddle.nn.Softmax(), DESCRIPTION._replace(image_shape=None), sides=[None, None])
    for name in ("inference.onnx", "inference.yml"):
        (tmp_path / name).unlink(missing_ok=True)
    for path in tmp_path.glob("inference.*"):
        path.rename(path.with_name(f"model{path.suffix}"))  # as segmenters have it
    message = f"error: {tmp_path} takes pictures of any size: add --size H W"
    assert error_line(benchmark(tmp_path, *QUICK, check=False)) == message
    flags = ("--readers", "paddle", "--size", 20, 30, "--batches", 2, "--output", tmp_path)
    benchmark(tmp_path, *QUICK, *flags)
    assert rows_of(tmp_path)[0]["size"] == [3, 20, 30]


@pytest.mark.slow
def test_the_older_format_says_its_size_too(tmp_path):
    code = """
import sys, pathlib, paddle
sys.path[:0] = ["tests", "tests/predict"]
from small_export import DESCRIPTION, export
export(pathlib.Path(sys.argv[1]), paddle.nn.Softmax(), DESCRIPTION)
"""
    run(sys.executable, "-c", code, tmp_path, check=False, FLAGS_enable_pir_api="0")
    if not (tmp_path / "inference.pdmodel").exists():
        pytest.skip("this Paddle does not write it")
    for name in ("inference.json", "inference.onnx", "inference.yml"):
        (tmp_path / name).unlink(missing_ok=True)
    benchmark(tmp_path, *QUICK, "--readers", "onednn", "--batches", 1, "--output", tmp_path)
    assert rows_of(tmp_path)[0]["size"] == SHAPE


def test_what_cannot_be_measured_is_refused_in_one_line(small, foreign, tmp_path):
    for flags, message in (
        ([tmp_path / "x"], "x is no folder"),
        ([tmp_path], "holds no inference.json, .pdmodel or .onnx"),
        ([foreign, "--readers", "onnxruntime"], "holds no inference.onnx, which onnxruntime reads"),
        ([small, "--readers", "onednn", "--device", "gpu"], "--readers onednn: it is for the CPU"),
        ([small, foreign, "--images", tmp_path, "x"], f"--images: {foreign} has no inference.yml"),
        ([small, "--images", tmp_path, tmp_path / "x"], "x: No such file or directory"),
    ):
        assert message in error_line(benchmark(*flags, *QUICK, check=False))


def test_where_results_cannot_be_written_is_said_before_anything_is_measured(small, tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "taken/results.md").mkdir(parents=True)
    for output, message in (("file", "file: File exists"), ("taken", "results.md is a folder; take another")):
        log = benchmark(small, "--output", tmp_path / output, check=False)
        assert message in error_line(log) and "on the CPU" not in log


@pytest.mark.parametrize("seconds", ["0", "-1", "nan", "inf", "soon"])
def test_a_turn_takes_some_time(seconds, capsys):
    with pytest.raises(SystemExit):
        command.parser().parse_args(["folder", f"--seconds={seconds}"])
    assert f"--seconds: '{seconds}' is no time above 0" in capsys.readouterr().err


def test_cores_are_those_that_may_be_used():
    if not hasattr(os, "sched_setaffinity"):
        pytest.skip("this system does not say")
    before = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(before)})
        assert report.machine()["cores"] == 1
        assert command.parser().parse_args(["folder"]).threads == [1]
    finally:
        os.sched_setaffinity(0, before)


@needs_onnx
def test_another_size_and_a_gpu_that_is_not_there_are_refused(small):
    message = f"error: --size 32 32: {small} takes 16 24 (height, width)"
    assert error_line(benchmark(small, "--size", 32, 32, *QUICK, check=False)) == message
    onnxruntime = pytest.importorskip("onnxruntime")
    if onnx.CUDA not in onnxruntime.get_available_providers():
        log = benchmark(small, "--device", "gpu", "--readers", "onnxruntime", *QUICK, check=False)
        assert error_line(log).startswith("error: this ONNX Runtime uses no GPU: ")


@needs_onnx
def test_what_was_measured_before_an_interruption_is_printed(small, tmp_path):
    flags = ("--readers", "onnxruntime", "--threads", 1, "--rounds", 1, "--starts", 1, "--seconds", 2)
    process = subprocess.Popen(
        [str(part) for part in (sys.executable, "tools/benchmark_export.py", small, *flags)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    for batch in (1, 16):
        assert process.stderr.readline().endswith(f"batch {batch}: {small}\n")
    process.send_signal(signal.SIGTERM)
    printed, log = process.communicate(timeout=30)
    assert log == "error: terminated by SIGTERM\n" and printed.count(f"| {small} | onnxruntime | 1 | ") == 1


@needs_onnx
def test_an_interruption_is_one_line_and_leaves_no_process(small):
    command = [
        sys.executable,
        "tools/benchmark_export.py",
        small,
        "--readers",
        "onnxruntime",
        "--seconds",
        60,
    ]
    process = subprocess.Popen(
        [str(part) for part in command],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,  # a group of its own, which a terminal's Ctrl-C reaches as a whole
    )
    assert process.stderr.readline().startswith("onnxruntime on the CPU")
    time.sleep(2)
    os.killpg(process.pid, signal.SIGINT)
    assert process.communicate(timeout=30)[1] == "error: interrupted\n" and process.returncode == 130
    time.sleep(0.5)
    states = subprocess.run(["ps", "-eo", "pgid=,stat="], stdout=subprocess.PIPE, text=True).stdout
    of_group = [state for group, state in map(str.split, states.splitlines()) if group == str(process.pid)]
    assert all(state.startswith("Z") for state in of_group)  # dead, where nobody asks how


def test_speed_is_a_ratio_of_medians():
    task = Task("a", "onnxruntime", "cpu", 1, 2, (3, 4, 4))
    timing = Timing(task, [1.0, 3.0, 2.0], [[1.0, 1.0, 9.0], [2.0, 2.0, 2.0]], [[3.0] * 3, [2.0] * 3])
    assert report.speed_ratio(timing) == (2.0, 1.0, 3.0)
    summary = report.summary(timing)
    assert summary["first_answer"] == 2.0 and summary["percentiles"]["50"] == 2.0
    assert summary["images_per_second"] == pytest.approx(2 * 6 / 17)
