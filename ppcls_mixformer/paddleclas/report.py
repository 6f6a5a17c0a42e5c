"""`report`, and `eval --report`: PaddleClas's evaluation, picture by picture, as a page."""

import os
import time
from pathlib import Path
from typing import Callable, NamedTuple

import numpy as np
import paddle

from ppcls_mixformer import __version__
from ppcls_mixformer.hosting import outputs
from ppcls_mixformer.hosting.errors import UserError
from ppcls_mixformer.hosting.patches import replaced
from ppcls_mixformer.hosting.text import read_lines
from ppcls_mixformer.paddleclas import distillation, evaluation, explain, infer, reading
from ppcls_mixformer.predict.predictor import check_whole
from ppcls_mixformer.understand import beside, curves, heat, metrics, multilabel, report, saliency
from ppcls_mixformer.understand.one_label import OneLabel
from ppcls_mixformer.understand.several_labels import SeveralLabels

LOG = "train.log"  # of PaddleClas's trainer
MOST = 12  # pictures of each kind that are shown
FINE = 7  # positions a side from which on a map shows where something is


class Numbered:
    """A dataset whose samples also carry their numbers, of which a loader may leave some out."""

    def __init__(self, dataset):
        self.dataset = dataset

    def __len__(self):
        return len(self.dataset)

    def __getitem__(self, index):
        return (*self.dataset[index], np.int64(index))

    def __getattr__(self, name):
        if name == "dataset":  # of one that is just being unpickled
            raise AttributeError(name)
        return getattr(self.dataset, name)


class Tapped:
    """A loader that keeps labels and numbers of its batches in the list `kept`."""

    def __init__(self, loader, kept):
        self.loader, self.kept = loader, kept

    def __len__(self):
        return len(self.loader)

    def __iter__(self):
        for batch in self.loader:
            self.kept.append((np.asarray(batch[1]), np.asarray(batch[-1]).reshape(-1)))
            yield batch

    def __getattr__(self, name):
        return getattr(self.loader, name)


class Labels(NamedTuple):
    """How the labels of pictures are read, and what is said of them.

    Attributes:
        scores: of logits `[N, classes]`.
        true: of the labels of a batch, as a loader has them.
        evaluation: of files, labels, scores and names.
        parts: of a report of that evaluation.
    """

    scores: Callable[[np.ndarray], np.ndarray]
    true: Callable[[np.ndarray], np.ndarray]
    evaluation: type
    parts: type


def _softmax(logits):
    return metrics.softmax(logits).astype("float32")


def _numbers(labels):
    return labels.reshape(-1).astype("int64")


def _yes_or_no(labels):
    """Of `[N, classes]`, or of `[N, 2, classes]`, in which shares of the classes follow the labels."""
    return (labels[:, 0] if labels.ndim == 3 else labels) > 0.5


ONE = Labels(_softmax, _numbers, metrics.Evaluation, OneLabel)
SEVERAL = Labels(multilabel.sigmoid, _yes_or_no, multilabel.Evaluation, SeveralLabels)


def check(config):
    """Refuses what is no evaluation of classes in one process.

    Raises:
        UserError: names the key.
    """
    section = config["Global"]
    eval_mode = section.get("eval_mode") or "classification"
    if eval_mode != "classification":
        raise UserError(f"report is for classes, but Global.eval_mode is {eval_mode}")
    if section.get("use_dali"):
        raise UserError("report reads pictures by PaddleClas's own loader: set -o Global.use_dali=False")
    if paddle.distributed.get_world_size() > 1:
        raise UserError("report runs in one process: leave out paddle.distributed.launch")


def check_output(flag, folder, dataset):
    """Refuses a file, a folder among the evaluated pictures, and one with files that no report has written.

    Args:
        flag: that names the `folder`.

    Raises:
        UserError: names what is in the way.
    """
    holders = {os.path.dirname(reading.file_of(dataset, number)) for number in range(len(dataset))} - {""}
    outputs.check_apart(flag, folder, holders, outputs.common_folder(holders))
    report.check_output(flag, folder)


def evaluate(engine, labels):
    """PaddleClas's evaluation by its `engine`, picture by picture, in the order of the list.

    Args:
        labels: ONE or SEVERAL.

    Returns:
        The evaluation, and the number in the dataset of each of its pictures.

    Raises:
        UserError: the network gives no scores of classes; what the evaluation itself refuses.
    """
    scores, kept, loader = [], [], engine.eval_dataloader
    _, keys = distillation.chosen_output(engine)

    def keep(layer, inputs, output):
        logits = distillation.one_of(output[0] if isinstance(output, (list, tuple)) else output, keys)
        if not isinstance(logits, paddle.Tensor):
            raise UserError(f"report: {engine.config['Arch']['name']} gives no scores of classes")
        scores.append(labels.scores(logits.astype("float32").numpy()))

    hook = engine.model.register_forward_post_hook(keep)
    try:
        with replaced(loader, "dataset", Numbered(loader.dataset)):
            with replaced(engine, "eval_dataloader", Tapped(loader, kept)):
                engine.eval()
    finally:
        hook.remove()
    numbers = np.concatenate([own for _, own in kept]).astype("int64")
    order = numbers.argsort(kind="stable")
    scores = np.concatenate(scores)[order]
    true = np.concatenate([labels.true(own) for own, _ in kept])[order]
    files = [reading.file_of(loader.dataset, number) for number in numbers[order]]
    names = explain.label_names(engine.config, scores.shape[1])
    return labels.evaluation(files, true, scores, names), numbers[order]


def find_log(named, config):
    """What a log of the trainer says of its epochs, and its path; without one None, and why in words.

    It is the one that `--log` names, or lies beside the weights or in Global.output_dir.

    Raises:
        UserError: what `--log` names is no such log.
    """
    name, section = config["Arch"]["name"], config["Global"]
    beside = Path(section.get("pretrained_model") or ".").parent
    output = Path(section["output_dir"])
    folders = dict.fromkeys([beside, beside / name, beside.parent, output / name, output])
    found = [Path(named)] if named else [folder / LOG for folder in folders if (folder / LOG).is_file()]
    for path in found:
        try:
            averages = curves.read_averages("\n".join(read_lines(path)))
        except UserError as error:
            raise UserError(f"--log: {error}") from None
        if averages["Train"]:
            return averages, str(path)
    if named:
        raise UserError(f"--log {named}: it has no line of an epoch, as {LOG} of PaddleClas's trainer has")
    return None, f"There is no {LOG} with whole epochs beside the weights or in {output}; --log names one."


class Tiles:
    """Pictures of an evaluation as their cards show them: as the network saw them, and what spoke for what.

    Attributes:
        words: how the heat maps were made; "" for a network that has none.
    """

    def __init__(self, engine, network, names, numbers):
        """Takes PaddleClas's `engine`, a MixFormer or None, and of which pictures `evaluate` was."""
        self.engine, self.network, self.names, self.numbers = engine, network, names, numbers
        self.dataset, self.words = engine.eval_dataloader.dataset, ""
        if self.network is not None:
            size = self._image(0).shape[1:]
            self.stage = finest(size, len(self.network.layers))
            rows, columns = positions(size, self.stage)
            self.words = f"Beside each is Grad-CAM on stage {self.stage + 1}, {rows}×{columns} positions."

    def __call__(self, index, classes):
        """Caption and picture of each tile: picture `index` of the evaluation, and `classes` over it."""
        image = self._image(index)
        picture, times = heat.legible(
            explain.seen(image, getattr(self.dataset, "_transform_ops", None) or ())
        )
        tiles = [("picture", picture)]
        if self.network is None:
            return tiles
        with infer.casting(self.engine):
            trace = saliency.trace(self.network, image[None])
        for number in classes:
            values = saliency.grad_cams(trace, [number])[self.stage][0]
            drawn = heat.of_grad_cam(picture, values, trace.stages[self.stage].stride * times)
            tiles.append((f"for {self.names[number]}", drawn))
        return tiles

    def _image(self, index):
        return np.asarray(self.dataset[self.numbers[index]][0], "float32")


def positions(size, stage):
    """Rows and columns of the map of a stage, counted from 0, for pictures of `size`."""
    return [-(-side // (saliency.STEM_STRIDE * 2**stage)) for side in size]


def finest(size, stages):
    """The last of so many stages whose map is fine enough to show where something is; 0 where none is."""
    return max((stage for stage in range(stages) if min(positions(size, stage)) >= FINE), default=0)


def run(engine, flags, flag="--output"):
    """Evaluates as `eval` does, and writes the report into the folder `flags.report`.

    Args:
        flag: by which that folder was named.

    Raises:
        UserError: something about the config, a flag or a file that a user can fix.
    """
    heat.require("report", "matplotlib", "sklearn")
    config, folder = engine.config, Path(flags.report)
    labels = SEVERAL if config["Global"].get("use_multilabel") else ONE
    most = MOST if flags.mistakes is None else flags.mistakes
    check(config)
    check_whole("--mistakes", most, 0)
    check_output(flag, folder, engine.eval_dataloader.dataset)
    others = [beside.read(place, labels.parts) for place in flags.beside]
    averages, log = find_log(flags.log, config)
    network = explain.mixformer_of(engine)
    evaluation.average(engine, flags.tta)
    found, numbers = evaluate(engine, labels)
    tiles = Tiles(engine, network, found.names, numbers)
    report.write(
        report.Report(
            title=flags.title or _title(config, flags.config),
            lines=list(_lines(config, flags.tta)),
            parts=labels.parts(found),
            averages=averages,
            log=log,
            tiles=tiles,
            heat=tiles.words,
            most=most,
            others=others,
            foot=f"{time.strftime('%Y-%m-%d %H:%M')} · ppcls_mixformer {__version__} · "
            f"paddlepaddle {paddle.__version__} · {report.TABLE} beside this page has every prediction",
        ),
        folder,
    )
    print(folder / report.PAGE)


def _title(config, path):
    name, stem = config["Arch"]["name"], Path(path).stem
    return stem if stem.startswith(name) else f"{name}: {stem}"


def _lines(config, views):
    """What was evaluated."""
    weights = config["Global"]["pretrained_model"]
    yield f"Weights: {f'{weights}.pdparams' if weights else config['Arch'].get('pretrained')}"
    yield f"Pictures: {config['DataLoader']['Eval']['dataset'].get('cls_label_path')}"
    if views:
        yield f"Scores are averaged over views of each picture: {views}"
