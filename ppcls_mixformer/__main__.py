"""`python -m ppcls_mixformer` says what is in use; `fetch` puts a host's trainer in the cache."""

import argparse
import platform
import sys

import paddle

from ppcls_mixformer import VARIANTS, __version__
from ppcls_mixformer.hosting import source
from ppcls_mixformer.hosting.errors import HostError
from ppcls_mixformer.weights import checkpoint


def show():
    """Prints the versions in use and the variants with their published numbers."""
    device = "GPU" if paddle.is_compiled_with_cuda() else "CPU"
    print(f"ppcls_mixformer {__version__}, Python {platform.python_version()}")
    print(f"paddlepaddle {paddle.__version__} for {device}")
    for host in source.HOSTS.values():
        try:
            print(source.describe(host, source.locate(host)))
        except HostError as error:
            print(error)
    print()
    print(f"{'':14}{'params M':>10}{'GFLOPs':>8}{'top-1 %':>9}  weights")
    for name, variant in VARIANTS.items():
        published = "published" if variant.has_weights else "none"
        print(f"{name:14}{variant.params:10}{variant.gflops:8}{variant.top1:9}  {published}")
    print(
        "\nThe authors' numbers, at 224x224 on ImageNet-1k; top-1 was not reproduced here.\n"
        f"MixFormer_B2(pretrained=True) downloads published weights to {checkpoint.CACHE}."
    )


def fetch(host, release, git):
    """Puts the tree of the package index, or `release` from the address `git`, into the cache."""
    cached = source.cached_tree(host)
    before = source.describe(host, cached) if source.is_full_tree(host, cached) else None
    root = source.clone(host, release, git) if release else source.fetch_from_pypi(host)
    tree = source.describe(host, root)
    print(f"already there: {tree}; delete that folder to fetch it again" if tree == before else tree)
    used = source.locate(host)
    if used != root:
        print(
            f"not in use: {host.home} and an importable {host.package} go first, "
            f"{source.describe(host, used)}"
        )


def main():
    parser = argparse.ArgumentParser(prog="python -m ppcls_mixformer", description=__doc__)
    commands = parser.add_subparsers(dest="command")
    command = commands.add_parser("fetch", help="fetch a host's trainer into the cache")
    command.add_argument(
        "host", nargs="*", metavar="host", help=f"{', '.join(source.HOSTS)} (the default: the first)"
    )
    command.add_argument("--release", help="clone this one instead: release/2.6, develop, …")
    command.add_argument("--git", help="address to clone from, instead of GitHub's")
    arguments = parser.parse_args()
    if arguments.command is None:
        show()
        return
    if arguments.git and not arguments.release:
        command.error("--git needs --release")
    names = arguments.host or ["paddleclas"]
    for name in names:
        if name not in source.HOSTS:
            command.error(f"{name} is not a host; they are {', '.join(source.HOSTS)}")
    if arguments.release and len(names) > 1:
        command.error("--release needs one host")
    try:
        for host in map(source.HOSTS.get, names):
            fetch(host, arguments.release, arguments.git or host.git_url)
    except HostError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit("error: interrupted; the cache is unchanged")


if __name__ == "__main__":
    main()
