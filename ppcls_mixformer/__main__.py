"""The command line: `python -m ppcls_mixformer VERB …`, or `ppcls-mixformer VERB …`.

    train, eval, infer, export, predict     classification, with PaddleClas's flags
    prepare FOLDER --output FOLDER          looks at one's own pictures; writes lists and a config for train
    check FILE.json, or check -c CONFIG     looks at annotations and class maps as det and seg do before a run
    explain, report                         what a network looks at, and what it gets wrong, as pictures
    benchmark FOLDER [FOLDER …]             speed, memory and accuracy of exports on this machine
    selftest                                whether the network is right and how fast it is on this machine
    det train, eval, infer, export          detection and keypoints, with PaddleDetection's flags
    seg train, eval, predict, export        segmentation, with PaddleSeg's flags
    fetch [HOST …]                          puts the trainer of a host into the cache
    quickstart                              from digits in folders to a report and an export, in this folder
    weights [verify, import]                lists published checkpoints, checks them, takes one from a file
    convert FILE [FILE]                     writes a .pdparams checkpoint as .safetensors, or back
    paddlex --pipeline FILE …               PaddleX's own command line, which knows these exports then
    serve FOLDER                            an export as an HTTP service, with PaddleX

Without a verb it says what is in use. `VERB --help` lists the flags.
"""

import argparse
import importlib
import platform
import runpy
import sys

from ppcls_mixformer import __version__, paddleclas, paddledet, paddleseg
from ppcls_mixformer.hosting import cli, configs, fetch, source
from ppcls_mixformer.hosting.advice import did_you_mean
from ppcls_mixformer.hosting.errors import UserError
from ppcls_mixformer.variants import VARIANTS
from ppcls_mixformer.weights import download

HOSTS = {host.key: host for host in (paddleclas.HOST, paddledet.HOST, paddleseg.HOST)}


def show(argv):
    """Prints the versions in use and the variants with their published numbers."""
    print(f"ppcls_mixformer {__version__}, Python {platform.python_version()}")
    print(describe_paddle())
    for host in HOSTS.values():
        try:
            print(source.describe(host, source.locate(host)))
        except UserError as error:
            print(error)
    print()
    print(f"{'':14}{'params M':>10}{'GFLOPs':>8}{'top-1 %':>9}  weights")
    for name, variant in VARIANTS.items():
        weights = "published" if variant.has_weights else "none"
        print(f"{name:14}{variant.params:10}{variant.gflops:8}{variant.top1:9}  {weights}")
    print(
        "\nThe authors' numbers, at 224x224 on ImageNet-1k; top-1 was not reproduced here.\n"
        f"MixFormer_B2(pretrained=True) downloads published weights to {download.CACHE}."
    )


def describe_paddle():
    """One line on the Paddle in use, or that there is none."""
    try:
        import paddle
    except ModuleNotFoundError as error:
        if error.name != "paddle":
            raise
        return "paddlepaddle is not installed; exported ONNX files are read without it"
    return f"paddlepaddle {paddle.__version__} for {'GPU' if paddle.is_compiled_with_cuda() else 'CPU'}"


def fetch_hosts(argv):
    """Puts hosts' trainers into the cache, from the package index or a clone."""
    parser = argparse.ArgumentParser(description=fetch_hosts.__doc__)
    parser.add_argument("host", nargs="*", help=f"{', '.join(HOSTS)} (the default: the first)")
    parser.add_argument("--release", help="clone this one instead: release/2.6, develop, …")
    parser.add_argument("--git", help="address to clone from, instead of GitHub's")
    flags = parser.parse_args(argv)
    if flags.git and not flags.release:
        parser.error("--git needs --release")
    names = flags.host or ["paddleclas"]
    for name in names:
        if name not in HOSTS:
            parser.error(f"{name} is not a host; they are {', '.join(HOSTS)}")
    if flags.release and len(names) > 1:
        parser.error("--release needs one host")
    try:
        for host in map(HOSTS.get, names):
            fetch_host(host, flags.release, flags.git or host.git_url)
    except KeyboardInterrupt:
        raise UserError("interrupted; the cache is unchanged") from None


def fetch_host(host, release, git):
    """Puts the tree of the package index, or `release` from the address `git`, into the cache."""
    cached = source.cached_tree(host)
    before = source.describe(host, cached) if source.is_full_tree(host, cached) else None
    root = fetch.clone(host, release, git) if release else fetch.fetch_from_pypi(host)
    tree = source.describe(host, root)
    print(f"already there: {tree}; delete that folder to fetch it again" if tree == before else tree)
    used = source.locate(host)
    if used != root:
        print(
            f"not in use: {host.home} and an importable {host.package} go first, "
            f"{source.describe(host, used)}"
        )
    if host.command:
        fetch.install_command(host)


def quickstart(argv):
    """Prepares, trains on, reports and exports handwritten digits; writes to `dataset` and `output` here."""
    argparse.ArgumentParser(description=quickstart.__doc__).parse_args(argv)
    fetch_hosts([])
    checkout = configs.folder().parent
    if checkout != configs.PACKAGE:
        sys.path.insert(0, str(checkout))
    demo = "demo" if checkout != configs.PACKAGE else "ppcls_mixformer.demo"
    runpy.run_module(f"{demo}.quick_start", run_name="__main__")


def later(place):
    """The command at `module:function` of this package, which is imported once the command is called."""
    module, _, function = place.partition(":")

    def command(argv):
        return getattr(importlib.import_module(f"ppcls_mixformer.{module}"), function)(argv)

    return command


COMMANDS = {
    "train": later("paddleclas.commands:train"),
    "eval": later("paddleclas.commands:evaluate"),
    "infer": later("paddleclas.commands:infer"),
    "export": later("paddleclas.commands:export"),
    "explain": later("paddleclas.commands:explain"),
    "report": later("paddleclas.commands:report"),
    "predict": later("paddleclas.commands:predict"),
    "prepare": later("prepare.command:run"),
    "check": later("check.command:run"),
    "benchmark": later("benchmark.command:run"),
    "selftest": later("selftest.command:run"),
    "det train": later("paddledet.commands:train"),
    "det eval": later("paddledet.commands:evaluate"),
    "det infer": later("paddledet.commands:infer"),
    "det export": later("paddledet.commands:export"),
    "seg train": later("paddleseg.commands:train"),
    "seg eval": later("paddleseg.commands:evaluate"),
    "seg predict": later("paddleseg.commands:predict"),
    "seg export": later("paddleseg.commands:export"),
    "fetch": fetch_hosts,
    "quickstart": quickstart,
    "weights": later("published:run_command"),
    "convert": later("convert:run_command"),
    "paddlex": later("paddlex.commands:run"),
    "serve": later("paddlex.serving:run"),
}
GROUPS = ("det", "seg")  # whose commands are two words


def parse(argv):
    """The verb and the command of a command line, and the flags behind it."""
    if not argv:
        return "", show, []
    if {"-h", "--help"} & {argv[0], *(argv[1:2] if argv[0] in GROUPS else ())}:
        return "", lambda argv: print(__doc__), []
    verb, flags = (" ".join(argv[:2]), argv[2:]) if argv[0] in GROUPS else (argv[0], argv[1:])
    group = [name for name in COMMANDS if name.split()[0] == argv[0]] if argv[0] in GROUPS else COMMANDS
    if verb not in COMMANDS:
        raise UserError(f"there is no command {verb!r}{did_you_mean(verb, group)}")
    return verb, COMMANDS[verb], flags


def main():
    """Runs the command that this process's arguments name."""

    def run(argv):
        verb, command, flags = parse(argv)
        sys.argv = [f"python -m ppcls_mixformer {verb}", *flags]  # what argparse and hosts show
        command(flags)

    cli.run(run)


if __name__ == "__main__":
    main()
