"""The bodies of `tools/seg/train.py`, `eval.py` and `predict.py`: PaddleSeg's flags and its trainer."""

from pathlib import Path

import cv2

from ppcls_mixformer.hosting.errors import UserError
from ppcls_mixformer.paddleseg import register
from ppcls_mixformer.paddleseg.flags import eval_flags, predict_flags, train_flags


def prepare(flags, splits, **settings):
    """Builder for the config that `flags` name, its data checked, and the device it runs on.

    Args:
        splits: sections of the config whose data are needed.
        settings: as in `config.load`.

    Raises:
        UserError: something about the set-up, the config or a file that a user can fix.
    """
    register()
    from paddleseg.utils import utils

    from ppcls_mixformer.paddleseg import config, preflight
    from ppcls_mixformer.paddleseg.builder import Builder

    settings = config.load(flags.config, flags.opts, **settings)
    preflight.check_data(settings, splits)
    device = preflight.set_device(flags.device)
    utils.show_env_info()
    utils.show_cfg_info(settings)
    return Builder(settings), device


def without_pretrained(builder):
    """Leaves out the backbone's weights, where a whole checkpoint follows."""
    builder.config.dic["model"].get("backbone", {}).pop("pretrained", None)


def train(argv):
    """Trains as the config says."""
    run_training(train_flags().parse_args(argv))


def run_training(flags):
    """PaddleSeg's training with `flags`, see `train_flags`."""
    splits = ["train_dataset", "val_dataset"] if flags.do_eval else ["train_dataset"]
    builder, device = prepare(
        flags,
        splits,
        learning_rate=flags.learning_rate,
        batch_size=flags.batch_size,
        iters=flags.iters,
    )
    from paddleseg.core import train
    from paddleseg.utils import utils

    from ppcls_mixformer.paddleseg import checkpoints

    config = builder.config
    if flags.resume_model:
        checkpoints.check_resume(flags.resume_model, config.iters)
        without_pretrained(builder)
    utils.set_seed(flags.seed)
    utils.set_cv2_num_threads(flags.num_workers)
    model = utils.convert_sync_batchnorm(builder.model, device)
    if flags.resume_model:
        checkpoints.load_whole(model, Path(flags.resume_model) / "model.pdparams")
    train(
        model,
        builder.train_dataset,
        val_dataset=builder.val_dataset if flags.do_eval else None,
        optimizer=builder.optimizer,
        save_dir=flags.save_dir,
        iters=config.iters,
        batch_size=config.batch_size,
        resume_model=flags.resume_model,
        save_interval=flags.save_interval,
        log_iters=flags.log_iters,
        num_workers=flags.num_workers,
        use_vdl=flags.use_vdl,
        use_ema=flags.use_ema,
        losses=builder.loss,
        keep_checkpoint_max=flags.keep_checkpoint_max,
        test_config=config.test_config,
        precision=flags.precision,
        amp_level=flags.amp_level,
        to_static_training=flags.to_static_training or config.to_static_training,
    )


def trained_model(builder, path):
    """The builder's model with the checkpoint at `path`."""
    from ppcls_mixformer.paddleseg import checkpoints

    without_pretrained(builder)
    checkpoints.load_whole(builder.model, path)
    return builder.model


def windows(config, flags, augmented):
    """`test_config` of the config with the flags of `add_windows`, `augmented` being the first one."""
    settings = config.test_config
    if getattr(flags, augmented):
        settings[augmented] = True
        for name in ("scales", "flip_horizontal", "flip_vertical"):
            settings[name] = getattr(flags, name)
    if flags.is_slide:
        if not (flags.crop_size and flags.stride):
            raise UserError("--is_slide needs --crop_size and --stride, each width and height")
        settings.update(is_slide=True, crop_size=flags.crop_size, stride=flags.stride)
    return settings


def evaluate(argv):
    """Evaluates on the config's val_dataset."""
    run_evaluation(eval_flags().parse_args(argv))


def run_evaluation(flags):
    """PaddleSeg's evaluation with `flags`, see `eval_flags`."""
    builder, _ = prepare(flags, ["val_dataset"])
    from paddleseg.core import evaluate

    settings = windows(builder.config, flags, "aug_eval")
    model = trained_model(builder, flags.model_path)
    evaluate(model, builder.val_dataset, num_workers=flags.num_workers, **settings)


def list_pictures(path):
    """The pictures that `--image_path` means, and their folder as PaddleSeg wants it.

    Raises:
        UserError: there are none, or one is not there or cannot be read.
    """
    from paddleseg.utils import get_image_list

    try:
        pictures, folder = get_image_list(path)
    except (FileNotFoundError, RuntimeError, UnicodeDecodeError):
        raise UserError(f"--image_path: {path} is no picture, and no folder or list of pictures") from None
    for picture in pictures:
        if not cv2.haveImageReader(picture):
            raise UserError(f"--image_path: {picture} does not exist or is no picture")
    return pictures, folder


def predict(argv):
    """Segments pictures and writes them coloured."""
    run_prediction(predict_flags().parse_args(argv))


def run_prediction(flags):
    """PaddleSeg's prediction with `flags`, see `predict_flags`."""
    builder, _ = prepare(flags, [])
    from paddleseg.core import predict
    from paddleseg.transforms import Compose

    pictures, folder = list_pictures(flags.image_path)
    settings = windows(builder.config, flags, "aug_pred")
    for name in ("aug_eval", "auc_roc"):
        settings.pop(name, None)
    predict(
        trained_model(builder, flags.model_path),
        model_path=flags.model_path,
        transforms=Compose(builder.val_transforms),
        image_list=pictures,
        image_dir=folder,
        save_dir=flags.save_dir,
        custom_color=flags.custom_color,
        **settings,
    )


def export(argv):
    """Exports a trained network for Paddle inference."""
    from ppcls_mixformer.paddleseg import export, flags

    export.export(flags.export_flags().parse_args(argv))
