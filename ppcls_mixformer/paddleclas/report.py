"""`report`: PaddleClas's evaluation of a trained network, picture by picture, as a page."""

import os
import time
from pathlib import Path

import numpy as np
import paddle

from ppcls_mixformer import __version__
from ppcls_mixformer.hosting.errors import UserError
from ppcls_mixformer.hosting.patches import replaced
from ppcls_mixformer.hosting.text import read_lines
from ppcls_mixformer.paddleclas import distillation, explain, infer, reading
from ppcls_mixformer.predict.predictor import check_whole
from ppcls_mixformer.understand import beside, curves, heat, metrics, report, saliency

LOG = "train.log"  # of PaddleClas's trainer
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
            self.kept.append([np.asarray(part).reshape(-1) for part in (batch[1], batch[-1])])
            yield batch

    def __getattr__(self, name):
        return getattr(self.loader, name)


def check(config):
    """Refuses what is no evaluation of pictures of one class each.

    Raises:
        UserError: names the key.
    """
    section = config["Global"]
    eval_mode = section.get("eval_mode") or "classification"
    if eval_mode != "classification":
        raise UserError(f"report is for classes, but Global.eval_mode is {eval_mode}")
    if section.get("use_multilabel"):
        raise UserError("report is for pictures of one class each, but Global.use_multilabel is True")
    if section.get("use_dali"):
        raise UserError("report reads pictures by PaddleClas's own loader: set -o Global.use_dali=False")
    if paddle.distributed.get_world_size() > 1:
        raise UserError("report runs in one process: leave out paddle.distributed.launch")


def check_output(folder, dataset):
    """Refuses a file, and a folder of the evaluated pictures, some of which figures might replace.

    Raises:
        UserError: names it.
    """
    if folder.exists() and not folder.is_dir():
        raise UserError(f"--output {folder} is a file; a report is written into a folder")
    holders = {os.path.dirname(reading.file_of(dataset, number)) for number in range(len(dataset))} - {""}
    if os.path.realpath(folder) in map(os.path.realpath, holders):
        raise UserError(f"--output {folder}: the pictures themselves lie there; name another folder")


def evaluate(engine):
    """PaddleClas's evaluation by its `engine`, picture by picture, in the order of the list.

    Returns:
        A `metrics.Evaluation`, and the number in the dataset of each of its pictures.

    Raises:
        UserError: the network gives no scores of classes; what the evaluation itself refuses.
    """
    outputs, kept, loader = [], [], engine.eval_dataloader
    _, keys = distillation.chosen_output(engine)

    def keep(layer, inputs, output):
        logits = distillation.one_of(output[0] if isinstance(output, (list, tuple)) else output, keys)
        if not isinstance(logits, paddle.Tensor):
            raise UserError(f"report: {engine.config['Arch']['name']} gives no scores of classes")
        outputs.append(metrics.softmax(logits.astype("float32").numpy()).astype("float32"))

    hook = engine.model.register_forward_post_hook(keep)
    try:
        with replaced(loader, "dataset", Numbered(loader.dataset)):
            with replaced(engine, "eval_dataloader", Tapped(loader, kept)):
                engine.eval()
    finally:
        hook.remove()
    true, numbers = (np.concatenate(parts).astype("int64") for parts in zip(*kept))
    order = numbers.argsort(kind="stable")
    scores = np.concatenate(outputs)[order]
    files = [reading.file_of(loader.dataset, number) for number in numbers[order]]
    names = explain.label_names(engine.config, scores.shape[1])
    return metrics.Evaluation(files, true[order], scores, names), numbers[order]


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

    def __init__(self, engine, evaluation, numbers):
        """Takes what `evaluate` returns for `engine`."""
        self.engine, self.evaluation, self.numbers = engine, evaluation, numbers
        self.network, self.dataset = explain.mixformer_of(engine), engine.eval_dataloader.dataset
        self.words = ""
        if self.network is not None:
            size = self._image(0).shape[1:]
            self.stage = finest(size, len(self.network.layers))
            rows, columns = positions(size, self.stage)
            self.words = f"Beside each is Grad-CAM on stage {self.stage + 1}, {rows}×{columns} positions."

    def __call__(self, chosen):
        return [self._of(index) for index in chosen]

    def _image(self, index):
        return np.asarray(self.dataset[self.numbers[index]][0], "float32")

    def _of(self, index):
        image = self._image(index)
        picture, times = heat.legible(
            explain.seen(image, getattr(self.dataset, "_transform_ops", None) or ())
        )
        tiles = [("picture", picture)]
        if self.network is None:
            return tiles
        with infer.casting(self.engine):
            trace = saliency.trace(self.network, image[None])
        for number in self._classes(index):
            values = saliency.grad_cams(trace, [number])[self.stage][0]
            drawn = heat.of_grad_cam(picture, values, trace.stages[self.stage].stride * times)
            tiles.append((f"for {self.evaluation.names[number]}", drawn))
        return tiles

    def _classes(self, index):
        """The predicted class, and the true one; where that is the same, the second best."""
        *_, second, first = self.evaluation.scores[index].argsort()
        true = self.evaluation.true[index]
        return first, true if true != first else second


def positions(size, stage):
    """Rows and columns of the map of a stage, counted from 0, for pictures of `size`."""
    return [-(-side // (saliency.STEM_STRIDE * 2**stage)) for side in size]


def finest(size, stages):
    """The last of so many stages whose map is fine enough to show where something is; 0 where none is."""
    return max((stage for stage in range(stages) if min(positions(size, stage)) >= FINE), default=0)


def run(engine, flags):
    """Evaluates as `eval` does, and writes the report into the folder `--output`.

    Raises:
        UserError: something about the config, a flag or a file that a user can fix.
    """
    heat.require("report", "matplotlib", "sklearn")
    config, folder = engine.config, Path(flags.output)
    check(config)
    check_whole("--mistakes", flags.mistakes, 0)
    check_output(folder, engine.eval_dataloader.dataset)
    others = [beside.read(place) for place in flags.beside]
    averages, log = find_log(flags.log, config)
    evaluation, numbers = evaluate(engine)
    tiles = Tiles(engine, evaluation, numbers)
    weights = config["Global"]["pretrained_model"]
    name, stem = config["Arch"]["name"], Path(flags.config).stem
    report.write(
        report.Report(
            title=flags.title or (stem if stem.startswith(name) else f"{name}: {stem}"),
            lines=[
                f"Weights: {f'{weights}.pdparams' if weights else config['Arch'].get('pretrained')}",
                f"Pictures: {config['DataLoader']['Eval']['dataset'].get('cls_label_path')}",
            ],
            evaluation=evaluation,
            averages=averages,
            log=log,
            tiles=tiles,
            heat=tiles.words,
            most=flags.mistakes,
            others=others,
            foot=f"{time.strftime('%Y-%m-%d %H:%M')} · ppcls_mixformer {__version__} · "
            f"paddlepaddle {paddle.__version__} · {report.TABLE} beside this page has every prediction",
        ),
        folder,
    )
    print(folder / report.PAGE)
