"""Differences between PaddleSeg releases and today's Paddle, each bridged where it shows.

Nothing is changed on disk. Each function says its symptom and does nothing where it is absent.
"""

import contextlib
import functools
import importlib
import inspect
import os

import paddle
import paddle.nn.functional as F
from paddleseg.core import infer as core_infer
from paddleseg.cvlibs import config, config_checker
from paddleseg.datasets import ADE20K, Cityscapes, CocoStuff, Dataset, ade
from paddleseg.deploy import infer
from paddleseg.models.losses import cross_entropy_loss, dice_loss
from paddleseg.transforms import RandomPaddingCrop, ResizeByShort, transforms
from paddleseg.utils import metrics

from ppcls_mixformer.hosting import archives, expressions, paddle_bridges, safe_yaml
from ppcls_mixformer.hosting.errors import UserError, gist
from ppcls_mixformer.hosting.patches import replace_once, replaced, shadow_module
from ppcls_mixformer.hosting.reading import operator_of
from ppcls_mixformer.hosting.whole import remove_folder
from ppcls_mixformer.paddleseg import lists, pixels, reading
from ppcls_mixformer.paddleseg.checkpoints import Saver
from ppcls_mixformer.paddleseg.data import list_fixed_pairs, list_pairs, read_map
from ppcls_mixformer.weights import pickles

trainer = importlib.import_module("paddleseg.core.train")  # its package has a function of that name
evaluation = importlib.import_module("paddleseg.core.val")

LOSSES = ("paddleseg.models.losses.",)
OPERATORS = [f"__{way}{name}__" for way in ("", "r") for name in ("add", "sub", "mul", "truediv")]
saver = Saver()


def apply():
    """Applies every bridge; applying them again changes nothing."""
    paddle_bridges.apply()
    for bridge in (
        checkpoints_that_run_nothing,
        configs_that_run_nothing,
        archives.guard,
        one_element_losses,
        losses_that_are_no_lists,
        losses_that_fail,
        networks_that_are_ruined,
        scalars_in_concat,
        labels_times_floats,
        booleans_times_floats,
        labels_of_other_losses,
        crops_of_pictures,
        short_sides,
        scaler_of_groups,
        whole_checkpoints,
        best_model_on_resume,
        pictures_of_ade20k,
        maps_of_other_pictures,
        lists_of_pairs,
        maps_of_other_depths,
        large_pictures,
        reading.apply,
    ):
        bridge()


def checkpoints_that_run_nothing():
    """All releases: `paddle.load` runs whatever a pickle asks for."""
    pickles.guard()


def configs_that_run_nothing():
    """All releases: tags of a YAML make objects; a few modules call `eval`."""
    for module in (config, infer):
        shadow_module(module, "yaml", load=safe_yaml.load)
    expressions.guard("paddleseg")


def one_element_losses():
    """PaddleSeg 2.8: `loss.numpy()[0]` is an IndexError, scalars are 0-D since Paddle 2.5."""
    if "l[0] / log_iters" in inspect.getsource(trainer.train):
        replace_once(trainer, "loss_computation", _with_one_element_each)


def _with_one_element_each(original):
    def loss_computation(*args, **kwargs):
        return [loss.reshape([1]) for loss in original(*args, **kwargs)]

    return loss_computation


def losses_that_are_no_lists():
    """All releases: `loss.types: 5` is "object of type 'int' has no len()"; `coef: []` trains nothing."""
    replace_once(config_checker.DefaultLossRule, "check_and_correct", _of_lists)


def _of_lists(original):
    def check_and_correct(self, cfg):
        section = cfg.dic.get(self.loss_name) or {}
        kinds = {"types": ("losses, each with a `type`", _is_component), "coef": ("numbers", _is_number)}
        for key, (what, is_one) in kinds.items():
            value = section.get(key)
            if key in section and not (isinstance(value, list) and value and all(map(is_one, value))):
                raise UserError(f"{self.loss_name}.{key}: it is {value}, not a list of {what}")
        original(self, cfg)

    return check_and_correct


def _is_component(value):
    return isinstance(value, dict) and "type" in value


def _is_number(value):
    return isinstance(value, (int, float))


def losses_that_fail():
    """All releases: a loss that does not fit the network or the data ends in a traceback."""
    replace_once(trainer, "loss_computation", _in_one_line)


def _in_one_line(original):
    def loss_computation(*args, **kwargs):
        try:
            return original(*args, **kwargs)
        except Exception as error:  # whatever a loss raises
            loss = operator_of(error, LOSSES)
            raise UserError(f"loss: {loss}{' fails: ' if loss else ''}{gist(error)}") from error

    return loss_computation


def networks_that_are_ruined():
    """All releases: training goes on with weights that are NaN, which may become `best_model`."""
    replace_once(trainer, "loss_computation", saver.checking)


def scalars_in_concat():
    """PaddleSeg 2.8: the metrics concatenate sums, and `paddle.concat` refuses 0-D tensors."""
    if "concat(pred_area)" in inspect.getsource(metrics.calculate_area):
        shadow_module(metrics, "paddle", concat=paddle.stack)


def labels_times_floats():
    """PaddleSeg 2.8: the cross entropy multiplies int64 by float32, which Paddle 3 refuses."""
    loss = cross_entropy_loss.CrossEntropyLoss
    if "astype(mask.dtype)" not in inspect.getsource(loss._post_process_loss):
        replace_once(loss, "_post_process_loss", _with_float_labels)
        shadow_module(cross_entropy_loss, "F", one_hot=_one_hot_of_floats)


def _with_float_labels(original):
    def post_process_loss(self, logit, label, semantic_weights, loss):
        return original(self, logit, label.astype("float32"), semantic_weights, loss)

    return post_process_loss


def _one_hot_of_floats(x, num_classes):
    return F.one_hot(x.astype("int64"), num_classes)


def booleans_times_floats():
    """All releases: RMILoss, DualTaskLoss and others multiply floats by a mask, which Paddle 3 refuses."""
    try:
        paddle.ones([1]) * paddle.ones([1], "bool")
    except TypeError:
        replace_once(trainer, "loss_computation", _with_promotion)


def _with_promotion(original):
    def loss_computation(*args, **kwargs):
        with contextlib.ExitStack() as stack:
            for name in OPERATORS:
                operator = _promoting(getattr(paddle.Tensor, name))
                stack.enter_context(replaced(paddle.Tensor, name, operator))
            return original(*args, **kwargs)

    return loss_computation


def _promoting(operator):
    @functools.wraps(operator)
    def operate(self, other):
        pair = self, other
        if isinstance(other, paddle.Tensor) and not all(map(paddle.is_floating_point, pair)):
            wider = max(pair, key=_width)
            self, other = self.astype(wider.dtype), other.astype(wider.dtype)
        return operator(self, other)

    return operate


def _width(tensor):
    return tensor.is_floating_point(), tensor.dtype != paddle.bool


def labels_of_other_losses():
    """All releases: DiceLoss writes class 0 into unlabelled pixels, and the losses behind it learn that."""
    if "labels[labels == self.ignore_index]" in inspect.getsource(dice_loss.DiceLoss.forward):
        replace_once(dice_loss.DiceLoss, "forward", _on_own_labels)


def _on_own_labels(original):
    def forward(self, logits, labels):
        return original(self, logits, labels.clone())

    return forward


def crops_of_pictures():
    """PaddleSeg 2.8, 2.9: `category_max_ratio` makes RandomPaddingCrop return class maps as pictures."""
    if "data['img'] = seg_temp" in inspect.getsource(RandomPaddingCrop.__call__):
        replace_once(RandomPaddingCrop, "__call__", _with_the_picture_as_a_label)


def _with_the_picture_as_a_label(original):
    def crop(self, sample):
        if self.category_max_ratio >= 1.0:
            return original(self, sample)
        sample = self._padding(sample)
        sample["picture"] = sample["img"]
        sample["gt_fields"].append("picture")
        sample = original(self, sample)
        sample["gt_fields"].remove("picture")
        sample["img"] = sample.pop("picture")
        return sample

    return crop


def short_sides():
    """All releases: a picture that `max_size` limits has ResizeByShort make all later ones as small."""
    if "self.short_size = int(" in inspect.getsource(ResizeByShort.__call__):
        replace_once(ResizeByShort, "__call__", _with_the_short_side_as_it_was)


def _with_the_short_side_as_it_was(original):
    def resize(self, sample):
        short_size = self.short_size
        sample = original(self, sample)
        self.short_size = short_size
        return sample

    return resize


def scaler_of_groups():
    """PaddleSeg 2.8: AMP with the optimizer's `custom_cfg` is a TypeError, "but got dict"."""
    if "scaler.minimize" in inspect.getsource(trainer.train):
        shadow_module(trainer, "paddle")
        shadow_module(trainer.paddle, "amp", GradScaler=paddle_bridges.SteppingScaler)


def whole_checkpoints():
    """All releases: a job that dies while saving, or removing an old one, leaves a half checkpoint."""
    shadow_module(trainer, "paddle", save=saver.save)
    shadow_module(trainer, "shutil", rmtree=remove_folder)


def best_model_on_resume():
    """All releases: a resumed run forgets the best mIoU, and a worse model replaces `best_model`."""
    replace_once(trainer, "resume", saver.remembering)
    replace_once(trainer, "evaluate", saver.noting)


def pictures_of_ade20k():
    """All releases: ADE20K takes `a.JPG` for its own class map, and files in the order of the disk."""
    replace_once(ADE20K, "__init__", _with_pairs_by_name)


def _with_pairs_by_name(original):
    @functools.wraps(original)  # its arguments are what configs may name
    def init(self, *args, **kwargs):
        original(self, *args, **kwargs)
        self.file_list = list_pairs(self.dataset_root, self.mode)

    return init


def maps_of_other_pictures():
    """All releases: where one class map is missing, each later picture gets that of another, in silence."""
    for dataset in PLACES:
        replace_once(dataset, "__init__", _with_pairs_by_fixed_names)


def lists_of_pairs():
    """All releases: a byte-order mark, a blank line or a space in a name end a run, or name no file."""
    replace_once(Dataset, "__init__", _of_listed_pairs)


def _of_listed_pairs(original):
    signature = inspect.signature(original)

    @functools.wraps(original)
    def init(self, *args, **kwargs):
        call = signature.bind(self, *args, **kwargs)
        call.apply_defaults()
        key = f"{str(call.arguments['mode']).lower()}_path"
        path, root = call.arguments.get(key), call.arguments["dataset_root"]
        if key == "test_path" or not os.path.isfile(path or ""):  # PaddleSeg refuses what is missing
            original(self, *args, **kwargs)
            return
        pairs = lists.read_pairs(path, key, root, call.arguments["separator"])
        original(**{**call.arguments, key: os.devnull})
        self.file_list = [[os.path.join(root, name) for name in pair] for pair in pairs]

    return init


def maps_of_other_depths():
    """All releases: the uint16 of class maps is bfloat16 to Paddle, so their classes are 0; others fail."""
    for module in (transforms, ade):
        shadow_module(module, "Image", open=read_map)


def large_pictures():
    """All releases: logits of all classes at the size of a large picture are a MemoryError."""
    for name in ("inference", "aug_inference"):
        replace_once(core_infer, name, pixels.in_parts)
    shadow_module(evaluation, "F", softmax=pixels.of_all(F.softmax))


# Where pictures and class maps of each mode are.
PLACES = {
    Cityscapes: (
        ("leftImg8bit/{}", "*/*_leftImg8bit.png"),
        ("gtFine/{}", "*/*_gtFine_labelTrainIds.png"),
    ),
    CocoStuff: (("images/{}2017", "*.jpg"), ("annotations/{}2017", "*.png")),
}


def _with_pairs_by_fixed_names(original):
    @functools.wraps(original)
    def init(self, *args, **kwargs):
        original(self, *args, **kwargs)
        places = [(folder.format(self.mode), pattern) for folder, pattern in PLACES[type(self)]]
        self.file_list = list_fixed_pairs(self.dataset_root, *places)

    return init
