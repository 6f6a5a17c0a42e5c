"""The quick start: digits, training, evaluation, export, prediction and pictures, one tool after another.

A step whose result is there is not done again; delete the output folder to start over.
"""

import re
import shutil
import subprocess
import sys
from pathlib import Path

from ppcls_mixformer.hosting.whole import whole_file

TOOLS = Path(__file__).resolve().parents[1] / "tools"
CONFIG = TOOLS.parent / "configs/quick_start/MixFormer_B0_digits.yaml"
DATA = Path("dataset/digits")
OUTPUT = Path("output/digits")
WEIGHTS = OUTPUT / "MixFormer_B0_digits.pdparams"  # what the fine-tuning config starts from


def tool(name, *arguments, log=None):
    """Runs a tool, its output on the screen and in the file `log`; ends with its status if it fails."""
    command = [sys.executable, str(TOOLS / f"{name}.py"), *map(str, arguments)]
    print(f"\n== {name}", flush=True)
    lines = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        for line in process.stdout:
            lines.append(line)
            print(line, end="", flush=True)
    if process.returncode:
        sys.exit(f"error: {name} ended with status {process.returncode}")
    if log:
        log.write_text("".join(lines))
    return "".join(lines)


def trained_file(name):
    """Path of a file of the training run; PaddleClas before 2.6 puts a folder between."""
    return next(iter(sorted(OUTPUT.glob(f"**/{name}"))), None)


def main():
    """Runs the tools and says where the results are."""
    tool("prepare_digits", "--output", DATA)
    if not WEIGHTS.exists():
        tool("train", "-c", CONFIG)
        with whole_file(WEIGHTS) as part:
            shutil.copyfile(trained_file("best_model.pdparams"), part)
    weights = ("-o", f"Global.pretrained_model={WEIGHTS}")
    evaluation = tool("eval", "-c", CONFIG, *weights)
    tool("export_model", "-c", CONFIG, *weights)
    flags = ["--inference_model_dir", OUTPUT / "inference", "--infer_imgs", DATA / "test"]
    flags += ["--class_id_map_file", DATA / "label_list.txt", "--use_gpu", "False"]
    flags += ["--resize_short", 28, "--crop_size", 28, "--topk", 3]
    tool("predict", *flags, log=OUTPUT / "predict.log")
    logs = ["--train_log", trained_file("train.log"), "--predict_log", OUTPUT / "predict.log"]
    tool("report", *logs, "--list", DATA / "test_list.txt", "--images", DATA / "test", "--output", OUTPUT)

    top1 = re.findall(r"\[Avg\].*top1: ([\d.]+)", evaluation)[-1]
    print(f"\nTop-1 accuracy on the 360 test pictures: {float(top1):.2%}\n")
    for path, what in (
        (WEIGHTS, "trained weights"),
        (OUTPUT / "inference", "export, for tools/predict.py and the paddleclas command"),
        (OUTPUT / "curve.png", "training curve"),
        (OUTPUT / "predictions.png", "test pictures with predicted and true labels"),
        (OUTPUT / "predict.log", "all predictions"),
    ):
        print(f"  {path}: {what}")


if __name__ == "__main__":
    main()
