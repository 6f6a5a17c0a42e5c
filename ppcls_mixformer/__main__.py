"""`python -m ppcls_mixformer` says what is in use; `fetch` puts PaddleClas's trainer in the cache."""

import argparse
import sys

import paddle

from ppcls_mixformer import VARIANTS, __version__
from ppcls_mixformer.paddleclas import source
from ppcls_mixformer.paddleclas.errors import HostError


def show():
    """Prints the versions in use and the variants with their published numbers."""
    try:
        trainer = source.describe(source.locate())
    except HostError as error:
        trainer = str(error)
    print(f"ppcls_mixformer {__version__}, paddlepaddle {paddle.__version__}\nPaddleClas: {trainer}\n")
    print(f"{'':14}params M  GFLOPs  top-1 %  weights   (published; top-1 not reproduced)")
    for name, variant in VARIANTS.items():
        weights = "published" if variant.has_weights else "none"
        print(f"{name:14}{variant.params:8}{variant.gflops:8}{variant.top1:9}  {weights}")


def main():
    parser = argparse.ArgumentParser(prog="python -m ppcls_mixformer", description=__doc__)
    commands = parser.add_subparsers(dest="command")
    fetch = commands.add_parser("fetch", help="fetch PaddleClas's trainer into the cache")
    fetch.add_argument("--release", help=f"clone this one instead: {', '.join(source.RELEASES)}")
    fetch.add_argument("--git", default=source.GIT_URL, help="address to clone from")
    arguments = parser.parse_args()
    if arguments.command is None:
        show()
        return
    try:
        if arguments.release:
            root = source.clone(arguments.release, arguments.git)
        else:
            root = source.fetch_from_pypi()
    except HostError as error:
        sys.exit(f"error: {error}")
    print(source.describe(root))


if __name__ == "__main__":
    main()
