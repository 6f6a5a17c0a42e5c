"""From a folder of pictures to a model that is understood: the commands that a user types, shown and run."""

import contextlib
import csv
import importlib.util
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from ppcls_mixformer.hosting.children import environment
from ppcls_mixformer.hosting.whole import whole_file
from ppcls_mixformer.prepare.writing import DATA
from ppcls_mixformer.weights.checkpoint import read_file

MODEL = "MixFormer_B0"
PATIENCE = 5  # seconds in which a command that was interrupted ends by itself


def require(*modules):
    """Ends the demo where one of the modules that it needs is not installed."""
    missing = [name for name in modules if importlib.util.find_spec(name) is None]
    if missing:
        sys.exit(f"error: {' and '.join(missing)} missing: install ppcls_mixformer with its extra demo")


def command(verb, *arguments, log=None):
    """Runs `python -m ppcls_mixformer VERB …`, as `_run` does; a verb may be of two words."""
    return _run("ppcls_mixformer", *verb.split(), *arguments, log=log)


def step(name, *arguments):
    """Runs another module of the demo."""
    _run(f"{__package__}.{name}", *arguments)


def _run(module, *arguments, log=None):
    """Runs a module; returns its output, which is on the screen and in the file `log`, too.

    Ends the demo with an error where the module ends with one.
    """
    arguments = list(map(str, arguments))
    print(f"\n== python -m {module} {shlex.join(arguments)}", flush=True)
    lines = []
    with subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        try:
            for line in process.stdout:
                lines.append(line)
                print(line, end="", flush=True)
        except KeyboardInterrupt:  # which Ctrl-C is for both, and SIGTERM for this process alone
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(PATIENCE)
            process.terminate()
            process.wait()
            raise
    if process.returncode:
        sys.exit(f"error: python -m {module} {arguments[0]} ended with status {process.returncode}")
    if log:
        log.write_text("".join(lines))
    return "".join(lines)


class Tour(NamedTuple):
    """A model of pictures in a folder for each class.

    Attributes:
        name: of the data set and of the folders in `dataset` and `output`, as of those that `prepare` writes.
        pictures: the folder of the pictures.
        epochs: of training.
    """

    name: str
    pictures: Path
    epochs: int

    @property
    def data(self):
        return Path("dataset", self.name)

    @property
    def output(self):
        return Path("output", self.name)

    @property
    def config(self):
        return self.data / f"{MODEL}_{self.name}.yaml"

    @property
    def weights(self):
        """The best checkpoint of a finished training, where every release of PaddleClas has it."""
        return self.output / f"{MODEL}_{self.name}.pdparams"

    def of_model(self, verb, *flags):
        """Runs a command on the trained model."""
        override = f"Global.pretrained_model={self.weights.with_suffix('')}"
        return command(verb, "-c", self.config, "-o", override, *flags)

    def prepare(self, *flags):
        """Looks at the pictures; writes lists and the config.

        Ends the demo where the folder for them is of something else, such as an earlier version of it.
        """
        if any(self.data.glob("*")) and not (self.data / DATA).exists():
            folders = shlex.join(str(place) for place in (self.data, self.output) if place.exists())
            sys.exit(
                f"error: {self.data} is not of this version of the demo, which writes a config there: "
                f"delete or rename what an earlier one has left (rm -r {folders})"
            )
        own = ["--model", MODEL, "--epochs", self.epochs, "--device", "cpu", "--output", self.data]
        command("prepare", self.pictures, *flags, *own)

    def train(self):
        """Trains until there are weights, and goes on where an earlier run was stopped."""
        if self.weights.exists():
            return
        latest = self._trained_file("latest.pdparams")
        if latest is None:
            command("train", "-c", self.config)
        elif read_file(f"{latest.with_suffix('')}.pdstates")["epoch"] < self.epochs:
            override = f"Global.checkpoints={latest.with_suffix('')}"
            command("train", "-c", self.config, "-o", override)
        with whole_file(self.weights) as part:
            shutil.copyfile(self._trained_file("best_model.pdparams"), part)

    def _trained_file(self, name):
        """Path of a file of the training run; PaddleClas before 2.6 puts a folder between."""
        return next(iter(sorted(self.output.glob(f"**/{name}"))), None)

    def understand(self):
        """Writes the report, and what the network looked at in the picture of its worst mistake."""
        report = self.output / "report"
        self.of_model("report", "--output", report)
        picture, classes = worst_mistake(report)
        self.of_model("explain", "--image", picture, *classes, "--output", self.output / "explained")

    def results(self, *more):
        """Prints where the results are, `more` as `(path, what it is)` among them, and last the page."""
        print()
        for path, what in (
            (self.data / "samples.jpg", "pictures of each class"),
            (self.config, "config, with the reason for each choice"),
            (self.weights, "trained weights"),
            *more,
            (self.output / "explained", "the worst mistake, and what the network looked at"),
            (self.output / "report/report.html", "what it gets wrong, a page for a browser"),
        ):
            print(f"  {path}: {what}")


def worst_mistake(report):
    """The picture of which a network was most sure and wrong, and flags for the two classes that it confused.

    Without a mistake it is the right answer of which the network was least sure, and its class.

    Args:
        report: folder of a report.
    """
    with open(report / "predictions.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    wrong = [row for row in rows if row["is_right"] == "0"]
    chosen = max(wrong, key=_score) if wrong else min(rows, key=_score)
    names = dict.fromkeys([chosen["predicted_name"], chosen["true_name"]])
    return os.path.relpath(chosen["file_name"]), [part for name in names for part in ("--class", name)]


def _score(row):
    return float(row["score"])
