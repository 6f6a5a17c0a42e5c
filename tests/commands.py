"""The project's tools as a user runs them: each in a process of its own, in the project's root."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from ppcls_mixformer.hosting import onnx
from ppcls_mixformer.hosting.errors import UserError
from ppcls_mixformer.paddleclas import register


def can_convert():
    """Whether the paddle2onnx that this Paddle needs is installed; there is none for Python 3.13."""
    try:
        onnx.require("--onnx")
    except UserError:
        return False
    return True


ROOT = Path(__file__).parent.parent
HAS_ONNX = can_convert()
CONFIG = "tests/configs/MixFormer_B0_digits.yaml"


def run(*command, check=True, **environment):
    """Runs a command in the project's root; returns its output, stdout and stderr together."""
    result = subprocess.run(
        [str(part) for part in command],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=900,
    )
    assert not check or result.returncode == 0, result.stdout[-3000:]
    return result.stdout


def script(name, *arguments, **options):
    """Runs `tests/scripts/NAME.py`."""
    return run(sys.executable, f"tests/scripts/{name}.py", *arguments, **options)


def tool(name, *overrides, check=True, config=CONFIG, launcher=(sys.executable,), flags=()):
    """Runs `tools/NAME.py -c CONFIG -o OVERRIDE …`."""
    options = [part for override in overrides for part in ("-o", override)]
    return run(*launcher, f"tools/{name}.py", "-c", config, *options, *flags, check=check)


def overrides(digits, output, epochs=2):
    """Overrides that point CONFIG to the few pictures in `digits`."""
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


def checked(mode, *overrides, config=CONFIG, flags=()):
    """PaddleClas's config for a mode, read and checked in this process."""
    register()
    from ppcls_mixformer.paddleclas.config import settings

    options = [part for override in overrides for part in ("-o", override)]
    return settings(["-c", str(config), *options, *flags], mode).config


def losses(log):
    """Loss of every training step that a log shows, in order."""
    return [float(loss) for loss in re.findall(r"\[Train\].*\[Iter: .* loss: ([\d.]+)", log)]


def error_line(log):
    """The one `error: …` line of a log, which holds no traceback."""
    errors = [line for line in log.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1 and "Traceback" not in log, log[-3000:]
    return errors[0]


def refusal(function, *args, **kwargs):
    """What the call of a function is refused with: a UserError of one line, as it is written.

    Shown by `str`, any text would be one.
    """
    with pytest.raises(UserError) as error:
        function(*args, **kwargs)
    assert not any("\n" in text for text in error.value.args)
    return str(error.value)


def retrieval(digits, folder, stop_layer):
    """Path of a RecModel config: MixFormer, a linear neck, ArcFace, recall on query and gallery."""
    config = yaml.safe_load((ROOT / CONFIG).read_text())
    config["Global"].update(eval_mode="retrieval", epochs=1, output_dir=str(folder), save_interval=1)
    config["Global"].update(print_batch_step=1, save_inference_dir=str(folder / "inference"))
    config["Arch"] = {
        "name": "RecModel",
        "infer_output_key": "features",
        "infer_add_softmax": False,
        "Backbone": {"name": "MixFormer_B0", "pretrained": False},
        "BackboneStopLayer": {"name": stop_layer},
        "Neck": {"name": "FC", "embedding_size": 1280, "class_num": 64},
        "Head": {"name": "ArcMargin", "embedding_size": 64, "class_num": 10, "margin": 0.15, "scale": 30},
    }
    split = config["DataLoader"]["Train"]["dataset"]
    split.update(image_root=str(digits), cls_label_path=f"{digits}/train_list.txt")
    split = config["DataLoader"]["Eval"]
    split["dataset"].update(image_root=str(digits), cls_label_path=f"{digits}/test_list.txt")
    config["DataLoader"]["Eval"] = {"Query": split, "Gallery": split}
    config["Metric"] = {"Eval": [{"Recallk": {"topk": [1, 5]}}]}
    path = folder / "retrieval.yaml"
    path.write_text(yaml.safe_dump(config))
    return path
