"""What was measured, as a Markdown table and as JSON."""

import datetime
import json
import os
import platform
import statistics
from itertools import chain
from pathlib import Path

import numpy as np

from ppcls_mixformer.hosting.advice import installed
from ppcls_mixformer.hosting.whole import whole_file

PERCENTILES = (50, 90, 99)
PACKAGES = ("paddlepaddle", "paddlepaddle-gpu", "onnxruntime", "onnxruntime-gpu")
MISSING = "–"
FILES = ("results.json", "results.md")  # that `write` writes


def speed_ratio(timing):
    """How many times as fast as the reference, from the medians of each round: median, slowest, fastest.

    None where there is nothing to compare with.
    """
    if not timing.reference:
        return None
    rounds = [
        statistics.median(theirs) / statistics.median(mine)
        for mine, theirs in zip(timing.turns, timing.reference)
    ]
    return statistics.median(rounds), min(rounds), max(rounds)


def summary(timing):
    """The figures of one `Timing`, as JSON takes them; seconds and bytes."""
    task = timing.task
    facts = {"folder": task.folder, "reader": task.reader, "threads": task.threads, "batch": task.batch}
    if timing.reason:
        return {**facts, "reason": timing.reason}
    seconds = np.array([*chain(*timing.turns)])
    return {
        **facts,
        "size": list(task.shape),
        "percentiles": dict(zip(map(str, PERCENTILES), np.percentile(seconds, PERCENTILES).tolist())),
        "images_per_second": task.batch * len(seconds) / float(seconds.sum()),
        "first_answer": statistics.median(timing.first),
        "memory": timing.memory,
        "file_size": timing.size,
        "speed_ratio": speed_ratio(timing),
        "first_answers": timing.first,
        "rounds": timing.turns,
    }


def machine():
    """The machine and the versions in use."""
    found = {package: installed(package) for package in PACKAGES}
    return {
        "date": datetime.date.today().isoformat(),
        "processor": _processor(),
        "cores": cores(),
        "python": platform.python_version(),
        **{package: version for package, version in found.items() if version},
    }


def cores():
    """Cores that this process may use, which `taskset` and others make fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def _processor():
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def table(results):
    """Markdown of results, `{machine, device, rows}`: what was measured, then what could not be."""
    rows = [row for row in results["rows"] if "reason" not in row]
    folders = list(dict.fromkeys(row["folder"] for row in results["rows"]))
    compared, judged = len(folders) > 1, any("accuracy" in row for row in rows)
    columns = ["export", "reader", "threads", "batch", *(f"p{n} ms" for n in PERCENTILES), "images/s"]
    columns += ["first answer s", "memory MiB", "file MiB", *["top-1 %"] * judged]
    columns += [f"speed against {folders[-1]} (slowest – fastest round)"] * compared
    facts = {"device": results["device"], **results["machine"]}
    lines = [", ".join(f"{name} {value}" for name, value in facts.items()), ""]
    lines += [_line(columns), _line(["---"] * len(columns))]
    lines += [_line(_cells(row, judged, compared)) for row in rows]
    failed = [row for row in results["rows"] if "reason" in row]
    lines += [""] * bool(failed) + [
        f"- {row['folder']}, {row['reader']}, threads {row['threads']}, batch {row['batch']}: {row['reason']}"
        for row in failed
    ]
    return "\n".join([*lines, ""])


def _line(cells):
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _cells(row, judged, compared):
    cells = [row["folder"], row["reader"], str(row["threads"]), str(row["batch"])]
    cells += [f"{row['percentiles'][str(n)] * 1e3:.2f}" for n in PERCENTILES]
    cells += [f"{row['images_per_second']:.1f}", f"{row['first_answer']:.2f}"]
    cells += [MISSING if row["memory"] is None else f"{row['memory'] / 2**20:.0f}"]
    cells += [f"{row['file_size'] / 2**20:.1f}"]
    cells += [f"{row['accuracy'] * 100:.2f}" if "accuracy" in row else MISSING] * judged
    return cells + [_ratio(row["speed_ratio"])] * compared


def _ratio(ratio):
    return "{:.2f}× ({:.2f} – {:.2f})".format(*ratio) if ratio else MISSING


def write(results, folder):
    """Writes `results.json` and `results.md`."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in zip(FILES, (json.dumps(results, indent=1), table(results))):
        with whole_file(folder / name) as part:
            part.write_text(text, encoding="utf-8")
