"""Times networks side by side and writes a table and a chart: `python benchmarks/run.py --help`."""

import argparse
import importlib.util
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from pathlib import Path

TUNED = {
    "FLAGS_use_stride_kernel": "0",  # transposes copy at once, and faster
    "MALLOC_MMAP_MAX_": "0",  # freed memory is kept and used again
    "MALLOC_TRIM_THRESHOLD_": "100000000000",
    "MKL_DEBUG_CPU_TYPE": "5",  # MKL's fast kernels also on AMD
    "MKL_ENABLE_INSTRUCTIONS": "AVX512",
}
MODE_NAMES = ["evaluation", "training", "onednn", "onnxruntime"]
GEMM_SIDE = 2048


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", nargs="+", default=["MixFormer_B4", "SwinTransformer_tiny"])
    parser.add_argument("--modes", nargs="+", choices=MODE_NAMES, default=MODE_NAMES)
    parser.add_argument("--batches", nargs="+", type=int, default=[1, 16], help="images a run")
    parser.add_argument("--training-batch", type=int, default=8)
    parser.add_argument("--size", type=int, default=224, help="side of the images, pixels")
    parser.add_argument("--rounds", type=int, default=7, help="timed runs of each network, interleaved")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--device", default="cpu", help="cpu or gpu; the exported modes are CPU only")
    parser.add_argument("--amp", choices=["O0", "O1", "O2"], default="O0", help="on GPU")
    parser.add_argument("--tuned", action="store_true", help=f"with {' '.join(TUNED)} set for speed")
    parser.add_argument("--output", type=Path, default=Path("output/benchmark"), help="folder")
    return parser.parse_args()


def main():
    arguments = parse_arguments()
    restart_with({**(TUNED if arguments.tuned else {}), "OMP_NUM_THREADS": str(arguments.threads)})
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
    import paddle

    from benchmarks import models

    refuse(arguments, models.NAMES)
    paddle.set_device(arguments.device)
    # Once each: EfficientNetB0 names its parameters itself, and Paddle takes no name twice.
    networks = {name: models.build(name, arguments.size) for name in arguments.models}
    results = {
        "machine": f"{platform.processor() or platform.machine()}, {arguments.threads} threads",
        "device": arguments.device,
        "amp": arguments.amp,
        "paddle": paddle.__version__,
        "environment": "tuned" if arguments.tuned else "default",
        "size": arguments.size,
        "rounds": arguments.rounds,
        "networks": {name: describe(name, model, arguments.size) for name, model in networks.items()},
        "timings": [],
    }
    for mode in arguments.modes:
        for timing in time_mode(mode, networks, arguments):
            results["timings"].append(timing)
            write(results, arguments.output)  # each time: a long run may be cut off
    print((arguments.output / "results.md").read_text(encoding="utf-8"))
    print(f"written to {arguments.output}: results.json, results.md, results.svg")


def refuse(arguments, names):
    """Ends the process with a word on what cannot be measured."""
    unknown = [name for name in arguments.models if name not in names]
    if unknown:
        sys.exit(f"error: no network is called {', '.join(unknown)}; there are {', '.join(names)}")
    if arguments.device != "cpu" and set(arguments.modes) - {"evaluation", "training"}:
        sys.exit("error: exported networks are timed on the CPU only: add --modes evaluation training")
    if "onnxruntime" in arguments.modes:
        for package in ("paddle2onnx", "onnxruntime"):
            if importlib.util.find_spec(package) is None:
                sys.exit(
                    f"error: mode onnxruntime needs {package}: pip install '.[onnx]', or name other --modes"
                )


def restart_with(environment):
    """Starts this process again if a variable differs: libraries read them when they are loaded."""
    if any(os.environ.get(name) != value for name, value in environment.items()):
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, **environment})


def describe(name, model, size):
    """Parameters (M), multiply-adds (G), both counted, and published accuracy (%) of a network."""
    import paddle

    from benchmarks import models
    from benchmarks.flops import multiply_adds

    model.eval()
    return {
        "params": sum(p.size for p in model.parameters() if not p.stop_gradient) / 1e6,
        "gflops": multiply_adds(model, paddle.zeros([1, 3, size, size])) / 1e9,
        "top1": models.published_top1(name),
    }


def time_mode(mode, networks, arguments):
    """Yields the timings of each batch size in `mode`.

    `gemm_gflops` beside them are the multiply-adds a second, in G, of large matrix products, or None
    for training.
    """
    batches = [arguments.training_batch] if mode == "training" else arguments.batches
    for batch in batches:
        print(f"{mode}, batch {batch}", flush=True)
        with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
            runs = prepare(mode, batch, networks, arguments, Path(folder))
            seconds = interleave(runs, arguments.rounds)
        products = seconds.pop("GEMM", None)
        ceiling = products and 2 * GEMM_SIDE**3 / statistics.median(products) / 1e9
        yield {"mode": mode, "batch": batch, "gemm_gflops": ceiling, "seconds": seconds}


def prepare(mode, batch, networks, arguments, folder):
    """A function for each network, and but for training for plain matrix products, that runs it once."""
    import paddle

    from benchmarks.modes import MODES, Product

    def runner(name, model, x):
        (folder / name).mkdir()
        return MODES[mode](model, x, arguments.amp, folder / name, arguments.threads)

    images = paddle.randn([batch, 3, arguments.size, arguments.size])
    runs = {name: runner(name, model, images) for name, model in networks.items()}
    if mode != "training":
        runs["GEMM"] = runner("GEMM", Product(GEMM_SIDE), paddle.randn([GEMM_SIDE, GEMM_SIDE]))
    return runs


def interleave(runs, rounds):
    """Seconds of `rounds` runs of each function, in turns (A B A B), after a warm-up of each."""
    seconds = {name: [] for name in runs}
    for i in range(rounds + 1):
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            if i:
                seconds[name].append(time.perf_counter() - start)
        print(f"  round {i} of {rounds}", flush=True)
    return seconds


def write(results, folder):
    """Writes `results.json`, `results.md` and `results.svg`."""
    from benchmarks.report import chart, table

    folder.mkdir(parents=True, exist_ok=True)
    (folder / "results.json").write_text(json.dumps(results, indent=1), encoding="utf-8")
    (folder / "results.md").write_text(table(results), encoding="utf-8")
    chart(results, folder / "results.svg")


if __name__ == "__main__":
    main()
