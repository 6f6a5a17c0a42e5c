"""The command `check`: looks at annotations as the dense hosts do before a training, and draws them."""

import argparse
import json
import os
import shlex
import statistics
import sys
from pathlib import Path

import yaml

from ppcls_mixformer.hosting import configs, drawn, source
from ppcls_mixformer.hosting.charts import half_octaves
from ppcls_mixformer.hosting.errors import UserError
from ppcls_mixformer.hosting.whole import whole_set
from ppcls_mixformer.paddledet import HOST

REPORT, SHEET, CHART = "check.json", "samples.jpg", "chart.png"
COMMAND = "check"  # in REPORT, by which it is known as one
# Keys at the top of a config by which it is known.
KEYS = {
    "detection": {"_BASE_", "architecture", "metric", "TrainReader", "TrainDataset", "EvalDataset"},
    "segmentation": {"_base_", "model", "train_dataset", "val_dataset"},
}
TASKS = ("detection", "instances", "keypoints", "lvis")


def parser():
    """The flags."""
    flags = argparse.ArgumentParser(description=__doc__)
    flags.add_argument(
        "files", nargs="*", metavar="FILE.json", help="annotations of COCO or LVIS, those of training first"
    )
    flags.add_argument(
        "-c", "--config", help="or a config of PaddleDetection or PaddleSeg, whose data are looked at"
    )
    flags.add_argument(
        "-o",
        "--opt",
        "--opts",
        nargs="*",
        action="extend",
        default=[],
        metavar="key=value",
        help="replaces values of the config",
    )
    flags.add_argument(
        "--images", nargs="+", metavar="FOLDER", help="of the pictures, one for all files or one for each"
    )
    flags.add_argument("--task", choices=TASKS, help="what the files are for, else they suggest it")
    flags.add_argument(
        "--output", metavar="FOLDER", help=f"where {SHEET}, {CHART} and {REPORT} go; else none are written"
    )
    return flags


def run(argv):
    """Checks annotations, and draws them.

    Raises:
        UserError: a training would be refused; the output is written first.
    """
    flags = parser().parse_args(argv)
    check_flags(flags)
    if flags.output:
        check_output(Path(os.path.realpath(flags.output)), flags.files)
    with source.requirements(HOST):
        found = find(flags)
    if flags.output:
        write(found, Path(os.path.realpath(flags.output)))
    for line in told(found, flags.output):
        print(line, flush=True)
    for text in found.refused[:-1]:
        print(f"error: {text}", file=sys.stderr, flush=True)
    if found.refused:
        raise UserError(found.refused[-1])
    if not found.splits:
        raise UserError("there is nothing here that can be checked, see the warnings")


def check_flags(flags):
    """Refuses flags that do not belong together, and names of files that are none."""
    if bool(flags.files) == bool(flags.config):
        raise UserError("name files of annotations, FILE.json …, or a config, -c CONFIG")
    if flags.config and (flags.images or flags.task):
        raise UserError("--images and --task are for files; a config says this itself, see -o key=value")
    if flags.files and flags.opt:
        raise UserError("-o replaces values of a config: name one, -c CONFIG")
    for path in flags.files:
        if Path(path).is_dir():
            raise UserError(f"{path} is a folder: name the files of annotations in it, FILE.json …")
        if not Path(path).is_file():
            raise UserError(f"there is no file {path}")
    for folder in flags.images or ():
        if not Path(folder).is_dir():
            raise UserError(f"--images: there is no folder {folder}")
    if flags.images and len(flags.images) not in (1, len(flags.files)):
        number = len(flags.files)
        raise UserError(f"--images takes one folder, or one for each of {number} files: {len(flags.images)}")


def check_output(output, files):
    """Refuses a folder in which files would be replaced that this command has not written."""
    if output.exists() and not output.is_dir():
        raise UserError(f"--output {output} is no folder")
    names = [name for name in (REPORT, SHEET, CHART) if (output / name).exists()]
    inputs = {os.path.realpath(path) for path in files}
    if names and (not _is_ours(output / REPORT) or str(output / REPORT) in inputs):
        raise UserError(
            f"--output {output} holds {names[0]}, which this command has not written: name another folder"
        )


def _is_ours(path):
    try:
        return json.loads(path.read_text(encoding="utf-8"))["command"] == COMMAND
    except (OSError, ValueError, LookupError, TypeError):
        return False


def find(flags):
    """The `Found` that the flags ask for."""
    if not flags.config:
        from ppcls_mixformer.check import detection

        return detection.of_files(flags.files, flags.images or [], flags.task)
    path = configs.find(flags.config)
    if kind_of(path) == "detection":
        from ppcls_mixformer.check import detection

        return detection.of_config(path, flags.opt)
    from ppcls_mixformer.check import segmentation

    return segmentation.of_config(path, flags.opt)


def kind_of(path):
    """Which of KEYS the config at `path` is of.

    Raises:
        UserError: it is of neither.
    """
    with configs.valid_yaml(path):
        node = yaml.compose(Path(path).read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
    keys = {key.value for key, _ in node.value} if isinstance(node, yaml.MappingNode) else set()
    if "Arch" in keys:
        raise UserError(f"{path} is a config of classification: `prepare` looks at the pictures of that")
    kinds = [kind for kind, known in KEYS.items() if known & keys]
    if not kinds:
        raise UserError(f"{path} is a config of neither PaddleDetection nor PaddleSeg")
    return kinds[0]


def write(found, output):
    """Writes the sheet, the chart and the report into a folder; those of an earlier run go."""
    from ppcls_mixformer.check import sheet

    with whole_set(output, asked=[SHEET, CHART]) as part:
        if found.splits:
            drawn.save(sheet.draw_sheet(found), part(output / SHEET), quality=90)
            drawn.save(sheet.draw_chart(found), part(output / CHART))
        part(output / REPORT).write_text(json.dumps(report(found), indent=1), encoding="utf-8")


def report(found):
    """What REPORT says."""
    from ppcls_mixformer.check.sheet import sides

    return {
        "command": COMMAND,
        "task": found.task,
        "refused": found.refused,
        "splits": [
            {
                **part.record,
                "picture_sizes": _spread(sides(part.sizes)),
                **({} if part.boxes is None else {"box_sizes": _spread(sides(part.boxes))}),
            }
            for part in found.splits
        ],
    }


def _spread(lengths):
    """Least, median and most of some lengths in pixels, and their histogram by half octaves."""
    if not lengths:
        return {}
    return {
        "least": round(min(lengths), 2),
        "median": round(statistics.median(lengths), 2),
        "most": round(max(lengths), 2),
        "histogram": [
            {"from": round(2 ** (number / 2), 2), "to": round(2 ** ((number + 1) / 2), 2), "count": count}
            for number, count in half_octaves(lengths).items()
        ],
    }


def told(found, output):
    """Lines for the user."""
    yield f"task: {found.task}"
    for part in found.splits:
        entries, used = part.record.get("entries"), part.record["used"]
        if not entries:
            yield f"{part.name}: {part.words}"
            continue
        annotations = f"{used['objects'] + used['crowds']:,} of {entries['annotations']:,} annotations"
        turned = f", {used['images_turned_by_exif']:,} turned as their EXIF says"
        turned = turned if used["images_turned_by_exif"] else ""
        yield f"{part.name}: {used['images']:,} of {entries['images']:,} images{turned}, {annotations}"
    if found.needed:
        yield f"a config for this has {', '.join(found.needed)}"
    if found.places:
        yield f"a training on them takes -o {' '.join(map(shlex.quote, found.places))}"
    if output:
        pictures = f"look at {Path(output) / SHEET} and {Path(output) / CHART}; " if found.splits else ""
        yield f"{pictures}{Path(output) / REPORT} has the counts"
