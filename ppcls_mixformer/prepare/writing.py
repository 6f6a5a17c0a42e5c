"""Writes the lists, the config, the sheet of samples, the chart and `data.json` of a data set."""

import json
import os
import random
import statistics
from pathlib import Path

from ppcls_mixformer.hosting import drawn, written
from ppcls_mixformer.hosting.charts import ROWS
from ppcls_mixformer.hosting.errors import UserError
from ppcls_mixformer.prepare import listing, recipe, sheet, split
from ppcls_mixformer.prepare.found import counted, plain

DATA = "data.json"


def check_output(output, place):
    """Refuses an output in which there is anything that this command has not written, as it wrote it.

    Args:
        place: the folder or table of the pictures; both are absolute paths.

    Raises:
        UserError: names the file.
    """
    is_inside = place.is_dir() and place in output.parents
    if output == place or is_inside or output in place.parents:
        raise UserError(
            f"--output {output} is, holds or lies in the folder of the pictures, which stays as it is: "
            "name another folder"
        )
    if not listing.is_text(output):
        raise UserError(f"--output {output}: its name is no text in UTF-8: name another folder")
    if output.exists() and not output.is_dir():
        raise UserError(f"--output {output} is no folder")
    below = [Path(folder, name) for folder, _, names in os.walk(output) for name in names]
    written.check("--output", output, below, DATA)


def write(result, choices, folder, output):
    """Writes all files into `folder`, which will be `output`; returns what data.json says."""
    classes = result.classes
    titles = [
        plain(name) if plain(name) == str(number) else f"{number} {plain(name)}"
        for number, name in enumerate(classes)
    ]
    counts = {name: split.class_counts(classes, result.labels(name)) for name in result.splits}
    times = split.repeats(result.labels("train"))
    root, sample = _write_lists(result, times, folder, output)

    sizes = [result.looks[index].size for indices in result.splits.values() for index in indices]
    data = recipe.Data(
        name=output.name,
        root=root,
        folder=str(output),
        classes=classes,
        several=result.found.several,
        lines=sum(times),
        counts=counts["train"],
        repeated=sum(times) - len(times),
        short_side=round(statistics.median(min(size) for size in sizes)),
        sample=sample,
    )
    kinds = f"{counted(sizes, 'picture')} of {len(classes)} classes, {result.found.form}"
    text, side = recipe.write(data, choices, f"{choices.model} on {output.name}: {kinds}")
    config = f"{choices.model}_{output.name}.yaml"
    (folder / config).write_bytes(text.encode())

    rows = _rows(result, titles, counts["train"], choices.seed)
    drawn.save(sheet.draw_samples(rows, len(classes)), folder / "samples.jpg", quality=90)
    by_class = [{name: counts[name][number] for name in counts} for number in range(len(classes))]
    drawn.save(sheet.draw_chart(list(zip(titles, by_class)), sizes, side), folder / "chart.png")
    report = {**_report(result, choices, counts, sizes, times), "config": config, "files": _files(folder)}
    (folder / DATA).write_bytes(json.dumps(report, indent=1).encode())
    return report


def _write_lists(result, times, folder, output):
    """Writes lists and names; returns the root of the lists, and the path of a picture for validation."""
    order = [index for indices in result.splits.values() for index in indices]
    pictures = [result.found.pictures[index] for index in order]
    names = listing.name_all(pictures, result.found.root, str(output))
    if names.is_linked:
        listing.link_all(pictures, names.names, folder)
    name_of = dict(zip(order, names.names))
    for name, indices in result.splits.items():
        own = times if name == "train" else [1] * len(indices)
        listed = [name_of[index] for index in indices]
        lines = listing.lines(listed, result.labels(name), result.classes, result.found.several)
        text = "".join(line * number for line, number in zip(lines, own))
        (folder / f"{name}_list.txt").write_bytes(text.encode())
    (folder / "label_list.txt").write_bytes("".join(listing.label_lines(result.classes)).encode())
    return names.root, os.path.join(names.root, name_of[result.splits["val"][0]])


def _rows(result, titles, counts, seed):
    """What the sheet of samples shows of each class."""
    paths = {name: [] for name in result.classes[:ROWS]}
    indices = list(result.splits["train"])
    random.Random(seed).shuffle(indices)
    for index in indices:
        picture = result.found.pictures[index]
        for label in picture.labels:
            if label in paths and len(paths[label]) < sheet.SAMPLES:
                paths[label].append(picture.path)
    words = [counted(count, "picture") for count in counts]
    return list(zip(titles, words, paths.values()))


def _files(folder):
    """`{name: digest}` of all files in a folder."""
    paths = [path for path in sorted(folder.rglob("*")) if path.is_symlink() or path.is_file()]
    return {path.relative_to(folder).as_posix(): written.digest(path) for path in paths}


def _report(result, choices, counts, sizes, times):
    """What data.json says of the pictures."""
    lines = split.class_counts(result.classes, result.labels("train"), times)
    return {
        "source": result.place,
        "form": result.found.form,
        "model": choices.model,
        "seed": choices.seed,
        "multi_label": result.found.several,
        "pictures": {name: len(indices) for name, indices in result.splits.items()},
        "training_lines": sum(times),
        "classes": [
            {"name": name, **{key: counts[key][number] for key in counts}, "training_lines": lines[number]}
            for number, name in enumerate(result.classes)
        ],
        "sizes": {
            "width": _spread([width for width, _ in sizes]),
            "height": _spread([height for _, height in sizes]),
            "short_side": _spread([min(size) for size in sizes]),
        },
        "left_out": {
            kind: [{"picture": name, "reason": reason} for name, reason in items]
            for kind, items in result.left_out.items()
        },
        "odd": result.odd,
        "notes": result.found.notes,
    }


def _spread(values):
    return {"least": min(values), "median": statistics.median(values), "most": max(values)}
