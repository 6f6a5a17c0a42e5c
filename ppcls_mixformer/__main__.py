"""`python -m ppcls_mixformer` says what is in use; `fetch` puts PaddleClas's trainer in the cache."""

import argparse
import platform
import sys

import paddle

from ppcls_mixformer import VARIANTS, __version__, weights
from ppcls_mixformer.paddleclas import source
from ppcls_mixformer.paddleclas.errors import HostError


def show():
    """Prints the versions in use and the variants with their published numbers."""
    try:
        trainer = source.describe(source.locate())
    except HostError as error:
        trainer = str(error)
    device = "GPU" if paddle.is_compiled_with_cuda() else "CPU"
    print(f"ppcls_mixformer {__version__}, Python {platform.python_version()}")
    print(f"paddlepaddle {paddle.__version__} for {device}")
    print(f"{trainer}\n")
    print(f"{'':14}{'params M':>10}{'GFLOPs':>8}{'top-1 %':>9}  weights")
    for name, variant in VARIANTS.items():
        published = "published" if variant.has_weights else "none"
        print(f"{name:14}{variant.params:10}{variant.gflops:8}{variant.top1:9}  {published}")
    print(
        "\nThe authors' numbers, at 224x224 on ImageNet-1k; top-1 was not reproduced here.\n"
        f"MixFormer_B2(pretrained=True) downloads published weights to {weights.CACHE}."
    )


def fetch(release, git):
    """Puts the tree of the package index, or `release` from the address `git`, into the cache."""
    cached = source.cached_tree()
    before = source.describe(cached) if source.is_full_tree(cached) else None
    root = source.clone(release, git) if release else source.fetch_from_pypi()
    tree = source.describe(root)
    print(f"already there: {tree}; delete that folder to fetch it again" if tree == before else tree)
    used = source.locate()
    if used != root:
        print(f"not in use: PADDLECLAS_HOME and an importable ppcls go first, {source.describe(used)}")


def main():
    parser = argparse.ArgumentParser(prog="python -m ppcls_mixformer", description=__doc__)
    commands = parser.add_subparsers(dest="command")
    command = commands.add_parser("fetch", help="fetch PaddleClas's trainer into the cache")
    command.add_argument("--release", help=f"clone this one instead: {', '.join(source.RELEASES)}")
    command.add_argument("--git", help=f"address to clone from, {source.GIT_URL} unless given")
    arguments = parser.parse_args()
    if arguments.command is None:
        show()
        return
    if arguments.git and not arguments.release:
        command.error("--git needs --release")
    try:
        fetch(arguments.release, arguments.git or source.GIT_URL)
    except HostError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit("error: interrupted; the cache is unchanged")


if __name__ == "__main__":
    main()
