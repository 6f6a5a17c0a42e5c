"""The project's tools as a user runs them: each in a process of its own, in the project's root."""

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
CONFIG = "configs/quick_start/MixFormer_B0_digits.yaml"


def run(*command, check=True, **environment):
    """Runs a command in the project's root; returns its output, stdout and stderr together."""
    result = subprocess.run(
        [str(part) for part in command],
        cwd=ROOT,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=900,
    )
    assert not check or result.returncode == 0, result.stdout[-3000:]
    return result.stdout


def tool(name, *overrides, check=True, config=CONFIG, launcher=(sys.executable,), flags=()):
    """Runs `tools/NAME.py -c CONFIG -o OVERRIDE …`."""
    options = [part for override in overrides for part in ("-o", override)]
    return run(*launcher, f"tools/{name}.py", "-c", config, *options, *flags, check=check)


def overrides(digits, output, epochs=2):
    """Overrides that point the quick start to the few pictures in `digits`."""
    return [
        *(f"DataLoader.{s}.dataset.image_root={digits}" for s in ("Train", "Eval")),
        f"DataLoader.Train.dataset.cls_label_path={digits}/train_list.txt",
        f"DataLoader.Eval.dataset.cls_label_path={digits}/test_list.txt",
        f"Infer.PostProcess.class_id_map_file={digits}/label_list.txt",
        f"Global.output_dir={output}",
        f"Global.epochs={epochs}",
        "Global.save_interval=1",
        "Global.print_batch_step=1",
    ]


def checkpoint(output, prefix):
    """Path of a checkpoint in `output`; PaddleClas before 2.6 puts a folder between."""
    folder = output / "MixFormer_B0"
    return (folder if folder.is_dir() else output) / prefix


def losses(log):
    """Loss of every training step that a log shows, in order."""
    return [float(loss) for loss in re.findall(r"\[Train\].*\[Iter: .* loss: ([\d.]+)", log)]


def error_line(log):
    """The one `error: …` line of a log, which holds no traceback."""
    errors = [line for line in log.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1 and "Traceback" not in log, log[-3000:]
    return errors[0]
