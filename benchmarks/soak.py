"""Kills real training runs and exports at random moments, and says what they left: `make soak`.

A training run goes on from the `latest` that the one before left, which must be of one epoch. An export
replaces that of another checkpoint; programs that are there must have their own parameters beside them.
"""

import argparse
import collections
import hashlib
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path

from ppcls_mixformer import MixFormer_B0
from ppcls_mixformer.hosting.whole import PLAN, PREFIX, settle
from ppcls_mixformer.weights.checkpoint import read_file

ROOT = Path(__file__).parent.parent
MODEL, DATA = "MixFormer_B0", "digits"
SUFFIXES = ("pdparams", "pdopt", "pdstates")


def start(folder, tool, *settings):
    """A process that runs `tools/TOOL.py` on the config in `folder`, where its log goes, too."""
    options = [part for setting in settings for part in ("-o", setting)]
    command = [sys.executable, f"tools/{tool}.py", "-c", folder / DATA / f"{MODEL}_{DATA}.yaml", *options]
    with open(folder / f"{tool}.log", "w") as log:
        return subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=subprocess.STDOUT)


def wait_for(process, condition, log):
    """Waits until `condition()` holds; the process must live until then."""
    while not condition():
        if process.poll() is not None:
            sys.exit(f"error: the run ended by itself, see {log}:\n{log.read_text()[-2000:]}")
        time.sleep(0.001)


def kill(process):
    process.kill()
    process.wait()


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def cuts(folder):
    """How many sets in `folder` are whole and not in place, and how many are not whole."""
    found = list(folder.glob(f"{PREFIX}*"))
    ready = sum((path / PLAN).exists() for path in found)
    return {"cut while renaming": ready, "cut while writing": len(found) - ready}


# Training


def prepare(folder):
    """Digits, of which one batch for training and one for evaluation are listed: saving is most of a run."""
    pictures, data = folder / "pictures", folder / DATA
    flags = ["--model", MODEL, "--size", "28", "--batch", "8", "--epochs", "100000", "--device", "cpu"]
    for command in (
        ["tools/prepare_digits.py", "--output", pictures],
        ["tools/prepare_data.py", pictures, "--output", data, *flags],
    ):
        subprocess.run([sys.executable, *command], cwd=ROOT, check=True)
    for name in ("train_list.txt", "val_list.txt"):
        lines = (data / name).read_text().splitlines(keepends=True)
        (data / name).write_text("".join(lines[:: len(lines) // 8][:8]))


def training(folder, kills, chance):
    """Kills a training run and goes on, `kills` times; returns how often each outcome was seen."""
    output, outcomes = folder / "output", collections.Counter()
    settings = [f"Global.output_dir={output}", "Global.save_interval=1"]
    epoch, resume = 0, []
    for number in range(kills):
        process, started = start(folder, "train", *settings, *resume), time.time()

        def saved(started=started):
            return any(path.stat().st_mtime > started for path in output.rglob("latest.pdparams"))

        wait_for(process, saved, folder / "train.log")
        time.sleep(chance.uniform(0, 2))
        kill(process)
        latest = next(output.rglob("latest.pdparams")).with_suffix("")
        outcomes.update(cuts(latest.parent))
        settle(latest.parent)
        left, before = epoch_of(latest), epoch
        epoch = left or before
        outcomes["mixed" if left is None else "whole, newer" if left > before else "whole, as before"] += 1
        resume = [f"Global.checkpoints={latest}"]
        remove_older_epochs(latest.parent, epoch)
        progress("training", number + 1, kills, f"epoch {epoch}")
    return outcomes


def epoch_of(latest):
    """Epoch of the checkpoint `latest`, None if it is mixed; each epoch was saved as `epoch_N`, too."""
    epoch = read_file(f"{latest}.pdstates")["epoch"]
    scheduler = read_file(f"{latest}.pdopt")["LR_Scheduler"]
    same = all(
        digest(latest.with_suffix(f".{suffix}")) == digest(latest.with_name(f"epoch_{epoch}.{suffix}"))
        for suffix in SUFFIXES[:2]
    )
    return epoch if same and scheduler["last_epoch"] == epoch else None


def remove_older_epochs(folder, epoch):
    for path in folder.glob("epoch_*"):
        if int(path.stem.removeprefix("epoch_")) < epoch:
            path.unlink()


# Exports


def exports(folder, kills, chance):
    """Kills an export over another one, `kills` times; returns how often each outcome was seen."""
    target, files, outcomes = folder / "inference", [], collections.Counter()
    for number in range(2):
        files.append(folder / f"weights{number}.pdparams")
        save_network(files[-1], float(number))
    known, duration = [], 0
    for file in files:
        began = time.monotonic()
        if start(folder, "export_model", *export_settings(file, target)).wait():
            sys.exit(f"error: the export failed, see {folder / 'export_model.log'}")
        duration = time.monotonic() - began
        known.append(set_in(target))
    current = 1
    for number in range(kills):
        process = start(folder, "export_model", *export_settings(files[1 - current], target))
        if number % 2:  # anywhere
            time.sleep(chance.uniform(0, duration))
        else:  # while files are put in place, which takes a fiftieth of the time
            wait_for(process, lambda: any(target.glob(f"{PREFIX}*")), folder / "export_model.log")
            time.sleep(chance.uniform(0, 0.1))
        kill(process)
        outcomes.update(cuts(target))
        visible = set_in(target)
        if any(name.endswith((".json", ".pdmodel")) for name in visible):
            is_one = any(visible.items() <= files.items() for files in known)
        else:
            is_one = True
            outcomes["refused by readers before the next start"] += 1
        settle(target)
        left = set_in(target)
        outcome = "mixed" if not is_one or left not in known else "old" if left == known[current] else "new"
        outcomes[f"whole, {outcome}" if outcome != "mixed" else outcome] += 1
        current = known.index(left) if left in known else current
        progress("exports", number + 1, kills, outcome)
    return outcomes


def export_settings(weights, target):
    return [f"Global.pretrained_model={weights}", f"Global.save_inference_dir={target}"]


def save_network(path, bias):
    """Saves B0 for ten classes, whose scores are all `bias`."""
    import paddle

    model = MixFormer_B0(class_num=10)
    model.head.bias.set_value(paddle.full([10], bias))
    paddle.save(model.state_dict(), str(path))


def set_in(folder):
    """`{name: SHA-256}` of the files in `folder`."""
    return {path.name: digest(path) for path in folder.iterdir() if path.is_file()}


# Report


def progress(what, number, total, state):
    print(f"\r{what}: {number} of {total} killed, {state}      ", end="", flush=True)


def report(what, kills, outcomes):
    print(
        f"\r{what}, {kills} kills: "
        + ", ".join(f"{count} {name}" for name, count in outcomes.items() if count)
    )


def main():
    """Runs both and ends with status 1 if anything was mixed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=50, help="of each kind")
    parser.add_argument("--seed", type=int, default=0, help="of the random moments")
    parser.add_argument("--folder", type=Path, default=ROOT / "output/soak", help="to work in; is emptied")
    options = parser.parse_args()
    shutil.rmtree(options.folder, ignore_errors=True)
    options.folder.mkdir(parents=True)
    prepare(options.folder.resolve())
    mixed = 0
    for what, soak in (("training", training), ("exports", exports)):
        outcomes = soak(options.folder.resolve(), options.kills, random.Random(options.seed))
        report(what, options.kills, outcomes)
        mixed += outcomes["mixed"]
    sys.exit(1 if mixed else 0)


if __name__ == "__main__":
    main()
