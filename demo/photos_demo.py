"""Photographs told apart: crops as a folder for each photograph, and a user's own commands on them.

The crops for validation are of parts of the photographs that training has not seen. A training whose result
is there is not done again; delete the output folder to start over.
"""

import argparse
from pathlib import Path

from ppcls_mixformer.hosting import cli

from . import tour

TOUR = tour.Tour("photos", Path("dataset/photographs"), epochs=8)


def main(argv=None):
    """Runs the commands and says where the results are."""
    argparse.ArgumentParser(description=__doc__).parse_args(argv)
    tour.require("matplotlib", "skimage", "sklearn")
    tour.step("photographs", "--output", TOUR.pictures)
    TOUR.prepare()
    TOUR.train()
    TOUR.understand()
    TOUR.results()


if __name__ == "__main__":
    cli.run(main)
