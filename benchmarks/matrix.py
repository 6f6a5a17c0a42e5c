"""Tries every command on combinations of Python and Paddle: `python benchmarks/matrix.py --help`.

    run       makes an environment for each combination and runs the commands in it, on a few digits
    resolve   asks pip for the packages of other platforms; nothing of them is run
    pages     puts the tables of the results into docs/en/WhatWorksWhere.md and the Chinese page

Needs nothing but Python. Results are added to a JSON file, one after the other.
"""

import argparse
import itertools
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "docs/what_works_where.json"
MODEL = "MixFormer_B0"
PICTURES = {"train": 96, "val": 40}
PACKAGES = ("numpy", "opencv-python", "pillow", "protobuf", "paddleclas")
PLATFORMS = {
    "win_amd64": ["win_amd64"],
    "macosx_arm64": [f"macosx_{release}_0_arm64" for release in (11, 12, 13, 14)],
    "manylinux_aarch64": ["manylinux2014_aarch64", "manylinux_2_17_aarch64", "manylinux_2_28_aarch64"],
}


def call(*command, **environment):
    """Runs a command; returns its status and its output, stdout and stderr together."""
    result = subprocess.run(
        [str(part) for part in command],
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    return result.returncode, result.stdout


def gist(log):
    """The line of a failed command's output that says why: pip's first error, or another program's last."""
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    of_pip = [line for line in lines if line.startswith("ERROR: ")]
    errors = [line for line in lines if re.search(r"error|bad_alloc", line, re.IGNORECASE)]
    return (of_pip[:1] or errors[-1:] or lines[-1:] or ["no output"])[0][:200]


def interpreter(version):
    """Path of `pythonVERSION`, or None where there is none that runs."""
    path = shutil.which(f"python{version}")
    return path if path and not call(path, "--version")[0] else None


def constraints(paddle, folder):
    """Path of the constraints with another Paddle."""
    path = Path(folder, "constraints.txt")
    text = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    path.write_text(re.sub(r"(?m)^paddlepaddle==\S+", f"paddlepaddle=={paddle}", text), encoding="utf-8")
    return path


class Trial:
    """The commands in one environment, `python` its interpreter, `folder` for what they write."""

    def __init__(self, python, folder):
        self.python, self.folder = python, folder
        self.data, self.output = folder / "digits", folder / "output"
        self.steps = {}

    def step(self, name, *command, shows, **environment):
        """Runs a command and notes whether it worked: status 0, and the pattern `shows` in its output."""
        start = time.monotonic()
        status, log = call(*command, **environment)
        works = status == 0 and re.search(shows, log) is not None
        self.steps[name] = {"works": works, "seconds": round(time.monotonic() - start, 1)}
        if not works:
            self.steps[name]["reason"] = gist(log).replace(f"{self.folder}/", "")
        print(f"  {name}: {'works' if works else gist(log)}", flush=True)

    def package(self, name, verb, *flags, shows, **environment):
        """The same, of a command of the package."""
        self.step(name, self.python, "-m", "ppcls_mixformer", verb, *flags, shows=shows, **environment)

    def settings(self, **values):
        """Flags for the config of the few pictures."""
        settings = {
            "Global.output_dir": self.output,
            "Global.save_interval": 1,
            "Global.print_batch_step": 1,
            **{f"Global.{key}": value for key, value in values.items()},
        }
        config = self.data / f"{MODEL}_{self.data.name}.yaml"
        return ["-c", config, *(part for key, value in settings.items() for part in ("-o", f"{key}={value}"))]

    def checkpoint(self, prefix):
        """Path of a checkpoint; PaddleClas before 2.6 puts a folder between."""
        return next(iter(self.output.rglob(f"{prefix}.pdparams")), self.output / prefix).with_suffix("")

    def run(self):
        """Runs all commands; those that build on one that failed fail, too."""
        pictures = self.folder / "pictures"
        flags = ["--model", MODEL, "--size", 28, "--batch", 48, "--epochs", 2]
        call(self.python, ROOT / "tools/prepare_digits.py", "--output", pictures)
        package = [self.python, "-m", "ppcls_mixformer"]
        call(*package, "prepare", pictures, *flags, "--device", "cpu", "--output", self.data)
        for name, count in PICTURES.items():
            path = self.data / f"{name}_list.txt"
            lines = path.read_text().splitlines(keepends=True)
            path.write_text("".join(lines[:: len(lines) // count][:count]))
        self.package("train", "train", *self.settings(), shows=r"Epoch 2/2.*loss")
        best = self.checkpoint("best_model")
        self.package("eval", "eval", *self.settings(pretrained_model=best), shows=r"top1: [\d.]+")
        first = self.checkpoint("epoch_1")
        self.package("resume", "train", *self.settings(checkpoints=first), shows=r"Epoch 2/2.*loss")
        target = self.folder / "inference"
        settings = self.settings(pretrained_model=best, save_inference_dir=target)
        self.package("export", "export", *settings, shows=r"inference\.\w+: read by")
        self.steps["export"]["formats"] = sorted(
            path.suffix[1:] for path in target.glob("inference.*") if path.suffix in (".json", ".pdmodel")
        )
        picture = pictures / (self.data / "val_list.txt").read_text().split()[0]
        flags = ["--inference_model_dir", target, "--infer_imgs", picture]
        flags += ["--class_id_map_file", self.data / "label_list.txt", "--use_gpu", "False"]
        flags += ["--resize_short", "28", "--crop_size", "28"]
        self.package("predict", "predict", *flags, shows="class_ids")
        stock = Path(self.python).with_name("paddleclas")
        self.step("paddleclas", stock, *flags, shows="class_ids", FLAGS_enable_pir_api="0")


def try_combination(version, paddle, folder):
    """Makes the environment of one Python and one Paddle and runs the commands; returns the result."""
    result = {"python": version, "paddle": paddle}
    python = Path(folder, "env/bin/python")
    pip = [python, "-m", "pip", "install", "--quiet", "--no-compile", "-c", constraints(paddle, folder)]
    for name, command in (
        ("env", [interpreter(version), "-m", "venv", f"{folder}/env"]),
        ("install", [*pip, "-e", f"{ROOT}[cpu,demo]"]),
        ("fetch", [python, "-m", "ppcls_mixformer", "fetch"]),
    ):
        status, log = call(*command)
        if status:
            return {**result, name: gist(log)}
    listed = dict(
        line.split("==") for line in call(python, "-m", "pip", "freeze")[1].splitlines() if "==" in line
    )
    result["packages"] = {name: listed.get(name) for name in PACKAGES}
    trial = Trial(python, Path(folder))
    trial.run()
    return {**result, "steps": trial.steps}


def add(path, kind, result, *keys):
    """Writes a result into the JSON file at `path`, in the place of an earlier one with the same `keys`."""
    results = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    others = [other for other in results.get(kind, []) if any(other[key] != result[key] for key in keys)]
    order = [*others, result]
    order.sort(key=lambda other: [numbers(other[key]) for key in keys])
    path.write_text(json.dumps({**results, kind: order}, indent=1) + "\n", encoding="utf-8")


def numbers(text):
    """A version as something that sorts; names sort by themselves."""
    return [int(part) if part.isdigit() else part for part in text.split(".")]


def run(arguments):
    """Runs the commands on every combination, one after another."""
    for version in arguments.python:
        if interpreter(version) is None:
            print(f"there is no python{version} here: it is left out", flush=True)
            continue
        for paddle in arguments.paddle:
            print(f"Python {version}, paddlepaddle {paddle}", flush=True)
            with tempfile.TemporaryDirectory(prefix="matrix-") as folder:
                result = try_combination(version, paddle, folder)
            if "steps" not in result:
                print(f"  {result}", flush=True)
            add(arguments.results, "runs", result, "python", "paddle")


def resolve(arguments):
    """Asks pip what it would install on other platforms."""
    for version in arguments.python:
        python = interpreter(version)
        if python is None:
            print(f"there is no python{version} here: it is left out", flush=True)
            continue
        with tempfile.TemporaryDirectory(prefix="matrix-") as folder:
            call(python, "-m", "venv", f"{folder}/env")
            pip = [f"{folder}/env/bin/python", "-m", "pip"]
            call(*pip, "wheel", "--quiet", "--no-deps", "--wheel-dir", folder, ROOT)
            (wheel,) = Path(folder).glob("*.whl")
            for paddle, platform in itertools.product(arguments.paddle, PLATFORMS):
                result = {"python": version, "paddle": paddle, "platform": platform}
                wanted = ["-c", constraints(paddle, folder), f"{wheel}[cpu,dense,demo]"]
                alone = ["--no-deps", f"paddlepaddle=={paddle}"]  # or pip says no more than "conflicting"
                reason = refusal(pip, folder, platform, alone) or refusal(pip, folder, platform, wanted)
                result.update({"reason": reason} if reason else {})
                print(
                    f"Python {version}, paddlepaddle {paddle}, {platform}: {reason or 'resolved'}", flush=True
                )
                add(arguments.results, "resolved", result, "platform", "python", "paddle")


def refusal(pip, folder, platform, wanted):
    """Why pip would not install `wanted` on a platform; None where it would."""
    options = ["--dry-run", "--quiet", "--only-binary", ":all:", "--target", f"{folder}/target"]
    tags = [part for tag in PLATFORMS[platform] for part in ("--platform", tag)]
    status, log = call(*pip, "install", *options, *tags, *wanted)
    return gist(log) if status else None


def pages(arguments):
    """Puts the tables of the results into the pages."""
    sys.path.insert(0, str(ROOT))
    from benchmarks import matrix_pages

    results = json.loads(arguments.results.read_text(encoding="utf-8"))
    for language in matrix_pages.WORDS:
        page = ROOT / "docs" / language / "WhatWorksWhere.md"
        text = matrix_pages.fill(page.read_text(encoding="utf-8"), results, language)
        page.write_text(text, encoding="utf-8")


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=["run", "resolve", "pages"])
    parser.add_argument("--python", nargs="+", default=["3.10", "3.11", "3.12", "3.13"])
    parser.add_argument("--paddle", nargs="+", default=["2.6.2", "3.1.1", "3.3.1"])
    parser.add_argument("--results", type=Path, default=RESULTS, help="JSON file")
    arguments = parser.parse_args()
    {"run": run, "resolve": resolve, "pages": pages}[arguments.what](arguments)


if __name__ == "__main__":
    main()
