"""What is changed in a config because it cannot be had as it is written, or hinted at; one line each."""

import functools
import logging

import paddle

from ppcls_mixformer.hosting import configs
from ppcls_mixformer.hosting.errors import UserError
from ppcls_mixformer.paddleclas import names, precision
from ppcls_mixformer.paddleclas.backbone import networks

logger = logging.getLogger(__name__)

CLASSES = 1000  # of a network whose section does not say
FAR = 4  # from so many times more or fewer images on there is a hint


def adjust(config, mode):
    """Changes what cannot be had in `mode`, or would be ignored in silence, and says so."""
    turn_off(config)
    cap_topk(config)
    if mode == "train":
        hint_at_learning_rate(config)
        hint_at_frozen_stages(config)


def settle_class_count(config):
    """Takes Global.class_num as Arch.class_num, which it was before, where that is missing.

    PaddleClas 2.3 builds 1000 classes in silence.

    Raises:
        UserError: both are there, and differ.
    """
    section, arch = config["Global"], config["Arch"]
    number = section.get("class_num")
    if number is None or "models" in arch or arch.get("name") == "RecModel":
        return
    del section["class_num"]
    if arch.setdefault("class_num", number) != number:
        raise UserError(
            f"Global.class_num is {number} and Arch.class_num {arch['class_num']}: leave the former out"
        )
    logger.warning("Global.class_num: taken as Arch.class_num=%s, where PaddleClas reads it", number)


def turn_off(config):
    """Turns off what this device cannot do, and mixed precision that says itself that it is off."""
    arch, amp = config["Arch"], config.get("AMP")
    if amp is not None and not amp.get("use_amp", True):
        del config["AMP"]  # before 2.6 its presence turns AMP on
    precision.turn_off(config)
    if arch.get("use_sync_bn") and config["Global"].get("device") != "gpu":
        del arch["use_sync_bn"]  # 2.5 and later ignore it by themselves
        logger.warning("Arch.use_sync_bn: synchronized batch norm needs device gpu; training without it")


def cap_topk(config):
    """Lowers every `topk` that is above the number of classes, of which PaddleClas dies.

    Raises:
        UserError: one is below 1.
    """
    classes = _classes(config["Arch"])
    if not isinstance(classes, int) or classes < 1:
        return
    for use in names.looked_up(config):
        arguments = use.arguments if isinstance(use.arguments, dict) else {}
        wanted = arguments.get("topk")
        if not use.name.lower().endswith(("topkacc", "topk")) or wanted is None:
            continue
        numbers = wanted if isinstance(wanted, (list, tuple)) else [wanted]
        if any(isinstance(number, int) and number < 1 for number in numbers):
            raise UserError(f"{use.place}.topk is {wanted}; it takes whole numbers from 1 on")
        capped = _capped(wanted, classes)
        if capped != wanted:
            arguments["topk"] = capped
            logger.warning("%s.topk: %s for %d classes; it is %s now", use.place, wanted, classes, capped)


def _classes(arch):
    """Of the head, or of that of the smallest network."""
    if arch.get("name") == "RecModel":
        return (arch.get("Head") or {}).get("class_num")
    numbers = [section.get("class_num", CLASSES) for _, section in networks(arch)]
    return min((number for number in numbers if isinstance(number, int)), default=None)


def _capped(wanted, classes):
    if isinstance(wanted, int):
        return min(wanted, classes)
    if not isinstance(wanted, (list, tuple)) or not all(isinstance(k, int) for k in wanted):
        return wanted
    if max(wanted, default=0) <= classes:
        return wanted
    return list(dict.fromkeys(min(k, classes) for k in wanted))


def hint_at_learning_rate(config):
    """Hints at another learning rate, where the recipe's meets another number of images a step.

    As of `prepare`, from random weights on classes of one's own the recipe's is right.
    """
    arch, own = config["Arch"], config.get("Optimizer")
    if arch.get("class_num", CLASSES) != CLASSES and not starts_from_weights(config):
        return
    recipe = recipe_of(str(arch.get("name")))
    rate = own["lr"].get("learning_rate") if isinstance(own, dict) else None
    batch = (config["DataLoader"]["Train"].get("sampler") or {}).get("batch_size")
    if recipe is None or batch is None or rate != recipe:
        return
    processes = paddle.distributed.get_world_size()
    images = batch * processes * config["Global"].get("update_freq", 1)
    if configs.RECIPE_BATCH / FAR < images < configs.RECIPE_BATCH * FAR:
        return
    logger.warning(
        "Optimizer.lr.learning_rate: %g is the recipe's for %d images a step, here are %d; by the "
        "square root of their number it is -o Optimizer.lr.learning_rate=%.2g",
        *(rate, configs.RECIPE_BATCH, images, configs.scaled_rate(rate, images)),
    )


def hint_at_frozen_stages(config):
    """Hints at stages that keep random weights, through which the others would see noise for ever."""
    starts = config["Global"].get("checkpoints"), config["Arch"].get("pretrained_list")
    if starts_from_weights(config) or any(starts):
        return
    for where, section in networks(config["Arch"]):
        frozen = section.get("frozen_stages")
        if isinstance(frozen, int) and frozen >= 0 and not section.get("pretrained"):
            logger.warning(
                "%s.frozen_stages is %d, but training starts from random weights, which these stages keep; "
                "name some with %s.pretrained, or leave it out",
                *(where, frozen, where),
            )


def starts_from_weights(config):
    """Whether training starts from weights that a config names."""
    return bool(config["Arch"].get("pretrained") or config["Global"].get("pretrained_model"))


@functools.lru_cache(maxsize=None)
def recipe_of(name):
    """The learning rate in the package's own config of the variant `name`, None where there is none."""
    path = configs.by_name().get(name)
    return None if path is None else float(configs.read_yaml(path)["Optimizer"]["lr"]["learning_rate"])
