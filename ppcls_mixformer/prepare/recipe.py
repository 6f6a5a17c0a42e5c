"""The config: the recipe of a variant, with what is other for these pictures, each with its reason."""

import copy
import math
import textwrap
from typing import Any, Dict, List, NamedTuple, Optional

import yaml

from ppcls_mixformer.hosting import configs
from ppcls_mixformer.hosting.errors import UserError
from ppcls_mixformer.variants import VARIANTS

SIDE, LEAST_SIDE, STRIDE = 224, 64, 32  # pixels: of the recipe, at least, and what the network divides by
SMALL = 64  # pixels of a shorter side, below which a picture is not cropped much
BATCHES = {"gpu": 128, "cpu": 32}
STEPS = 16  # of an epoch, at least
LEAST_BATCH = 16
EPOCHS = {True: (30, 100, 3000), False: (100, 300, 10000)}  # fine-tuned or not: least, most, steps in all
TOP = 5
WIDTH = 100  # characters of a line of comment
SIDED = {"left", "right"}


class Data(NamedTuple):
    """What a config is made from.

    Attributes:
        name: of the data set; `root`, from which its lists start, and `folder`, in which they are.
        classes: their names; `several`: whether a picture may have several.
        lines: of the training list; `counts`: of pictures for training, by class.
        repeated: how many of the lines are repetitions.
        short_side: the median of the shorter sides of the pictures, in pixels.
        sample: path of a picture for validation.
    """

    name: str
    root: str
    folder: str
    classes: List[str]
    several: bool
    lines: int
    counts: List[int]
    repeated: int
    short_side: int
    sample: str


class Choices(NamedTuple):
    """What the user has said; None where it follows from the pictures.

    Attributes:
        pretrained: True for published weights, False for none, or the path of a checkpoint.
    """

    model: str
    device: str
    seed: int
    size: Optional[int] = None
    batch: Optional[int] = None
    epochs: Optional[int] = None
    pretrained: Any = None


class Rules(NamedTuple):
    """Values that follow from others, and the reason for each."""

    values: Dict[str, Any]
    reasons: Dict[str, str]


def write(data, choices, title):
    """The text of the config, YAML with comments under a `title`; and the side of the input in pixels."""
    recipe = configs.read_yaml(configs.by_name()[choices.model])
    rules = decide(data, choices, recipe)
    config, comments = build(data, choices, recipe, rules)
    return "".join([*_comment(title, ""), *_emit(config, "", "", comments)]), rules.values["size"]


def decide(data, choices, recipe):
    """The `Rules` for size, weights, batch, epochs, warm-up, learning rate and augmentation.

    Raises:
        UserError: a batch of more than all lines.
    """
    values, reasons = {}, {}

    def choose(key, given, value, reason):
        values[key] = value if given is None else given
        reasons[key] = reason if given is None else "as the command said"

    side = min(SIDE, max(LEAST_SIDE, STRIDE * math.ceil(data.short_side / STRIDE)))
    why = f"half of the pictures have a shorter side of {data.short_side} pixels or less"
    if side == SIDE:
        why = "the recipe's, and that of the published weights"
    elif side == LEAST_SIDE:
        why += f"; the network divides by {STRIDE}, and a smaller input would leave it little to see"
    choose("size", choices.size, side, why)

    published = VARIANTS[choices.model].has_weights
    others = ", ".join(name.split("_")[1] for name, variant in VARIANTS.items() if variant.has_weights)
    why = f"no weights are published for {choices.model} (there are some for {others}): from random ones"
    if published:
        why = "the published weights of ImageNet-1k, downloaded once; the head starts anew"
    choose("pretrained", choices.pretrained, published, why)
    tuned = bool(values["pretrained"])

    limit = BATCHES[choices.device]
    batch = min(_power(data.lines), max(LEAST_BATCH, _power(data.lines // STEPS)), limit)
    why = f"a power of two, at most {limit} on a {choices.device.upper()}, for {STEPS} steps an epoch or more"
    if choices.batch and choices.batch > data.lines:
        raise UserError(f"--batch {choices.batch}: there are {data.lines:,} lines for training, take fewer")
    choose("batch", choices.batch, batch, why)

    least, most, steps = EPOCHS[tuned]
    per_epoch = max(1, data.lines // values["batch"])
    epochs = min(most, max(least, math.ceil(steps / per_epoch)))
    kind = "fine-tuning" if tuned else "training from random weights"
    why = f"{kind} wants some {steps:,} steps, of which an epoch has {per_epoch:,}; {least} to {most} epochs"
    choose("epochs", choices.epochs, epochs, why)
    _decide_rates(values, reasons, recipe, tuned)
    _decide_views(values, reasons, data)
    return Rules(values, reasons)


def _power(number):
    """The largest power of two that is not above `number`, at least 2."""
    return max(2, 1 << max(number, 1).bit_length() - 1)


def _decide_rates(values, reasons, recipe, tuned):
    """Learning rate and warm-up, from the recipe."""
    rates = recipe["Optimizer"]["lr"]
    recipe_rate, full = rates["learning_rate"], configs.RECIPE_BATCH
    rate = float(recipe_rate)
    values["rate"] = float(f"{configs.scaled_rate(rate, values['batch']):.2g}") if tuned else rate
    reasons["rate"] = (
        f"{recipe_rate} * sqrt({values['batch']} / {full}): the recipe's is for {full} images a step; with "
        "AdamW it goes with the square root of their number; on n GPUs multiply it by sqrt(n)"
        if tuned
        else "the recipe's, for any batch: on the quick start's digits it learnt faster than the same scaled "
        "to a batch of 32, with cross-entropy 0.33 and 0.50, accuracy 92 and 91 % after two epochs"
    )
    warm, of = rates["warmup_epoch"], recipe["Global"]["epochs"]
    values["warmup"] = min(max(1, round(values["epochs"] * warm / of)), values["epochs"] - 1)
    reasons["warmup"] = f"the recipe's share, {warm} of {of} epochs"


def _decide_views(values, reasons, data):
    """How training pictures are varied."""
    values["is_small"] = data.short_side < SMALL
    reasons["is_small"] = (
        "small pictures: at least 70 % of each is seen, since the recipe's 8 % would be a few pixels, and "
        "none is distorted, or erased in part"
    )
    names = [name.strip().lower() for name in data.classes]
    values["is_sided"] = all(len(name) == 1 for name in names) or any(
        SIDED & set(name.split()) for name in names
    )
    reasons["is_sided"] = (
        "RandFlipImage is left out: a mirrored picture of these classes would be of another one, or of none"
        if values["is_sided"]
        else "take RandFlipImage out where a mirrored picture is of another class, such as letters and arrows"
    )


# The config


def build(data, choices, recipe, rules):
    """The config, a nested dict, and comments by dotted key."""
    config, values = copy.deepcopy(recipe), rules.values
    size, classes = values["size"], len(data.classes)
    output = f"./output/{data.name}"
    config["Global"].update(
        output_dir=f"{output}/",
        device=choices.device,
        save_interval=values["epochs"],
        epochs=values["epochs"],
        image_shape=[3, size, size],
        save_inference_dir=f"{output}/inference",
    )
    config["Global"]["seed"] = choices.seed
    config["Arch"] = {"name": choices.model, "class_num": classes, "pretrained": values["pretrained"]}
    rates = config["Optimizer"]["lr"]
    rates.update(learning_rate=values["rate"], warmup_epoch=values["warmup"])
    for split, file in (("Train", "train_list.txt"), ("Eval", "val_list.txt")):
        node = config["DataLoader"][split]
        node["dataset"].update(
            name="MultiLabelDataset" if data.several else "ImageNetDataset",
            image_root=f"{data.root}/",
            cls_label_path=f"{data.folder}/{file}",
        )
        node["sampler"].update(batch_size=values["batch"], drop_last=split == "Train")
        if choices.device == "cpu":
            node["loader"].update(num_workers=0, use_shared_memory=False)
    train = config["DataLoader"]["Train"]["dataset"]
    del train["batch_transform_ops"]
    train["transform_ops"] = _training_views(train["transform_ops"], size, values)
    _set_size(config["DataLoader"]["Eval"]["dataset"]["transform_ops"], size, values)
    infer = config["Infer"]
    infer.update(infer_imgs=data.sample, batch_size=min(10, values["batch"]))
    _set_size(infer["transforms"], size, values)
    infer["PostProcess"].update(topk=min(TOP, classes), class_id_map_file=f"{data.folder}/label_list.txt")
    _set_goal(config, data, classes)
    return config, _comments(data, choices, rules)


def _training_views(operators, size, values):
    """The recipe's transforms of training pictures, without those that do not suit these."""
    left_out = {"TimmAutoAugment", "RandomErasing"} if values["is_small"] else set()
    left_out |= {"RandFlipImage"} if values["is_sided"] else set()
    kept = [entry for entry in operators if not left_out & set(entry)]
    for entry in kept:
        for name, arguments in entry.items():
            if name == "RandCropImage":
                arguments["size"] = size
                if values["is_small"]:
                    arguments["scale"] = [0.7, 1.0]
            elif name == "TimmAutoAugment":
                arguments["img_size"] = size
    return kept


def _set_size(operators, size, values):
    for entry in operators:
        if "ResizeImage" in entry:
            entry["ResizeImage"]["resize_short"] = size if values["is_small"] else round(size * 256 / SIDE)
        elif "CropImage" in entry:
            entry["CropImage"]["size"] = size


def _set_goal(config, data, classes):
    """Loss and metrics."""
    if data.several:
        config["Global"]["use_multilabel"] = True
        config["Loss"] = {part: [{"MultiLabelLoss": {"weight": 1.0}}] for part in ("Train", "Eval")}
        config["Metric"] = {"Eval": [{"AccuracyScore": None}, {"HammingDistance": None}]}
        shown = config["Infer"]["PostProcess"]
        shown["name"] = "MultiLabelTopk"
        del shown["topk"]
        return
    topk = [1, TOP] if classes > TOP else [1]
    config["Metric"] = {part: [{"TopkAcc": {"topk": list(topk)}}] for part in ("Train", "Eval")}


def _comments(data, choices, rules):
    """`{dotted key: reason}`, each written above its key."""
    reasons, train = rules.reasons, "DataLoader.Train"
    fewest, most = min(data.counts), max(data.counts)
    balance = f"{fewest:,} to {most:,} pictures of each class for training, {data.lines:,} lines"
    if data.repeated:
        balance += (
            f": {data.repeated:,} repeat pictures of rare classes, so that none has less than a tenth of the "
            "most frequent one"
        )
    found = {
        "Global.output_dir": "from the folder in which training is started; all other paths are absolute",
        "Global.device": "a GPU was found here"
        if choices.device == "gpu"
        else "gpu where there is one; then make the batch larger too",
        "Global.save_interval": "best_model and latest are saved after every epoch anyway",
        "Global.epochs": reasons["epochs"],
        "Global.image_shape": f"{reasons['size']}; used for export",
        "Arch.class_num": "the classes in label_list.txt",
        "Arch.pretrained": reasons["pretrained"],
        "Optimizer.lr.learning_rate": reasons["rate"],
        "Optimizer.lr.warmup_epoch": reasons["warmup"],
        f"{train}.dataset.cls_label_path": balance,
        f"{train}.dataset.transform_ops": "; ".join(
            [
                *([reasons["is_small"]] if rules.values["is_small"] else ["the recipe's"]),
                reasons["is_sided"],
                "the recipe's Mixup and CutMix are left out: they pay off in hundreds of epochs",
            ]
        ),
        f"{train}.sampler.batch_size": reasons["batch"],
        f"{train}.sampler.drop_last": "batch norm wants batches of one size",
        "Infer.infer_imgs": "a picture for validation; a folder will do too",
    }
    if choices.device == "cpu":
        found[f"{train}.loader.num_workers"] = "the cores have the network to compute"
    if data.several:
        found["Loss.Train"] = "each label is a yes or no of its own"
        found["Infer.PostProcess"] = "the labels above 0.5; with topk the likeliest so many, likely or not"
        found["Metric.Eval"] = (
            "best_model follows the first, the share of right yes and no; of HammingDistance less is better"
        )
    else:
        found["Metric.Eval"] = (
            f"top 5 says something of more than {TOP} classes only; best_model follows top 1"
        )
    return found


# YAML with comments


def _emit(node, indent, prefix, comments):
    """Lines of a nested config; a dict in a list is an operator with its arguments."""
    for key, value in node.items():
        place = f"{prefix}{key}"
        yield from _comment(comments.get(place, ""), indent)
        if isinstance(value, dict):
            yield f"{indent}{key}:\n"
            yield from _emit(value, indent + "  ", f"{place}.", comments)
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            yield f"{indent}{key}:\n"
            for entry in value:
                first, *rest = _emit(entry, indent + "    ", f"{place}.", comments)
                yield f"{indent}  - {first.strip()}\n"
                yield from rest
        else:
            yield f"{indent}{key}: {_scalar(value)}\n"
        if not indent:
            yield "\n"


def _scalar(value):
    text = yaml.safe_dump(value, default_flow_style=True, width=math.inf)
    return text.removesuffix("...\n").rstrip("\n")


def _comment(text, indent):
    text = text.encode(
        "ascii", "replace"
    ).decode()  # PaddleClas reads a config in the encoding of its machine
    return [f"{indent}# {line}\n" for line in textwrap.wrap(text, WIDTH)]
