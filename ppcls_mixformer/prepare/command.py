"""The command `prepare`: looks at a user's pictures, and writes lists, a config and pictures of them."""

import argparse
import os
import shlex
import sys
import warnings
from pathlib import Path

from ppcls_mixformer.hosting import cli
from ppcls_mixformer.hosting.advice import did_you_mean, has_gpu
from ppcls_mixformer.hosting.errors import UserError
from ppcls_mixformer.hosting.whole import whole_folder
from ppcls_mixformer.prepare import inspection, recipe, review, sheet, writing
from ppcls_mixformer.prepare.found import counted, shown
from ppcls_mixformer.variants import VARIANTS

LEAST_SIZE = 28  # pixels, the smallest that the network was tried with


def parser():
    """The flags."""
    flags = argparse.ArgumentParser(description=__doc__)
    flags.add_argument(
        "folder", metavar="FOLDER", help="a folder for each class, train and val of such, or a CSV file"
    )
    flags.add_argument(
        "--output", required=True, metavar="FOLDER", help="a new folder for lists, config and charts"
    )
    flags.add_argument("--model", default="MixFormer_B2", help=f"{', '.join(VARIANTS)} (MixFormer_B2)")
    flags.add_argument("--val", type=float, help=f"share for validation, if there is none yet ({review.VAL})")
    flags.add_argument("--test", type=float, default=0.0, help="share for a test at the very end (0)")
    flags.add_argument("--seed", type=int, default=0, help="of the split and of the training (0)")
    flags.add_argument(
        "--multi-label", action="store_true", help="pictures of a CSV file have several labels"
    )
    flags.add_argument("--strict", action="store_true", help="refuse pictures that cannot be used")
    flags.add_argument("--size", type=int, help="side of the input in pixels, else the pictures suggest it")
    flags.add_argument("--batch", type=int, help="pictures a step, likewise")
    flags.add_argument("--epochs", type=int, help="likewise")
    flags.add_argument(
        "--pretrained", metavar="True|False|FILE", help="published weights, none, or those of a checkpoint"
    )
    flags.add_argument("--device", choices=("cpu", "gpu"), help="else gpu where there is one")
    return flags


def run(argv):
    """Prepares a data set.

    Raises:
        UserError: something about the pictures, the output or a flag that a user can fix; nothing is written.
    """
    flags = parser().parse_args(argv)
    check_flags(flags)
    output = Path(os.path.realpath(flags.output))
    writing.check_output(output, Path(os.path.realpath(flags.folder)))
    shares = {"val": review.VAL if flags.val is None else flags.val, "test": flags.test}
    output.parent.mkdir(parents=True, exist_ok=True)
    with whole_folder(output) as folder:  # which finds out now whether it can be written
        folder.mkdir()
        result = review.look(flags.folder, shares, flags.seed, flags.multi_label, flags.strict)
        device = flags.device or find_device()
        said = flags.size, flags.batch, flags.epochs, flags.pretrained
        choices = recipe.Choices(flags.model, device, flags.seed, *said)
        report = writing.write(result, choices, folder, output)
    for line in told(report, output):
        print(line)


def check_flags(flags):
    """Refuses values that nothing can be made of, and gives `pretrained` its type."""
    if flags.model not in VARIANTS:
        raise UserError(f"--model {flags.model} is no variant{did_you_mean(flags.model, VARIANTS)}")
    if flags.val is not None and not 0 < flags.val < 1:
        raise UserError(f"--val {flags.val}: it takes a share above 0 and below 1, such as {review.VAL}")
    if not 0 <= flags.test < 1 - (flags.val or review.VAL):
        raise UserError(f"--test {flags.test}: it takes a share from 0 on that leaves some for training")
    for name, least in (("size", LEAST_SIZE), ("batch", 2), ("epochs", 1), ("seed", 0)):
        value = getattr(flags, name)
        if value is not None and value < least:
            raise UserError(f"--{name} {value}: it takes a whole number from {least} on")
    given = flags.pretrained
    if given is not None:
        flags.pretrained = {"true": True, "false": False}.get(given.lower(), os.path.abspath(given))
    if isinstance(flags.pretrained, str) and not os.path.isfile(flags.pretrained):
        raise UserError(f"--pretrained: there is no file {given}; it takes True, False or a file")
    if flags.pretrained is True and not VARIANTS[flags.model].has_weights:
        others = ", ".join(name for name, variant in VARIANTS.items() if variant.has_weights)
        raise UserError(f"--pretrained: no weights are published for {flags.model}, but for {others}")


def find_device():
    """gpu where Paddle has one, else cpu."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of Paddle, that it cannot compile operators
            return "gpu" if has_gpu() else "cpu"
    except ModuleNotFoundError:
        return "cpu"
    finally:
        cli.take_signals_back()


def told(report, output):
    """Lines for the user, the last of which is the next command."""
    classes, pictures = report["classes"], report["pictures"]
    number = f"{len(classes):,} class{'es' * (len(classes) != 1)}"
    yield f"{report['source']}: {report['form']}, {number}"
    for kind, items in report["left_out"].items():
        names = shown(f"{item['picture']} ({item['reason']})" for item in items)
        yield f"left out, {review.LEFT_OUT[kind]}: {counted(items, 'picture')}: {names}"
    for kind, names in report["odd"].items():
        yield f"{kind}, {inspection.ODD[kind]}: {counted(names, 'picture')}: {shown(names)}"
    yield from report["notes"]
    words = [f"{number:,} for {sheet.WORDS[name]}" for name, number in pictures.items()]
    yield f"{', '.join(words)} (seed {report['seed']}); {report['training_lines']:,} lines for training"
    yield f"look at {output / 'samples.jpg'} and {output / 'chart.png'}; {output / writing.DATA} lists all"
    config = output / report["config"]
    if Path.cwd() in config.parents:
        config = config.relative_to(Path.cwd())
    best = f"output/{output.name}/{report['model']}/best_model" if "test" in pictures else None
    yield from _next_commands(str(config), output, best)


def _next_commands(config, output, best):
    """The commands for training, and where `best` is a checkpoint, for a test of it."""
    tool = Path(sys.argv[0])  # as it was typed, from whichever folder
    is_tool = tool.name == "prepare_data.py"
    train, evaluate = (
        f"python {shlex.quote(str(tool.with_stem(name)))}" if is_tool else f"python -m ppcls_mixformer {name}"
        for name in ("train", "eval")
    )
    if best:
        settings = (
            f"DataLoader.Eval.dataset.cls_label_path={output / 'test_list.txt'}",
            f"Global.pretrained_model={best}",
        )
        words = f"{evaluate} -c {shlex.quote(config)} -o {' -o '.join(map(shlex.quote, settings))}"
        yield f"at the very end, on the pictures for testing: {words}"
    yield f"next: {train} -c {shlex.quote(config)}"
