"""`explain`: what a trained MixFormer looked at in pictures, drawn over each of them."""

import os
import re
from pathlib import Path

import numpy as np
import paddle.nn.functional as F
from PIL import Image

from ppcls_mixformer.hosting import outputs
from ppcls_mixformer.hosting.advice import nearest
from ppcls_mixformer.hosting.errors import UserError
from ppcls_mixformer.hosting.whole import whole_file
from ppcls_mixformer.paddleclas import distillation, infer
from ppcls_mixformer.paddleclas.backbone import MixFormer
from ppcls_mixformer.paddleclas.describe import NAMES_KEY, known_names
from ppcls_mixformer.predict import names, predictor, results
from ppcls_mixformer.predict.sources import find
from ppcls_mixformer.understand import heat, lettering, saliency, sheet

BATCH = 8  # pictures of which maps and gradients are kept at once
MIDDLE = (0.5, 0.5)


def point_of(text):
    """`(x, y)`, shares of width and height from 0 to 1, as the flag `--at` has them.

    Raises:
        UserError: it is something else.
    """
    if text is None:
        return MIDDLE
    try:
        x, y = map(float, text.split(","))
    except ValueError:
        x = y = -1.0
    if not (0 <= x <= 1 and 0 <= y <= 1):
        raise UserError(f"--at {text}: it takes shares of width and height, such as --at 0.5,0.25")
    return x, y


def class_of(text, label_names):
    """The number of the class that `--class` names, by its name or its number.

    Raises:
        UserError: there is no such class.
    """
    if text in label_names:
        return label_names.index(text)
    if text.isascii() and text.isdigit():
        if int(text) < len(label_names):
            return int(text)
        raise UserError(f"--class {text}: the network has {len(label_names)} classes, from 0 on")
    near = nearest(text, label_names)
    hint = f"did you mean {near}?" if near else f"it takes a name, or a number to {len(label_names) - 1}"
    raise UserError(f"--class {text}: there is no such class; {hint}")


def mixformer_of(engine):
    """The MixFormer that classifies in PaddleClas's `engine`; None where it is another network."""
    network = getattr(engine.model, "_layers", engine.model)
    if hasattr(network, "model_name_list"):  # DistillationModel
        _, keys = distillation.chosen_output(engine)
        known = dict(zip(network.model_name_list, network.model_list))
        network = next((known[key] for key in keys if key in known), None)
    return network if isinstance(network, MixFormer) else None


def label_names(config, classes):
    """Names of so many classes, of the file that the section Infer names; their numbers without one.

    Raises:
        UserError: the file is none of names, or names classes that the network does not have.
    """
    return names.fit(known_names(config) or names.Names(), classes, NAMES_KEY)


def seen(image, operators):
    """The picture in a network's input `[C, H, W]` before it was normalized, RGB, `uint8` `[H, W, 3]`.

    Args:
        operators: PaddleClas's, that prepared it.
    """
    pixels = np.asarray(image, "float32")[:3]
    by_name = {type(operator).__name__: operator for operator in operators}
    normalize = by_name.get("NormalizeImage")
    if normalize is not None:
        mean, std = (np.reshape(values, (3, 1, 1)) for values in (normalize.mean, normalize.std))
        pixels = (pixels * std + mean) / normalize.scale
    else:
        pixels = heat.to_unit(pixels) * 255
    if not getattr(by_name.get("DecodeImage"), "to_rgb", True):
        pixels = pixels[::-1]
    return np.rint(pixels).clip(0, 255).astype("uint8").transpose(1, 2, 0)


def file_names(sources):
    """A PNG file's name for each source, none twice: its own with another ending, numbered if need be."""
    used, found = set(), []
    for source in sources:
        stem = re.sub(r"[^\w.-]+", "_", os.path.splitext(os.path.basename(source.name))[0]) or "picture"
        name, number = stem, 2
        while name.lower() in used:
            name, number = f"{stem}-{number}", number + 1
        used.add(name.lower())
        found.append(f"{name}.png")
    return found


def run(engine, flags):
    """Writes a sheet for each picture of `--image` into the folder `--output`, and prints its path.

    Raises:
        UserError: something about a flag or a file that a user can fix; pictures that cannot be read, after
            all others.
    """
    heat.require("explain", "matplotlib")
    network = mixformer_of(engine)
    if network is None:
        raise UserError(f"explain: Arch.name is {engine.config['Arch']['name']}, but it needs a MixFormer")
    point, labels = point_of(flags.at), label_names(engine.config, network.class_num)
    classes = [class_of(text, labels) for text in flags.classes]
    try:
        sources = find(flags.image)
    except UserError as error:
        raise UserError(f"--image: {error}") from None
    folder = Path(flags.output)
    check_output(folder, flags.image, sources, image_roots(engine.config))
    folder.mkdir(parents=True, exist_ok=True)
    files = dict(zip(map(id, sources), file_names(sources)))
    check_free(folder / name for name in files.values())
    network.eval()

    def classify(images, batch):
        explained = explain(engine, network, images, classes, labels, point)
        for source, (answer, result) in zip(batch, explained):
            path = folder / files[id(source)]
            with whole_file(path) as part:
                sheet.draw(result, part)
            yield {"file_name": source.name, "answer": answer, "sheet": path}

    stream = predictor.predict(sources, infer.preparing(engine), classify, BATCH)
    results.hand_out(stream, lambda found: f"{found['file_name']}: {found['answer']}: {found['sheet']}", None)


def image_roots(config):
    """Folders below which a config has its pictures for training and evaluation."""
    loaders = config.get("DataLoader") or {}  # in which PaddleClas keeps numbers, too
    datasets = [(loaders.get(split) or {}).get("dataset") or {} for split in ("Train", "Eval")]
    return {dataset["image_root"] for dataset in datasets if dataset.get("image_root")}


def check_output(folder, place, sources, roots=()):
    """Refuses a file, and a folder among the pictures at `place`, whose `sources` they are.

    Args:
        roots: folders of more pictures, which the next `prepare` reads if some of `sources` lie there.

    Raises:
        UserError: names the folder.
    """
    holders = {os.path.dirname(source.name) for source in sources}
    outputs.check_apart("--output", folder, holders, place if os.path.isdir(place) else None)
    for root in filter(None, (outputs.common_folder([root]) for root in roots)):
        if any(Path(root) in Path(os.path.realpath(holder)).parents for holder in holders):
            outputs.check_apart("--output", folder, holders, root)


def check_free(paths):
    """Refuses files that are there and are no sheets, such as pictures of the same names.

    Raises:
        UserError: names one.
    """
    for path in filter(os.path.lexists, paths):
        try:
            with Image.open(path) as picture:
                is_sheet = str(picture.info.get("Software")).startswith("Matplotlib")
        except OSError:
            is_sheet = False
        if not is_sheet:
            raise UserError(f"--output: {path} is no sheet of this command, and is not replaced")


def explain(engine, network, images, classes, labels, point):
    """The answer in words, and what `sheet.draw` takes, for each of the `images` `[N, C, H, W]`.

    Args:
        network: the MixFormer of PaddleClas's `engine`.
        classes: whose Grad-CAM is drawn; that of the best one where there are none.
        labels: names of all classes.
        point: `(x, y)`, shares of width and height.
    """
    with infer.casting(engine):
        trace = saliency.trace(network, images)
    stages = trace.stages
    independent = engine.config["Global"].get("use_multilabel")
    scores = (F.sigmoid if independent else F.softmax)(trace.logits.detach().astype("float32")).numpy()
    best = scores.argmax(axis=1)
    asked = [np.full(len(images), number) for number in classes] or [best]
    cams = [saliency.grad_cams(trace, numbers) for numbers in asked]
    gates = [saliency.gates(stage).mean(axis=1) for stage in stages]
    x, y = (share * (side - 1) for share, side in zip(point, images.shape[:1:-1]))
    windows = [
        saliency.attention(stage.blocks[-1], int(y) // stage.stride, int(x) // stage.stride)
        for stage in stages
    ]

    def named(index, number, name=lettering.shown):
        return f"{name(labels[number], number)}, {scores[index, number]:.1%}"

    for index, image in enumerate(images):
        picture, times = heat.legible(seen(image, engine.preprocess_func))
        answer = named(index, best[index], lambda name, number: name)
        yield (
            answer,
            sheet.Explained(
                picture,
                named(index, best[index]),
                [stage.stride * times for stage in stages],
                [
                    (named(index, numbers[index]), [stage_maps[index] for stage_maps in maps])
                    for numbers, maps in zip(asked, cams)
                ],
                [maps[index] for maps in gates],
                [window.of(index) for window in windows],
                (x * times, y * times),
            ),
        )
