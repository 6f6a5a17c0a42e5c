"""Which one to take: published accuracy against measured speed: `python benchmarks/choose.py --help`.

Exports MixFormer and what others would pick from the paddleclas wheel, with random weights, and measures them
with ONNX Runtime and paddle.inference with oneDNN. Networks take turns in groups, each with Swin-T; every
speed is a ratio to Swin-T's in the turns beside it, and shown as a time by means of its median in all groups.
What cannot be exported is named and left out.
"""

import argparse
import json
import os
import shutil
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.tradeoff import chart, points, table

REFERENCE = "SwinTransformer_tiny"
READERS = ("onednn", "onnxruntime")
PATIENCE = 600  # seconds for an export: a converter that crashes may hang
NETWORKS, RESULTS = "networks.json", "results.json"


def parse_arguments():
    from ppcls_mixformer.benchmark.measure import Plan

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--models", nargs="+", help="(all)")
    parser.add_argument("--batches", nargs="+", type=int, default=[1, 16])
    parser.add_argument("--size", type=int, default=224, help="side of the images, pixels")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--rounds", type=int, default=9, help="turns of each network")
    parser.add_argument("--seconds", type=float, default=Plan().seconds, help="of a turn")
    parser.add_argument("--starts", type=int, default=1, help="first answers that are timed")
    parser.add_argument("--together", type=int, default=3, help="networks that take turns with Swin-T")
    parser.add_argument("--output", type=Path, default=Path("output/choice"), help="folder")
    parser.add_argument(
        "--draw",
        action="store_true",
        help="only draw what the output folder has, also of a run that was cut off",
    )
    return parser.parse_args()


def main(arguments):
    if not arguments.draw:
        measure(arguments)
    results = {}
    for name in (NETWORKS, RESULTS):
        results.update(json.loads((arguments.output / name).read_text(encoding="utf-8")))
    found = points(results, REFERENCE)
    if not found:
        sys.exit(f"error: {arguments.output / RESULTS} has no speed beside one of {REFERENCE}")
    (arguments.output / "choice.md").write_text(table(results, found), encoding="utf-8")
    chart(results, found, arguments.output / "choice.svg")
    print((arguments.output / "choice.md").read_text(encoding="utf-8"))


def measure(arguments):
    """Writes what networks there are, and why some are missing, to NETWORKS; their speeds to RESULTS."""
    from benchmarks import models
    from ppcls_mixformer.benchmark.command import collect
    from ppcls_mixformer.benchmark.measure import Plan

    names = arguments.models or models.NAMES
    unknown = [name for name in names if name not in models.NAMES]
    if unknown:
        sys.exit(f"error: no network is called {', '.join(unknown)}; there are {', '.join(models.NAMES)}")
    names = [*[name for name in names if name != REFERENCE], REFERENCE]
    folders = {name: arguments.output / "exports" / name for name in names}
    networks, missing = exported(folders, arguments.size)
    text = json.dumps({"networks": networks, "missing": missing}, indent=1)
    (arguments.output / NETWORKS).write_text(text, encoding="utf-8")
    if REFERENCE not in networks:
        sys.exit(f"error: {REFERENCE}, which all are compared with: {missing[REFERENCE]}")
    plan = Plan(arguments.rounds, arguments.seconds, arguments.starts, arguments.together)
    collect(tasks(arguments, folders, networks), plan, str(folders[REFERENCE]), {}, arguments.output)


def exported(folders, size):
    """Exports networks to `folders`; facts on those that are there, and why others or their ONNX are not."""
    from benchmarks import exports
    from ppcls_mixformer.benchmark.processes import once
    from ppcls_mixformer.hosting.errors import UserError

    networks, missing = {}, {}
    for name, folder in folders.items():
        shutil.rmtree(folder, ignore_errors=True)
        try:
            networks[name] = once(exports.export, name, str(folder), size, within=PATIENCE)
            once(exports.convert, str(folder), size, within=PATIENCE)
        except UserError as error:
            (folder / "inference.onnx").unlink(missing_ok=True)
            missing[name] = f"{'as ONNX: ' if name in networks else ''}{error}"
        print(f"exported {name}: {missing.get(name, 'for both')}", flush=True)
    return networks, missing


def tasks(arguments, folders, networks):
    """What is measured: each reader, batch and network that has the reader's file, Swin-T last."""
    from ppcls_mixformer.benchmark.worker import READERS as ENGINES
    from ppcls_mixformer.benchmark.worker import Task
    from ppcls_mixformer.predict import programs

    shape = (3, arguments.size, arguments.size)
    return [
        Task(str(folders[name]), reader, "cpu", arguments.threads, batch, shape)
        for reader in READERS
        for batch in arguments.batches
        for name in networks
        if programs.has(folders[name], ENGINES[reader].engine)
    ]


if __name__ == "__main__":
    from ppcls_mixformer.hosting import cli

    cli.run(lambda argv: main(parse_arguments()))
