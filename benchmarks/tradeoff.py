"""Accuracy against speed, as a table and as a chart."""

import itertools
from pathlib import Path

TITLES = {"onnxruntime": "ONNX Runtime", "onednn": "paddle.inference with oneDNN"}
MISSING = "–"
OURS = "MixFormer"
TICKS = (1, 2, 3, 5, 7, 10, 15, 20, 30, 50, 70, 100, 150, 200, 300, 500, 700, 1000)
# Where a label may stand, in points from its own: near ones first, and right, left, above, below, aslant.
SIDES = ((1, 0), (-1, 0), (0, 1), (0, -1), (0.8, 0.9), (-0.8, 0.9), (0.8, -0.9), (-0.8, -0.9))
PLACES = [(x * far, y * far) for far in (8, 14, 22, 32) for x, y in SIDES]


def points(results, reference):
    """Seconds and speed ratio, `{(network, reader, batch): (seconds, ratio, slowest, fastest)}`.

    The time is the reference's median over all groups, divided by the network's ratio to it.
    """
    rows = {
        (Path(row["folder"]).name, row["reader"], row["batch"]): row
        for row in results["rows"]
        if "reason" not in row
    }
    found = {}
    for (name, reader, batch), row in rows.items():
        beside = rows.get((reference, reader, batch))
        if beside and (name == reference or row["speed_ratio"]):
            ratio = (1, 1, 1) if name == reference else row["speed_ratio"]
            found[name, reader, batch] = (beside["percentiles"]["50"] / ratio[0], *ratio)
    return found


def table(results, found):
    """Markdown: a row for each network; milliseconds at the smallest batch, images a second at others."""
    kinds = sorted({key[1:] for key in found})
    names = sorted(results["networks"], key=lambda name: results["networks"][name]["top1"])
    machine = ", ".join(f"{name} {value}" for name, value in results["machine"].items())
    columns = [
        "network",
        "top-1 % (published)",
        "parameters M",
        "GFLOPs",
        *itertools.chain(*map(_columns, kinds)),
    ]
    lines = [machine, "", _line(columns), _line(["---"] * len(columns))]
    for name in names:
        facts = results["networks"][name]
        cells = [name, str(facts["top1"]), f"{facts['params']:.1f}", f"{facts['gflops']:.2f}"]
        lines.append(
            _line([*cells, *itertools.chain(*(_cells(found.get((name, *kind)), kind) for kind in kinds))])
        )
    lines += ["", "× is the speed as a multiple of Swin-T's (slowest – fastest round)."]
    lines += [f"- {name}: {reason}" for name, reason in results["missing"].items()]
    lines += [
        f"- {Path(row['folder']).name}, {row['reader']}, batch {row['batch']}: {row['reason']}"
        for row in results["rows"]
        if "reason" in row
    ]
    return "\n".join([*lines, ""])


def _line(cells):
    return f"| {' | '.join(cells)} |"


def _columns(kind):
    reader, batch = kind
    return [f"{TITLES[reader]}, batch {batch}: {'ms' if batch == 1 else 'images/s'}", "×"]


def _cells(point, kind):
    if not point:
        return [MISSING, MISSING]
    seconds, ratio, slowest, fastest = point
    return [f"{_speed(seconds, kind[1]):.1f}", f"{ratio:.2f} ({slowest:.2f} – {fastest:.2f})"]


def chart(results, found, path):
    """A panel for each reader and batch: accuracy against latency at batch 1, images a second at others.

    MixFormer is a line, others stand by family.
    """
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    kinds = sorted({key[1:] for key in found}, key=lambda kind: (kind[1], list(TITLES).index(kind[0])))
    figure, axes = plt.subplots(len(kinds), 1, figsize=(8, 5 * len(kinds)), squeeze=False)
    families = sorted({facts["family"] for facts in results["networks"].values()} - {OURS})
    colours = {
        OURS: "#c0392b",
        **{name: plt.cm.tab20(2 * i % 20 + 2 * i // 20) for i, name in enumerate(families)},
    }
    threads = results["rows"][0]["threads"]
    for axis, (reader, batch) in zip(axes[:, 0], kinds):
        shown = {
            name: (
                _speed(found[name, reader, batch][0], batch),
                facts["top1"],
                facts["family"],
                facts["label"],
            )
            for name, facts in results["networks"].items()
            if (name, reader, batch) in found
        }
        panel(axis, shown, colours)
        at_once = "one image" if batch == 1 else f"{batch} images"
        axis.set_title(f"{TITLES[reader]}, {at_once} at a time, {threads} threads", fontsize=11)
        axis.set_xlabel("milliseconds" if batch == 1 else "images a second")
        axis.set_ylabel("published top-1, %")
        axis.xaxis.set_inverted(batch > 1)  # better is to the left in every panel
    axes[-1, 0].set_xlabel(
        f"{axes[-1, 0].get_xlabel()}; scales are logarithmic; * distilled from a larger network"
    )
    figure.tight_layout()
    for axis in axes[:, 0]:
        place_labels(axis)
    figure.savefig(path)
    plt.close(figure)


def _speed(seconds, batch):
    """Milliseconds of one image; images a second of more."""
    return seconds * 1e3 if batch == 1 else batch / seconds


def panel(axis, shown, colours):
    """Draws `{name: (speed, top-1, family, label)}`, each family in its colour and joined by a line."""
    axis.set_xscale("log")
    for family, colour in colours.items():
        points = sorted(point for point in shown.values() if point[2] == family)
        ours = family == OURS
        speeds, accuracies = [point[0] for point in points], [point[1] for point in points]
        axis.plot(speeds, accuracies, "-" if ours else ":", color=colour, linewidth=2 if ours else 1)
        axis.scatter(speeds, accuracies, s=34 if ours else 24, color=colour, zorder=3)
        for x, y, _, label in points:
            weight = "bold" if ours else "normal"
            axis.annotate(
                label, (x, y), (0, 0), color=colour, fontsize=9, weight=weight, textcoords="offset points"
            )
    every = [point[0] for point in shown.values()]
    axis.set_xticks([tick for tick in TICKS if min(every) * 0.8 <= tick <= max(every) * 1.25])
    axis.set_xticks([], minor=True)
    axis.xaxis.set_major_formatter("{x:g}")
    axis.margins(x=0.08, y=0.1)
    axis.grid(color="#dddddd", linewidth=0.6)


def place_labels(axis):
    """Moves each label to the place beside its point where it covers least."""
    renderer = axis.figure.canvas.get_renderer()
    points = [axis.transData.transform(text.xy) for text in axis.texts]
    taken = [(x - 4, y - 4, x + 4, y + 4) for x, y in points]
    for line in axis.lines:
        if line.get_linestyle() == "-":
            taken += [
                (x - 1, y - 1, x + 1, y + 1) for x, y in _along(axis.transData.transform(line.get_xydata()))
            ]
    frame = axis.get_window_extent(renderer)
    crowd = {
        text: sum(abs(x - a) + abs(y - b) < 60 for a, b in points) for text, (x, y) in zip(axis.texts, points)
    }
    for text in sorted(axis.texts, key=crowd.get, reverse=True):
        costs = {}
        for rank, place in enumerate(PLACES):
            box = _put(text, place, renderer)
            outside = not (
                frame.x0 <= box[0] and box[2] <= frame.x1 and frame.y0 <= box[1] and box[3] <= frame.y1
            )
            costs[place] = (outside, sum(_overlap(box, other) for other in taken), rank)
        taken.append(_put(text, min(costs, key=costs.get), renderer))


def _along(corners):
    """Points on the lines between `corners`, in pixels."""
    for (x, y), (a, b) in zip(corners, corners[1:]):
        for part in range(21):
            yield x + (a - x) * part / 20, y + (b - y) * part / 20


def _put(text, place, renderer):
    """Puts a label at an offset from its point; returns the box that it fills there, in pixels."""
    x, y = place
    text.set_position(place)
    text.set_horizontalalignment("center" if x == 0 else "left" if x > 0 else "right")
    text.set_verticalalignment("center" if x else "bottom" if y > 0 else "top")
    box = text.get_window_extent(renderer)
    return box.x0 - 1, box.y0 - 1, box.x1 + 1, box.y1 + 1


def _overlap(one, other):
    """Area that two boxes share."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    return max(width, 0) * max(height, 0)
