"""The quick start: digits as a folder for each class, and from there on the commands that a user types.

A training whose result is there is not done again; delete the output folder to start over.
"""

import argparse
import re
from pathlib import Path

from ppcls_mixformer.hosting import cli

from . import tour

TOUR = tour.Tour("digits", Path("dataset/handwritten"), epochs=7)


def main(argv=None):
    """Runs the commands and says where the results are."""
    argparse.ArgumentParser(description=__doc__).parse_args(argv)
    tour.require("matplotlib", "sklearn")
    tour.step("digits", "--output", TOUR.pictures)
    # As small as they are: at 64 pixels a side, or in more steps of fewer pictures, it takes longer.
    TOUR.prepare("--size", 28, "--batch", 48)
    TOUR.train()
    TOUR.understand()
    TOUR.of_model("export")
    export = TOUR.output / "inference"
    evaluation = tour.command("eval", "-c", TOUR.config, "--inference_dir", export)
    table = TOUR.output / "predictions.csv"
    flags = ["--inference_model_dir", export, "--infer_imgs", TOUR.pictures / "val"]
    tour.command("predict", *flags, "--save", table)

    top1 = re.findall(r"\[Avg\].*top1: ([\d.]+)", evaluation)[-1]
    print(f"\nTop-1 accuracy of the export on the 360 validation pictures: {float(top1):.2%}")
    TOUR.results(
        (export, "export: predict, Classifier and the paddleclas command read it"),
        (table, "all predictions of the export"),
    )


if __name__ == "__main__":
    cli.run(main)
