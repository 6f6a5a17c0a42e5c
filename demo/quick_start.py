"""The quick start: digits, training, evaluation, export, prediction and pictures, one command after another.

A step whose result is there is not done again; delete the output folder to start over.
"""

import argparse
import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import ppcls_mixformer
from ppcls_mixformer.hosting import configs
from ppcls_mixformer.hosting.whole import whole_file
from ppcls_mixformer.weights.checkpoint import read_file

ROOT = Path(ppcls_mixformer.__file__).resolve().parents[1]
CONFIG = "MixFormer_B0_digits"
DATA = Path("dataset/digits")
OUTPUT = Path("output/digits")
WEIGHTS = OUTPUT / "MixFormer_B0_digits.pdparams"  # what the fine-tuning config starts from


def command(verb, *arguments, log=None):
    """Runs `python -m ppcls_mixformer VERB …`, as `run_module` does; a verb may be of two words."""
    return run_module("ppcls_mixformer", verb, *verb.split(), *arguments, log=log)


def step(name, *arguments):
    """Runs another module of the demo."""
    run_module(f"{__package__}.{name}", name, *arguments)


def run_module(module, title, *arguments, log=None):
    """Runs a module, its output on the screen and in the file `log`; ends with its status if it fails."""
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    print(f"\n== {title}", flush=True)
    lines = []
    with subprocess.Popen(
        [sys.executable, "-m", module, *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        for line in process.stdout:
            lines.append(line)
            print(line, end="", flush=True)
    if process.returncode:
        sys.exit(f"error: {title} ended with status {process.returncode}")
    if log:
        log.write_text("".join(lines))
    return "".join(lines)


def trained_file(name):
    """Path of a file of the training run; PaddleClas before 2.6 puts a folder between."""
    return next(iter(sorted(OUTPUT.glob(f"**/{name}"))), None)


def train():
    """Trains, and goes on where an earlier run was stopped."""
    latest = trained_file("latest.pdparams")
    if latest is None:
        command("train", "-c", CONFIG)
        return
    epochs = configs.read_yaml(configs.find(CONFIG))["Global"]["epochs"]
    latest = latest.with_suffix("")
    if read_file(f"{latest}.pdstates")["epoch"] < epochs:
        command("train", "-c", CONFIG, "-o", f"Global.checkpoints={latest}")


def main(argv=None):
    """Runs the commands and says where the results are."""
    argparse.ArgumentParser(description=__doc__).parse_args(argv)
    missing = [name for name in ("matplotlib", "sklearn") if importlib.util.find_spec(name) is None]
    if missing:
        sys.exit(f"error: {' and '.join(missing)} missing: install ppcls_mixformer with its extra demo")
    step("digits", "--output", DATA)
    if not WEIGHTS.exists():
        train()
        with whole_file(WEIGHTS) as part:
            shutil.copyfile(trained_file("best_model.pdparams"), part)
    weights = ("-o", f"Global.pretrained_model={WEIGHTS}")
    evaluation = command("eval", "-c", CONFIG, *weights)
    command("export", "-c", CONFIG, *weights)
    flags = ["--inference_model_dir", OUTPUT / "inference", "--infer_imgs", DATA / "test"]
    command("predict", *flags, log=OUTPUT / "predict.log")
    logs = ["--train_log", trained_file("train.log"), "--predict_log", OUTPUT / "predict.log"]
    step("pictures", *logs, "--list", DATA / "test_list.txt", "--images", DATA / "test", "--output", OUTPUT)

    top1 = re.findall(r"\[Avg\].*top1: ([\d.]+)", evaluation)[-1]
    print(f"\nTop-1 accuracy on the 360 test pictures: {float(top1):.2%}\n")
    for path, what in (
        (WEIGHTS, "trained weights"),
        (OUTPUT / "inference", "export: predict, Classifier and the paddleclas command read it"),
        (OUTPUT / "curve.png", "training curve"),
        (OUTPUT / "predictions.png", "test pictures with predicted and true labels"),
        (OUTPUT / "predict.log", "all predictions"),
    ):
        print(f"  {path}: {what}")


if __name__ == "__main__":
    main()
